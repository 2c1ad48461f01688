"""The jobs of one call that have not ended: those to start, and those that another process works on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from harness.errors import StoreError
from harness.executors.base import Elsewhere, Observer, Outcome
from harness.store import RunStore
from harness.training.job import Job

__all__ = ["Waiting"]

_LOOK_SECONDS = 1.0


@dataclass
class Waiting:
    """What is left to do, by the store: a run that another process ends is taken note of and not done again.

    Parameters
    ----------
    store : RunStore
    outcome : Outcome
        Is told of runs that have a record already, or end elsewhere.
    observer : callable
        Is told of the latter.
    """

    store: RunStore
    outcome: Outcome
    observer: Observer
    queue: deque[Job] = field(default_factory=deque)
    elsewhere: dict[str, Job] = field(default_factory=dict)
    _failures: dict[str, int | None] = field(default_factory=dict)
    _looked: float = 0.0

    def __bool__(self) -> bool:
        """Tell whether anything is left."""
        return bool(self.queue or self.elsewhere)

    @property
    def patience(self) -> float:
        """Seconds until it is worth looking again what others did; infinite where nothing runs elsewhere."""
        return max(0.0, self._looked + _LOOK_SECONDS - time.monotonic()) if self.elsewhere else float("inf")

    def take(self, jobs: Sequence[Job]) -> list[Job]:
        """Sort out what is done already and what is asked for twice; return the rest, which waits from now on."""
        unique: dict[str, Job] = {}
        for job in jobs:
            unique.setdefault(job.spec.run_id, job)
        for run_id, job in unique.items():
            status = self.store.status(job.spec)
            if status == "done":
                self.outcome.already.append(job.spec)
            else:
                self._failures[run_id] = self.store.failure_mark(job.spec) if status == "failed" else None
                self.queue.append(job)
        return list(self.queue)

    def put_back(self, job: Job) -> None:
        """Let a job wait again, behind all others."""
        self.queue.append(job)

    def claimed(
        self, choose: Callable[[Job], str | None], about: Callable[[Job, str], dict[str, object]]
    ) -> tuple[Job, str] | None:
        """Return the next job that has room now and whose lease could be taken, with its device; None without one.

        A job whose lease another process holds moves to those that run elsewhere.

        Parameters
        ----------
        choose : callable
            The device for a job, or None where it has to wait; it is asked again later then.
        about : callable
            What the lease of a job on a device says.
        """
        skipped: list[Job] = []
        try:
            while self.queue:
                job = self.queue.popleft()
                device = choose(job)
                if device is None:
                    skipped.append(job)
                elif self._claim(job, about(job, device)):
                    return job, device
        finally:
            self.queue.extendleft(reversed(skipped))
        return None

    def look(self) -> None:
        """See what became of the runs that others work on, once a second at most."""
        if self.patience > 0:
            return
        self._looked = time.monotonic()
        for run_id, job in list(self.elsewhere.items()):
            if self._ended(job):
                del self.elsewhere[run_id]
            elif not self.store.leases.is_held(run_id):
                del self.elsewhere[run_id]
                self.queue.appendleft(job)

    def __iter__(self) -> Iterator[Job]:
        """Go through all that is left."""
        yield from self.queue
        yield from self.elsewhere.values()

    def _claim(self, job: Job, about: dict[str, object]) -> bool:
        run_id = job.spec.run_id
        if not self.store.leases.take(run_id, about):
            self.elsewhere[run_id] = job
            self._looked = time.monotonic()
            return False
        # Whoever held the lease before, perhaps until just now, may have ended the run.
        if self._ended(job):
            self.store.leases.release(run_id)
            return False
        return True

    def _ended(self, job: Job) -> bool:
        """Tell whether another process ended a run since this call began, and take note of it."""
        spec = job.spec
        status = self.store.status(spec)
        if status == "done":
            self.outcome.already.append(spec)
            self.observer(Elsewhere(spec, "done"))
            return True
        if status == "failed" and self.store.failure_mark(spec) != self._failures.get(spec.run_id):
            try:
                failure = self.store.failure(spec)
            except StoreError:
                failure = None
            self.outcome.failed.append(spec)
            self.observer(Elsewhere(spec, "failed", failure.reason if failure else ""))
            return True
        return False
