"""One call of the Slurm executor: what is open, what became of it, and what has to be submitted again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from harness.executors.base import Observer, Outcome
from harness.executors.slurm import queue
from harness.executors.slurm.batches import Batches
from harness.executors.slurm.queue import Entry, QueueError
from harness.executors.slurm.task import TaskOptions, run_job
from harness.executors.watching import Watched, Watching
from harness.store import FailureKind, Lease, RunStore
from harness.training.job import Job

if TYPE_CHECKING:
    from harness.executors.slurm.executor import SlurmExecutor

__all__ = ["Session"]

_WORDS: Mapping[str, str] = {
    "TIMEOUT": "Slurm's time limit cut the job",
    "DEADLINE": "Slurm's deadline cut the job",
    "NODE_FAIL": "the node of the job failed",
    "BOOT_FAIL": "the node of the job did not boot",
    "PREEMPTED": "the job was preempted",
    "OUT_OF_MEMORY": "the job ran out of the memory that Slurm gave it",
    "FAILED": "the job died",
    "COMPLETED": "the job ended",
}
_PENDING_LOOKS = 30
_CUT = frozenset({"TIMEOUT", "DEADLINE", "PREEMPTED", "NODE_FAIL"})


@dataclass(eq=False)
class _Watched(Watched):
    """One run that has not ended, and what the queue says of it."""

    number: int = 0  # of the submission that counts: older ones may still be shown
    place: tuple[str, str] = ("", "")  # the job's id and its folder's name
    state: str = ""
    tries: int = 0
    alive: float = 0.0
    gone: float | None = None
    furthest: int = 0
    reached: int = 0


@dataclass
class Session:
    """One call of `SlurmExecutor.run`."""

    options: SlurmExecutor
    store: RunStore
    observer: Observer
    outcome: Outcome
    open: dict[str, _Watched] = field(default_factory=dict)
    due: dict[str, _Watched] = field(default_factory=dict)
    answered: float = field(default_factory=time.monotonic)
    refused: float | None = None
    looks: int = 0

    def __post_init__(self) -> None:
        self.batches = Batches(self.options.folder)
        self.watching = Watching(self.store, self.observer, self.outcome)

    def begin(self, jobs: Sequence[Job], marks: Mapping[str, int | None], bell: int) -> None:
        """Adopt what is in the queue already, and submit the rest."""
        self.batches.tidy()
        self.open = {job.spec.run_id: _Watched(job, marks[job.spec.run_id]) for job in jobs}
        shown = self.batches.queue()
        for run_id, watched in self.open.items():
            if not self._adopt(watched, shown.get(run_id, [])):
                self.due[run_id] = watched
        self._submit(bell)

    def watch(self, bell: int) -> None:
        """Look at the store and the queue until nothing is open, or a byte arrives on `bell`."""
        while self.open:
            if wait([bell], self.options.poll_seconds):
                raise KeyboardInterrupt
            self.looks += 1
            shown = self._ask()
            leases = {lease.run_id: lease for lease in self.store.leases.all()}
            for run_id, watched in list(self.open.items()):
                self._look(watched, None if shown is None else shown.get(run_id, []), leases.get(run_id))
            if shown is not None:
                self._submit_again(bell)

    def _ask(self) -> dict[str, list[Entry]] | None:
        """Return what the queue holds of each run; None while the controller is silent, but not for ever."""
        try:
            shown = self.batches.queue()
        except QueueError as error:
            if time.monotonic() - self.answered <= self.options.silence:
                return None
            hint = "the jobs go on in the queue: give the same command again once Slurm answers, and it adopts them"
            raise QueueError(error.what, where=error.where, hint=hint) from error
        self.answered = time.monotonic()
        return shown

    def _look(self, watched: _Watched, shown: Sequence[Entry] | None, lease: Lease | None) -> None:
        """See what became of a run: by the store first, which was filled before the queue was asked."""
        if watched.job.spec.run_id in self.due:
            return
        if shown is not None and self._adopt(watched, shown) and watched.state == "PENDING" and lease is None:
            self._queued(watched)
            # Another process may end it meanwhile, but thousands of waiting jobs are not worth that many questions.
            if self.looks % _PENDING_LOOKS:
                return
        if self._ended(watched):
            return
        if lease is not None:
            self._follow(watched, lease)
        if shown is None:
            return
        if watched.gone is None:
            self._listen(watched)
        elif time.monotonic() - watched.gone >= self.options.patience:
            self._lost(watched)

    def _adopt(self, watched: _Watched, shown: Sequence[Entry]) -> bool:
        """Take note of where a run stands in the queue, and tell whether it is there at all."""
        known = [entry for entry in shown if entry.live or entry.number >= watched.number]
        entry = next((entry for entry in reversed(known) if entry.live), known[-1] if known else None)
        if entry is not None:
            watched.number, watched.state = entry.number, entry.state
            watched.place = (entry.job_id, entry.comment)
        if entry is not None and entry.live:
            watched.gone = None
            return True
        watched.gone = watched.gone or time.monotonic()
        return False

    def _queued(self, watched: _Watched) -> None:
        if watched.started is not None:
            self.watching.put_back(watched, "Slurm queued the job again")
        watched.alive = 0.0

    def _follow(self, watched: _Watched, lease: Lease) -> None:
        """Tell what the lease of a run says of it, and remember how far it got."""
        self.watching.follow(watched, lease)
        if isinstance(epoch := watched.progress.get("epoch"), int):
            watched.reached = max(watched.reached, epoch)

    def _ended(self, watched: _Watched) -> bool:
        """Tell whether the store has the end of a run, and close it."""
        ended = self.watching.ended(watched)
        if ended:
            del self.open[watched.job.spec.run_id]
        return ended

    def _listen(self, watched: _Watched) -> None:
        """Give up a job that Slurm holds to be running, but whose process shows no sign of life.

        A slurmstepd that was killed with its task leaves such a job, for half an hour or for ever.
        """
        now = time.monotonic()
        quiet = watched.state in {"RUNNING", "COMPLETING"} and not self.store.leases.is_held(watched.job.spec.run_id)
        if not quiet or not watched.alive:
            watched.alive = now
        elif now - watched.alive > self.options.silence:
            with suppress(QueueError):
                queue.scancel([watched.place[0]])
            watched.state = f"{watched.state}, but without a sign of life for {self.options.silence:g} s"
            self._lost(watched)

    def _lost(self, watched: _Watched) -> None:
        """Decide about a run whose job is gone without a word in the store."""
        if watched.state == "CANCELLED":
            del self.open[watched.job.spec.run_id]  # and so it ends under not_run
            return
        words = _WORDS.get(watched.state, f"the job was {watched.state}" if watched.state else "the job is gone")
        reason = f"{words} (job {watched.place[0]})"
        further = watched.state in _CUT and watched.reached > watched.furthest
        watched.furthest = max(watched.furthest, watched.reached)
        watched.tries += not further
        if watched.tries > self.options.resubmit:
            self._give_up(watched, reason)
            return
        self.watching.put_back(watched, reason)
        self.due[watched.job.spec.run_id] = watched

    def _give_up(self, watched: _Watched, reason: str) -> None:
        """Keep as a failure what was lost too often."""
        spec = watched.job.spec
        kind: FailureKind = "timeout" if watched.state in {"TIMEOUT", "DEADLINE"} else "crash"
        kind = "memory" if watched.state == "OUT_OF_MEMORY" else kind
        log = self.batches.log(*watched.place)
        reason = f"given up after {watched.tries} job(s): {reason}"
        if not log:
            reason += "; it left no log: do the nodes see the runs folder, and this Python?"
        self.watching.give_up(watched, kind, reason, "\n".join(log))
        del self.open[spec.run_id]

    def _submit_again(self, bell: int) -> None:
        """Submit what was lost; what Slurm refuses now, it may take later, while the others are watched."""
        try:
            self._submit(bell)
        except QueueError:
            now = time.monotonic()
            self.refused = self.refused or now
            if now - self.refused > self.options.silence:
                raise
        else:
            self.refused = None

    def _submit(self, bell: int) -> None:
        """Submit what is due, one array for each kind of resources."""
        for group in self._groups():
            if wait([bell], 0):
                raise KeyboardInterrupt
            needs = self.options.needs(group[0].job.spec)
            task = TaskOptions(needs, self.options.target, tuple(self.options.preload), self.options.stall_limit)
            try:
                places = self.batches.submit(
                    [watched.job.spec.run_id for watched in group],
                    run_job,
                    [(watched.job, task) for watched in group],
                    self.options.parameters(group[0].job, len(group)),
                )
            except QueueError:
                if wait([bell], 0):  # Ctrl-C reaches sbatch as well
                    raise KeyboardInterrupt from None
                raise
            for watched, place in zip(group, places, strict=True):
                watched.number, watched.place, watched.state = int(place[0].partition("_")[0]), place, ""
                watched.gone, watched.alive = None, 0.0
                del self.due[watched.job.spec.run_id]

    def _groups(self) -> Iterator[list[_Watched]]:
        if not self.due:
            return
        limit = queue.array_limit()
        kinds: dict[tuple[Any, ...], list[_Watched]] = {}
        for watched in self.due.values():
            spec = watched.job.spec
            needs = self.options.needs(spec)
            kind = (spec.threads, watched.job.device != "cpu", needs.memory_gib, needs.time_limit)
            kinds.setdefault(kind, []).append(watched)
        for alike in kinds.values():
            for start in range(0, len(alike), limit):
                yield alike[start : start + limit]
