"""What every executor obeys: jobs in, events while they run, an outcome at the end; the store tells what is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from harness.errors import InputError
from harness.executors.cores import available_cores
from harness.spec import RunSpec
from harness.store import FailureKind, RunStore
from harness.training.job import Job

__all__ = [
    "Elsewhere",
    "Event",
    "Executor",
    "Failed",
    "Finished",
    "Observer",
    "Outcome",
    "Progress",
    "PutBack",
    "Started",
    "available_cores",
    "ignore",
    "workers_for",
]


@dataclass(frozen=True)
class Started:
    """A run began.

    Attributes
    ----------
    spec : RunSpec
    worker : int
        The slot that it runs in, from 0.
    seconds : float
        Time since the run began (0 here).
    device : str
        Where it trains, as torch names it.
    """

    spec: RunSpec
    worker: int
    seconds: float = 0.0
    device: str = "cpu"


@dataclass(frozen=True)
class Progress:
    """A run reported something, as a rule once per epoch: `info` is what training passed to its `report`."""

    spec: RunSpec
    worker: int
    seconds: float
    info: Mapping[str, Any]


@dataclass(frozen=True)
class Finished:
    """A run has its record."""

    spec: RunSpec
    worker: int
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A run ended without a record; the store keeps the failure with traceback and log."""

    spec: RunSpec
    worker: int
    seconds: float
    kind: FailureKind
    reason: str


@dataclass(frozen=True)
class PutBack:
    """A run ended without a verdict on itself (out of memory beside others, a lost node) and will be tried again."""

    spec: RunSpec
    worker: int
    seconds: float
    reason: str


@dataclass(frozen=True)
class Elsewhere:
    """Another process that shares the store ended a run."""

    spec: RunSpec
    status: Literal["done", "failed"]
    reason: str = ""


Event: TypeAlias = Started | Progress | Finished | Failed | PutBack | Elsewhere
Observer: TypeAlias = Callable[[Event], None]


@dataclass
class Outcome:
    """What became of the jobs, each list in the order in which it happened.

    Attributes
    ----------
    done, failed : list of RunSpec
        Ended now, with and without a record at the end; a failure of another process that shares the store counts.
    already : list of RunSpec
        Had a record before, or got one from another process while they waited.
    not_run : list of RunSpec
        Not tried, or stopped before the end; in the order of the jobs.
    interrupted : bool
        Whether Ctrl-C or SIGTERM ended it.
    """

    done: list[RunSpec] = field(default_factory=list)
    failed: list[RunSpec] = field(default_factory=list)
    already: list[RunSpec] = field(default_factory=list)
    not_run: list[RunSpec] = field(default_factory=list)
    interrupted: bool = False


def ignore(event: Event) -> None:
    """Watch nothing."""
    del event


class Executor(Protocol):
    """Runs jobs and returns when each has a record, a failure, or was given up."""

    def run(self, jobs: Sequence[Job], store: RunStore, *, observer: Observer = ignore) -> Outcome:
        """Run what the store does not hold yet.

        Raises
        ------
        InputError
            If the executor cannot run these jobs at all.
        StoreError
            If the store fails under a run: going on would lose more.
        """


def workers_for(threads: int, workers: int | None = None) -> int:
    """Return the number of worker processes for runs of `threads` threads: as asked, or as many as fit.

    Raises
    ------
    InputError
        If they would need more threads than there are cores: such runs slow each other down.
    """
    cores = available_cores()
    if workers is not None and workers < 1:
        raise InputError(f"at least one worker is needed, not {workers}", where="--workers")
    if threads > cores:
        raise InputError(
            f"a run asks for {threads} threads, but only {cores} core(s) can be used here",
            where="threads of the suite",
            hint=f"set threads to {cores} or less (a thread count is part of a run's identity)",
        )
    if workers is not None and workers * threads > cores:
        raise InputError(
            f"{workers} worker(s) of {threads} thread(s) need {workers * threads} cores, but only {cores} can be used",
            where="--workers",
            hint=f"ask for {cores // threads} worker(s) or fewer, or leave --workers out",
        )
    return workers if workers is not None else max(1, cores // threads)
