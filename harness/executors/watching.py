"""Runs that go on somewhere else, watched through the store: what Ray and Slurm share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from harness.errors import StoreError
from harness.executors.base import Elsewhere, Failed, Finished, Observer, Outcome, Progress, PutBack, Started
from harness.spec import RunSpec
from harness.store import FailureKind, Lease, RunStore
from harness.training.job import Job

__all__ = ["Watched", "Watching"]


@dataclass(eq=False)
class Watched:
    """A run that has not ended.

    Attributes
    ----------
    job : Job
    mark : int or None
        Of its failure from before, which does not count.
    worker : int
        The slot that it is shown in, from 0.
    started : float or None
        The monotonic time at which it was first seen to run.
    progress : mapping
        What it reported last.
    """

    job: Job
    mark: int | None = None
    worker: int = 0
    started: float | None = None
    progress: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Time since it was first seen to run."""
        return 0.0 if self.started is None else time.monotonic() - self.started


@dataclass
class Watching:
    """What the store and its leases say of such runs, as events and as an outcome.

    Parameters
    ----------
    store : RunStore
    observer : callable
    outcome : Outcome
    """

    store: RunStore
    observer: Observer
    outcome: Outcome
    _slots: dict[int, Watched] = field(default_factory=dict)

    def start(self, run: Watched, device: str) -> None:
        """Say that a run has begun, unless that was said."""
        if run.started is None:
            run.worker = next(number for number in range(len(self._slots) + 1) if number not in self._slots)
            run.started = time.monotonic()
            self._slots[run.worker] = run
            self.observer(Started(run.job.spec, run.worker, device=device))

    def follow(self, run: Watched, lease: Lease) -> None:
        """Say what the lease of a run tells of it."""
        self.start(run, str(lease.about.get("device", run.job.device)))
        progress = lease.about.get("progress")
        if isinstance(progress, Mapping) and progress != run.progress:
            run.progress = progress
            self.observer(Progress(run.job.spec, run.worker, run.seconds, progress))

    def put_back(self, run: Watched, reason: str) -> None:
        """Say that a run will be tried again."""
        self.observer(PutBack(run.job.spec, run.worker, run.seconds, reason))
        self._leave(run)
        run.progress = {}

    def ended(self, run: Watched, *, ours: bool = True) -> bool:
        """Tell whether the store has the end of a run, and take note of it.

        Without `ours`, another process that shares the store has ended it.
        """
        spec = run.job.spec
        status = self.store.status(spec)
        if status == "missing" or (status == "failed" and self.store.failure_mark(spec) == run.mark):
            return False
        kind, reason = self._failure(spec) if status == "failed" else ("error", "")
        ending = self.outcome.failed if status == "failed" else self.outcome.done if ours else self.outcome.already
        ending.append(spec)
        if not ours:
            self.observer(Elsewhere(spec, status, reason))
            return True
        self.start(run, run.job.device)
        if status == "done":
            self.observer(Finished(spec, run.worker, run.seconds))
        else:
            self.observer(Failed(spec, run.worker, run.seconds, kind, reason))
        self._leave(run)
        return True

    def give_up(self, run: Watched, kind: FailureKind, reason: str, traceback: str = "") -> None:
        """Keep as a failure what was lost too often; a record that came after all counts before it.

        Raises
        ------
        StoreError
            If the store does not take it.
        """
        spec = run.job.spec
        self.store.fail(spec, self.store.begin(spec), kind=kind, reason=reason, traceback=traceback)
        if not self.ended(run):
            raise StoreError("a failure that was written just now is not there", where=str(self.store.root))

    def _failure(self, spec: RunSpec) -> tuple[FailureKind, str]:
        with suppress(StoreError):
            if (failure := self.store.failure(spec)) is not None:
                return failure.kind, failure.reason
        return "error", "its failure cannot be read"

    def _leave(self, run: Watched) -> None:
        if run.started is not None:
            del self._slots[run.worker]
            run.started = None
