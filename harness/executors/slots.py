"""One run in flight: its process, its draft, and the limits that it is held to."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TypeAlias

import psutil

from harness.errors import StoreError
from harness.executors.memory import kernel_kills, private_memory
from harness.executors.messages import Inbox
from harness.store import FailureKind
from harness.training.job import Job

__all__ = ["Limits", "Slot", "Verdict", "crash", "kill", "kill_group"]

Verdict: TypeAlias = tuple[FailureKind, str, str]
"""Kind, reason and traceback (or the log's end) of a failure."""

_LOG_LINES = 30
_LOG_BYTES = 2**16
_GIB = 2**30
_FAREWELL_SECONDS = 5.0
_SIGN_OF_LIFE = 0.05
"""Seconds of CPU time that a process which waits does not use between two looks."""


@dataclass(frozen=True)
class Limits:
    """What one run may take; None bounds nothing.

    Attributes
    ----------
    time : float or None
        Seconds from its start.
    stall : float or None
        Seconds without a message and without CPU time.
    memory_gib : float or None
        Main memory of its processes, pages of files left out.
    """

    time: float | None = None
    stall: float | None = None
    memory_gib: float | None = None


@dataclass(eq=False)
class Slot:
    """One run in flight, on worker number `worker`."""

    worker: int
    job: Job
    draft: Path
    process: ForkServerProcess
    inbox: Inbox
    limits: Limits
    started: float = field(default_factory=time.monotonic)
    returned: bool = False
    said_at: float | None = None
    kernel_kills: int = field(default_factory=kernel_kills)
    verdict: Verdict | None = None
    broken_store: StoreError | None = None
    alive_at: float = 0.0
    cpu_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.alive_at = self.started

    @property
    def seconds(self) -> float:
        """Time since its start."""
        return time.monotonic() - self.started

    @property
    def deadline(self) -> float | None:
        """The monotonic time at which its time limit is reached."""
        return None if self.limits.time is None else self.started + self.limits.time

    def memory(self) -> int:
        """Bytes that its processes hold."""
        return private_memory(self.process.pid or 0)

    def over_time(self) -> Verdict | None:
        """Return the verdict on a run that has used up its time."""
        if self.deadline is None or time.monotonic() < self.deadline:
            return None
        return ("timeout", f"stopped at the time limit of {self.limits.time:g} s", "")

    @property
    def lingers(self) -> bool:
        """Tell whether it has said how it ended some time ago, and its process does not go."""
        return self.said_at is not None and time.monotonic() - self.said_at > _FAREWELL_SECONDS

    def over_limits(self) -> Verdict | None:
        """Return the verdict on a run that takes too much memory or shows no sign of life."""
        if self.limits.memory_gib is not None and (held := self.memory()) > self.limits.memory_gib * _GIB:
            limit = f"{self.limits.memory_gib:g} GiB"
            return ("memory", f"stopped at the memory limit of {limit}: it held {held / _GIB:.2f} GiB", "")
        if self.limits.stall is None:
            return None
        now, used = time.monotonic(), _cpu_seconds(self.process.pid or 0)
        if used - self.cpu_seconds > _SIGN_OF_LIFE:
            self.alive_at, self.cpu_seconds = now, used
        if now - self.alive_at < self.limits.stall:
            return None
        return ("timeout", f"no sign of life for {self.limits.stall:g} s: neither an epoch nor CPU time", "")


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of its children, those that ended included."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0
    total = 0.0
    for one in family:
        with suppress(psutil.Error):
            total += sum(one.cpu_times()[:4])
    return total


def kill(process: ForkServerProcess) -> None:
    """Kill a worker with everything it started; its process group has its own id once it runs our code."""
    if process.pid is None or not process.is_alive():
        return
    # The process by its own id first: before it has made its group, it is in that of the fork server.
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    kill_group(process.pid)


def kill_group(group: int) -> None:
    """Kill what is left of a worker's process group."""
    # No such group: nothing is left in it, or its process died before it made one. No permission: nothing of ours.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def crash(exit_code: int | None, log: Path, *, out_of_memory: bool = False) -> Verdict:
    """Return the verdict on a process that ended without a word.

    `out_of_memory` says that the kernel has killed processes for that reason while it ran.
    """
    if exit_code == -signal.SIGKILL and out_of_memory:
        return ("memory", "the process was killed by the kernel because memory ran out", _end_of(log))
    if exit_code is not None and exit_code < 0:
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = f"signal {-exit_code}"
        reason = f"the process was killed by {name}"
        if name == "SIGKILL":
            reason += " (as the kernel does when memory runs out)"
    else:
        reason = f"the process ended with exit code {exit_code} and without a word"
    return ("crash", reason, _end_of(log))


def _end_of(log: Path) -> str:
    """Return the last lines of a log, which may be too long to be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_BYTES))
            end = file.read(_LOG_BYTES)
    except OSError:
        return ""
    return "\n".join(end.decode("utf-8", errors="replace").splitlines()[-_LOG_LINES:])
