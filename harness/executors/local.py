"""Runs on this machine: N slots, and a fresh process from a fork server for every run.

A crash, a memory kill or leaked state costs one run. Whether a run is done is read from the store, never from an exit
code. The main process owns the drafts and the leases: it makes one of each for every run and drops or keeps the draft
at the end.
"""

from __future__ import annotations

import functools
import os
import platform
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from multiprocessing.connection import wait
from typing import Any

import psutil

from harness.errors import InputError, StoreError
from harness.executors.base import (
    Event,
    Failed,
    Finished,
    Observer,
    Outcome,
    Progress,
    PutBack,
    Started,
    ignore,
    workers_for,
)
from harness.executors.bell import signals_as_bytes
from harness.executors.launch import launch
from harness.executors.memory import available_memory, kernel_kills, total_memory
from harness.executors.messages import Inbox, NoMessageError
from harness.executors.placement import Need, Placement
from harness.executors.server import start_server
from harness.executors.slots import Limits, Slot, Verdict, crash, kill, kill_group
from harness.executors.waiting import Waiting
from harness.spec import Resources, RunSpec
from harness.store import LOG_FILE, RunStore
from harness.training.job import Job

__all__ = ["PRELOAD", "STALL_SECONDS", "LocalExecutor"]

PRELOAD = ("torch", "MMSA", "harness.executors.warm")
_LONGEST_WAIT = 3600.0
_LOOK_SECONDS = 1.0
STALL_SECONDS = 1800.0
_SERVER_LOST = 255
"""The exit code that multiprocessing makes up when the fork server is gone."""
_STOPPED = (-signal.SIGTERM, -signal.SIGKILL, _SERVER_LOST)
_SIGNAL_SECONDS = 1.0
_GIB = 2**30
_MOST_SHARE = 0.5
"""Of the machine's memory: a run that holds less, alone, is not what fills it."""
_REST_SECONDS, _MOST_RESTS = 20.0, 5
_LAST_SHARE = 0.02
"""Share of the main memory that is left when runs are stopped, before the kernel stops something else."""


