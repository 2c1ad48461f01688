"""Runs on this machine: N slots, and a fresh process from a fork server for every run.

A crash, a memory kill or leaked state costs one run. Whether a run is done is read from the store, never from an exit
code. The main process owns the drafts: it makes one for every run and drops or keeps it at the end.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import psutil

from harness.errors import InputError, StoreError
from harness.executors.base import Event, Failed, Finished, Observer, Outcome, Progress, Started, ignore, workers_for
from harness.executors.server import start_process, start_server
from harness.executors.worker import work
from harness.store import FailureKind, RunStore
from harness.training.job import Job

__all__ = ["LocalExecutor"]

_PRELOAD = ("torch", "MMSA", "harness.training.run")
_LOG_LINES = 30
_LONGEST_WAIT = 3600.0
_SERVER_LOST = 255
"""The exit code that multiprocessing makes up when the fork server is gone."""


@dataclass(frozen=True)
class LocalExecutor:
    """Worker processes on this machine.

    Parameters
    ----------
    workers : int, optional
        How many runs go side by side; the default is as many as the cores allow.
    time_limit : float, optional
        Seconds that one run may take.
    target : str
        What a worker calls, ``module:function``, as ``function(job, report)``.
    preload : sequence of str
        Modules that are imported once for all workers.
    """

    workers: int | None = None
    time_limit: float | None = None
    target: str = "harness.training.run:execute"
    preload: Sequence[str] = _PRELOAD

    def run(self, jobs: Sequence[Job], store: RunStore, *, observer: Observer = ignore) -> Outcome:
        """Run the jobs that have no record yet, in their order.

        Ctrl-C and SIGTERM stop the workers, drop their drafts, and return with ``interrupted`` set.

        Raises
        ------
        InputError
            If there are not enough cores, or the workers cannot import what they need.
        StoreError
            If the store fails (a full disk); the other workers are stopped first.
        """
        if self.time_limit is not None and not self.time_limit > 0:
            raise InputError(f"a time limit must be more than 0 seconds, not {self.time_limit}", where="time_limit")
        workers = workers_for(max((job.spec.threads for job in jobs), default=1), self.workers)
        session = _Session(self, store, observer, workers)
        waiting = session.take(jobs)
        if waiting:
            try:
                start_server(tuple(self.preload))
                with _signals_as_bytes() as bell:
                    try:
                        session.work_off(waiting, bell)
                    finally:
                        session.stop()
            except KeyboardInterrupt:
                session.outcome.interrupted = True
        outcome = session.outcome
        finished = {spec.run_id for spec in outcome.done + outcome.failed + outcome.already}
        outcome.not_run = [job.spec for job in waiting if job.spec.run_id not in finished]
        return outcome


@dataclass
class _Slot:
    """One run in flight."""

    worker: int
    job: Job
    draft: Path
    process: ForkServerProcess
    connection: Connection
    started: float
    deadline: float | None
    open: bool = True
    verdict: tuple[FailureKind, str, str] | None = None
    broken_store: StoreError | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


@dataclass
class _Session:
    """One call of `LocalExecutor.run`."""

    options: LocalExecutor
    store: RunStore
    observer: Observer
    workers: int
    slots: dict[int, _Slot] = field(default_factory=dict)
    server_lost: bool = False
    outcome: Outcome = field(default_factory=Outcome)

    def take(self, jobs: Sequence[Job]) -> list[Job]:
        """Sort out what is done already and what is asked for twice."""
        unique: dict[str, Job] = {}
        for job in jobs:
            unique.setdefault(job.spec.run_id, job)
        waiting = []
        for job in unique.values():
            if self.store.status(job.spec) == "done":
                self.outcome.already.append(job.spec)
            else:
                waiting.append(job)
        return waiting

    def work_off(self, jobs: Sequence[Job], bell: int) -> None:
        """Keep the slots filled until nothing is left, or until a byte arrives on `bell`."""
        queue = deque(jobs)
        while self._fill(queue):
            ready = wait([bell, *self._sources()], self._patience())
            if bell in ready:
                raise KeyboardInterrupt
            for slot in list(self.slots.values()):
                self._listen(slot)
                if slot.broken_store is not None:
                    raise slot.broken_store
                if slot.process.sentinel in ready:
                    self._settle(slot)
                elif slot.deadline is not None and time.monotonic() >= slot.deadline:
                    limit = f"stopped at the time limit of {self.options.time_limit:g} s"
                    _kill(slot.process)
                    self._settle(slot, ("timeout", limit, ""))
        if wait([bell], 0):  # too late to stop anything here, but the caller must not go on
            raise KeyboardInterrupt

    def stop(self) -> None:
        """Kill what still runs and drop its drafts; a run that published in time keeps its record."""
        for slot in self.slots.values():
            _kill(slot.process)
        for slot in self.slots.values():
            self._close(slot)
            with suppress(StoreError):  # the reason to stop may be this very disk
                self.store.discard(slot.draft)
            if self.store.status(slot.job.spec) == "done":
                self.outcome.done.append(slot.job.spec)
        self.slots.clear()

    def _fill(self, queue: deque[Job]) -> bool:
        """Start jobs until the slots or the queue run out, and tell whether anything runs now."""
        while queue and len(self.slots) < self.workers:
            job = queue.popleft()
            # Another process on the same store may have been quicker while this job waited.
            if self.store.status(job.spec) == "done":
                self.outcome.already.append(job.spec)
            else:
                self._start(job)
        return bool(self.slots)

    def _start(self, job: Job) -> None:
        if self.server_lost:
            start_server(tuple(self.options.preload))
            self.server_lost = False
        worker = next(number for number in range(self.workers) if number not in self.slots)
        draft = self.store.begin(job.spec)
        try:
            process, connection = start_process(
                work, self.options.target, replace(job, draft=draft), name=f"harness-{worker}"
            )
        except BaseException:
            self.store.discard(draft)
            raise
        now = time.monotonic()
        deadline = None if self.options.time_limit is None else now + self.options.time_limit
        self.slots[worker] = _Slot(worker, job, draft, process, connection, now, deadline)
        self._tell(Started(job.spec, worker))

    def _sources(self) -> Iterator[Any]:
        for slot in self.slots.values():
            yield slot.process.sentinel
            if slot.open:
                yield slot.connection

    def _patience(self) -> float | None:
        deadlines = [slot.deadline for slot in self.slots.values() if slot.deadline is not None]
        # poll counts milliseconds in a C int: a limit of weeks would not fit.
        return min(max(0.0, min(deadlines) - time.monotonic()), _LONGEST_WAIT) if deadlines else None

    def _listen(self, slot: _Slot) -> None:
        """Read every message that is there."""
        messages = []
        try:
            while slot.open and slot.connection.poll():
                messages.append(slot.connection.recv())
        except (EOFError, OSError):
            slot.open = False
        for kind, content in messages:
            if kind == "progress":
                self._tell(Progress(slot.job.spec, slot.worker, slot.seconds, content))
            elif kind == "failed":
                slot.verdict = content
            elif kind == "store":
                slot.broken_store = content
            else:
                slot.verdict = ("error", "the run returned without publishing a record", "")

    def _settle(self, slot: _Slot, verdict: tuple[FailureKind, str, str] | None = None) -> None:
        """Close a run whose process has ended, and tell its outcome from the store."""
        exit_code = self._close(slot)
        del self.slots[slot.worker]
        spec = slot.job.spec
        if self.store.status(spec) == "done":
            self.store.discard(slot.draft)
            self.outcome.done.append(spec)
            self._tell(Finished(spec, slot.worker, slot.seconds))
            return
        kind, reason, traceback = verdict or slot.verdict or _crash(exit_code, slot.draft / "log.txt")
        try:
            self.store.fail(spec, slot.draft, kind=kind, reason=reason, traceback=traceback)
        except StoreError:
            with suppress(StoreError):
                self.store.discard(slot.draft)
            raise
        self.outcome.failed.append(spec)
        self._tell(Failed(spec, slot.worker, slot.seconds, kind, reason))

    def _close(self, slot: _Slot) -> int | None:
        pid = slot.process.pid or 0
        slot.process.join()
        exit_code = slot.process.exitcode
        # Either the run chose this number, or the fork server died and cannot tell: the run may still live.
        lost = exit_code == _SERVER_LOST
        self.server_lost |= lost
        # What the run started lives on in its group, also where the run itself died of something else than us. A
        # process id is not given away while its group has members: if a process has it although the run is gone,
        # the group is empty and the process is a stranger.
        if pid and (lost or not psutil.pid_exists(pid)):
            _kill_group(pid)
        slot.process.close()
        slot.connection.close()
        slot.open = False
        return exit_code

    def _tell(self, event: Event) -> None:
        self.observer(event)


def _kill(process: ForkServerProcess) -> None:
    """Kill a worker with everything it started; its process group has its own id once it runs our code."""
    if process.pid is None or not process.is_alive():
        return
    # The process by its own id first: before it has made its group, it is in that of the fork server.
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    _kill_group(process.pid)


def _kill_group(group: int) -> None:
    # No such group: nothing is left in it, or its process died before it made one. No permission: nothing of ours.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _crash(exit_code: int | None, log: Path) -> tuple[FailureKind, str, str]:
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
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    except OSError:
        lines = []
    return ("crash", reason, "\n".join(lines))


@contextmanager
def _signals_as_bytes() -> Iterator[int]:
    """Turn SIGINT and SIGTERM into a byte on a pipe, whose read end is given, while the context lasts.

    So an interrupt comes at one place of the loop only, never between a process's start and its being known. A
    thread other than the main one cannot set handlers; nothing interrupts it either.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def ring(number: int, frame: object) -> None:
        del number, frame
        with suppress(BlockingIOError):
            os.write(writer, b"!")

    before: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            # An ignored signal stays ignored: nohup and background jobs mean it.
            if signal.getsignal(number) is not signal.SIG_IGN:
                with suppress(ValueError):
                    before[number] = signal.signal(number, ring)
        yield reader
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