@dataclass(frozen=True)
class LocalExecutor:
    """Worker processes on this machine.

    Parameters
    ----------
    workers : int, optional
        How many runs go side by side; the default is as many as the cores allow.
    time_limit : float, optional
        Seconds that one run may take, unless its own resources say otherwise.
    target : str
        What a worker calls, ``module:function``, as ``function(job, report)``.
    preload : sequence of str
        Modules that are imported once for all workers.
    devices : sequence of str
        Devices to share out, such as ``cuda:0``; without any, each job trains on the one that it names.
    resources : callable, optional
        What a run needs: memory that it may take, its share of a GPU, its time.
    stall_limit : float, optional
        Seconds without an epoch and without CPU time after which a run counts as hung; None waits for ever.
    engine : str
        Who asked, for the leases.
    """

    workers: int | None = None
    time_limit: float | None = None
    target: str = "harness.training.run:execute"
    preload: Sequence[str] = PRELOAD
    devices: Sequence[str] = ()
    resources: Callable[[RunSpec], Resources] | None = None
    stall_limit: float | None = STALL_SECONDS
    engine: str = "local"

    def run(self, jobs: Sequence[Job], store: RunStore, *, observer: Observer = ignore) -> Outcome:
        """Run the jobs that have no record yet, in their order.

        A job whose lease another process holds is left to it and watched: it is done here if that process gives it
        up. Ctrl-C and SIGTERM stop the workers, drop their drafts, and return with ``interrupted`` set.

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
        taken = session.waiting.take(jobs)
        if taken:
            try:
                start_server(tuple(self.preload))
                with signals_as_bytes() as bell:
                    try:
                        session.work_off(bell)
                    finally:
                        session.stop()
            except KeyboardInterrupt:
                session.outcome.interrupted = True
        outcome = session.outcome
        finished = {spec.run_id for spec in outcome.done + outcome.failed + outcome.already}
        outcome.not_run = [job.spec for job in taken if job.spec.run_id not in finished]
        return outcome


@dataclass
class _Session:
    """One call of `LocalExecutor.run`."""

    options: LocalExecutor
    store: RunStore
    observer: Observer
    workers: int
    outcome: Outcome = field(default_factory=Outcome)
    slots: dict[int, Slot] = field(default_factory=dict)
    leaving: list[Slot] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waiting = Waiting(self.store, self.outcome, self.observer)
        self.placement = Placement(self.options.devices or ("any",), total_memory() / _GIB)
        self.neighbours: dict[str, int] = {}
        self.rests: Counter[str] = Counter()
        self.rest_until = 0.0
        self.looked = time.monotonic()
        self.bell = -1

    def work_off(self, bell: int) -> None:
        """Keep the slots filled until nothing is left, or until a byte arrives on `bell`."""
        self.bell = bell
        while self._fill():
            ready = wait([bell, *self._sources()], self._patience())
            if bell in ready:
                raise KeyboardInterrupt
            for slot in list(self.slots.values()):
                self._listen(slot)
                if slot.broken_store is not None:
                    raise slot.broken_store
                if slot not in self.slots.values():
                    continue
                if slot.process.sentinel in ready or self._has_published(slot):
                    self._settle(slot)
                elif slot.lingers:
                    kill(slot.process)
                    self._settle(slot)
                elif (verdict := slot.over_time()) is not None:
                    self._end(slot, verdict)
            self._look()
        if wait([bell], 0):  # too late to stop anything here, but the caller must not go on
            raise KeyboardInterrupt

    def stop(self) -> None:
        """Kill what still runs and drop its drafts; a run that published in time keeps its record."""
        for slot in [*self.leaving, *self.slots.values()]:
            kill(slot.process)
        for slot in self.leaving:
            self._close(slot)
        for slot in self.slots.values():
            self._close(slot)
            with suppress(StoreError):  # the reason to stop may be this very disk
                self.store.discard(slot.draft)
            self.store.leases.release(slot.job.spec.run_id)
            if self.store.status(slot.job.spec) == "done":
                self.outcome.done.append(slot.job.spec)
        self.slots.clear()

    def _fill(self) -> bool:
        """Start jobs until the slots or what waits run out, and tell whether there is anything to wait for."""
        while len(self.slots) < self.workers and time.monotonic() >= self.rest_until:
            worker = next(number for number in range(self.workers) if number not in self.slots)
            claimed = self.waiting.claimed(
                lambda job: self.placement.where(self._need(job)), functools.partial(self._about, worker)
            )
            if claimed is None:
                break
            self._start(worker, *claimed)
        return bool(self.slots or self.waiting)

    def _need(self, job: Job) -> Need:
        needs = self._resources(job.spec)
        return Need(needs.gpus or 1.0, needs.memory_gib or 0.0, self.neighbours.get(job.spec.run_id))

    def _resources(self, spec: RunSpec) -> Resources:
        needs = self.options.resources(spec) if self.options.resources else Resources()
        return needs if needs.time_limit else needs.model_copy(update={"time_limit": self.options.time_limit})

    def _about(self, worker: int, job: Job, device: str) -> dict[str, Any]:
        return {
            "label": job.spec.label,
            "engine": self.options.engine,
            "host": platform.node(),
            "pid": os.getpid(),
            "worker": worker,
            "device": device if self.options.devices else job.device,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _start(self, worker: int, job: Job, device: str) -> None:
        if self.options.devices:
            job = replace(job, device=device)
        needs = self._resources(job.spec)
        try:
            draft, process, connection = launch(self.store, job, self.options.target, tuple(self.options.preload))
        except BaseException:
            self.store.leases.release(job.spec.run_id)
            raise
        self.placement.put(job.spec.run_id, device, self._need(job))
        limits = Limits(needs.time_limit, self.options.stall_limit, needs.memory_gib)
        self.slots[worker] = Slot(worker, job, draft, process, Inbox(connection), limits)
        self.store.leases.say(job.spec.run_id, log=str(draft / LOG_FILE))
        self._tell(Started(job.spec, worker, device=job.device))

    def _sources(self) -> Iterator[Any]:
        for slot in self.slots.values():
            yield slot.process.sentinel
            if slot.inbox.open:
                yield slot.inbox.connection

    def _patience(self) -> float:
        now = time.monotonic()
        deadlines = [slot.deadline - now for slot in self.slots.values() if slot.deadline is not None]
        looks = [self.looked + _LOOK_SECONDS - now] if self.slots else []
        looks += [self.rest_until - now] if self.rest_until > now else []
        # poll counts milliseconds in a C int: a limit of weeks would not fit.
        return max(0.0, min(*deadlines, *looks, self.waiting.patience, _LONGEST_WAIT))

    def _look(self) -> None:
        """Look once a second whether the runs keep their limits, whether memory is left, and what others did."""
        self.waiting.look()
        now = time.monotonic()
        if now - self.looked < _LOOK_SECONDS:
            return
        self.looked = now
        for slot in list(self.slots.values()):
            if (verdict := slot.over_limits()) is not None:
                self._end(slot, verdict)
        if self.slots and available_memory() < _LAST_SHARE * total_memory():
            held, largest = max((slot.memory(), number) for number, slot in self.slots.items())
            reason = (
                f"stopped because the machine's memory ran out: it held {held / _GIB:.2f} GiB, the most of all runs"
            )
            self._end(
                self.slots[largest],
                ("memory", reason, ""),
                others=True if held < _MOST_SHARE * total_memory() else None,
            )

    def _listen(self, slot: Slot) -> None:
        """Read every message that is there, and end a run that writes something else."""
        try:
            for kind, content in slot.inbox.messages():
                slot.alive_at = time.monotonic()
                if kind == "progress":
                    self.store.leases.say(slot.job.spec.run_id, progress=content)
                    self._tell(Progress(slot.job.spec, slot.worker, slot.seconds, content))
                elif kind == "failed":
                    slot.verdict, slot.said_at = tuple(content), time.monotonic()
                elif kind == "store":
                    slot.broken_store = StoreError(content[0], where=content[1], hint=content[2])
                else:
                    slot.returned, slot.said_at = True, time.monotonic()
                    slot.verdict = ("error", "the run returned without publishing a record", "")
        except NoMessageError:
            self._end(slot, ("crash", "ended because what it wrote into its pipe is no message", ""))

    def _end(self, slot: Slot, verdict: Verdict, *, others: bool | None = False) -> None:
        kill(slot.process)
        self._settle(slot, verdict, others=others)

    def _settle(self, slot: Slot, verdict: Verdict | None = None, *, others: bool | None = None) -> None:
        """Close a run whose process has ended, or has nothing left to do, and tell its outcome from the store.

        `others` says of a lack of memory that other programs are behind it; False that the run itself is.
        """
        exit_code = None
        if verdict is None and self._has_published(slot):
            self._leave(slot)
        else:
            exit_code = self._close(slot)
        del self.slots[slot.worker]
        spec = slot.job.spec
        neighbours = self.placement.beside(spec.run_id)
        self.placement.leave(spec.run_id)
        try:
            if self.store.status(spec) == "done":
                self.store.discard(slot.draft)
                self.outcome.done.append(spec)
                self._tell(Finished(spec, slot.worker, slot.seconds))
                return
            ended = verdict or slot.verdict
            if ended is None and exit_code in _STOPPED and wait([self.bell], _SIGNAL_SECONDS):
                # Somebody signals all processes of this job or container, and the run has died of it first.
                self.store.discard(slot.draft)
                raise KeyboardInterrupt
            killed = kernel_kills() > slot.kernel_kills
            ended = ended or crash(exit_code, slot.draft / LOG_FILE, out_of_memory=killed)
            shared = neighbours > 0 and others is not False
            if ended[0] == "memory" and (shared or (others and self.rests[spec.run_id] < _MOST_RESTS)):
                self._put_back(slot, neighbours, ended[1])
            else:
                self._fail(slot, ended)
        finally:
            self.store.leases.release(spec.run_id)

    def _put_back(self, slot: Slot, neighbours: int, reason: str) -> None:
        """Let a run that ran out of memory beside others wait for a place with half as many, or for better times."""
        run_id = slot.job.spec.run_id
        self.store.discard(slot.draft)
        self.waiting.put_back(slot.job)
        if neighbours:
            self.neighbours[run_id] = neighbours // 2
            reason += f"; tried again beside {neighbours // 2} other run(s) at most"
        else:
            self.rests[run_id] += 1
            self.rest_until = time.monotonic() + _REST_SECONDS * self.rests[run_id]
            reason += "; other programs hold the most of it, tried again after a while"
        self._tell(PutBack(slot.job.spec, slot.worker, slot.seconds, reason))

    def _fail(self, slot: Slot, verdict: Verdict) -> None:
        spec, (kind, reason, traceback) = slot.job.spec, verdict
        try:
            self.store.fail(spec, slot.draft, kind=kind, reason=reason, traceback=traceback)
        except StoreError:
            with suppress(StoreError):
                self.store.discard(slot.draft)
            raise
        self.outcome.failed.append(spec)
        self._tell(Failed(spec, slot.worker, slot.seconds, kind, reason))

    def _has_published(self, slot: Slot) -> bool:
        """Tell whether a run has said that it is over and has its record: its process then only has to go."""
        return slot.returned and self.store.status(slot.job.spec) == "done"

    def _leave(self, slot: Slot) -> None:
        """Let a process go by itself while the next run starts: the kernel takes its time to free its memory."""
        gone = [one for one in self.leaving if not one.process.is_alive()]
        self.leaving = [*(one for one in self.leaving if one not in gone), slot]
        for one in gone:
            self._close(one)

    def _close(self, slot: Slot) -> int | None:
        pid = slot.process.pid or 0
        slot.process.join()
        exit_code = slot.process.exitcode
        # Either the run chose this number, or the fork server died and cannot tell: the run may still live.
        lost = exit_code == _SERVER_LOST
        # What the run started lives on in its group, also where the run itself died of something else than us. A
        # process id is not given away while its group has members: if a process has it although the run is gone,
        # the group is empty and the process is a stranger.
        if pid and (lost or not psutil.pid_exists(pid)):
            kill_group(pid)
        slot.process.close()
        slot.inbox.close()
        return exit_code

    def _tell(self, event: Event) -> None:
        self.observer(event)
