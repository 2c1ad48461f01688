"""Runs on a Slurm cluster, watched from the machine that submits them.

Whether a run is done is read from the store alone. The queue is asked about what the store does not know: a job that
is gone without a record or a failure is lost, and is submitted again if Slurm cut it (it goes on from its checkpoint),
or not, if somebody cancelled it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.executors.base import Observer, Outcome, ignore
from harness.executors.bell import signals_as_bytes
from harness.executors.local import PRELOAD, STALL_SECONDS
from harness.executors.slurm.session import Session
from harness.executors.waiting import Waiting
from harness.spec import Resources, RunSpec
from harness.store import RunStore
from harness.training.job import Job

__all__ = ["SlurmExecutor"]

_ROOM_SECONDS = 600.0
"""What a job has beyond the time limit of its run: to import, to wait for a lease, to publish."""
_ROOM_GIB = 1.0
"""What a job has beyond the memory of its run: the executor on the node, and the modules it has imported."""
_OURS = frozenset({"array", "comment", "job_name"})


@dataclass(frozen=True)
class SlurmExecutor:
    """Job arrays on a Slurm cluster, one for each kind of resources.

    The nodes must see the runs folder (and in it `folder`), the cache folder and this Python under the same paths as
    this machine, and get this process's environment, as ``sbatch`` passes it on by default.

    Ctrl-C detaches: the jobs stay in the queue, and the next call adopts them instead of submitting them again.

    Parameters
    ----------
    folder : Path
        Where job files and their logs go; below the runs folder.
    partition, account : str, optional
        As ``sbatch`` takes them.
    max_parallel : int, optional
        How many jobs of one array may run side by side.
    resources : callable, optional
        What a run needs. Its time limit and memory are held on the node; Slurm is asked for somewhat more. A run on
        a GPU gets a whole one: Slurm does not share them.
    setup : sequence of str
        Shell lines that are run before Python is started, such as ``module load cuda``.
    extra : mapping
        Further long options of ``sbatch``, such as ``{"qos": "long", "time": "2:00:00"}``; they win over all others.
    poll_seconds : float
        Time between two looks at the store and the queue.
    patience : float
        Seconds that a record may take to be seen here once its job has left the queue: network file systems show new
        files late.
    silence : float
        Seconds after which a running job without a live lease counts as lost, and a controller that does not answer
        as gone.
    resubmit : int
        How often a lost run is submitted again. What the time limit or a node cut does not count if it got further
        than ever before.
    target, preload, stall_limit
        As in `LocalExecutor`, on the node.
    """

    folder: Path
    partition: str | None = None
    account: str | None = None
    max_parallel: int | None = None
    resources: Callable[[RunSpec], Resources] | None = None
    setup: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    poll_seconds: float = 10.0
    patience: float = 60.0
    silence: float = 600.0
    resubmit: int = 2
    target: str = "harness.training.run:execute"
    preload: Sequence[str] = PRELOAD
    stall_limit: float | None = STALL_SECONDS

    def __post_init__(self) -> None:
        if taken := sorted(_OURS & {key.replace("-", "_") for key in self.extra}):
            raise InputError(f"the harness itself sets {', '.join(taken)}", where="options for sbatch")
        if self.max_parallel is not None and self.max_parallel < 1:
            raise InputError(f"at least one job must run, not {self.max_parallel}", where="max_parallel")

    def run(self, jobs: Sequence[Job], store: RunStore, *, observer: Observer = ignore) -> Outcome:
        """Submit the jobs that have no record and are not in the queue yet, and watch until each has ended.

        Runs whose jobs were cancelled, here or with ``scancel``, come back under ``not_run``.

        Raises
        ------
        InputError
            If Slurm or submitit is missing, ``sbatch`` refuses, or the controller is silent for too long.
        StoreError
            If the store fails.
        """
        outcome = Outcome()
        session = Session(self, store, observer, outcome)
        marks = {job.spec.run_id: store.failure_mark(job.spec) for job in jobs}
        taken = Waiting(store, outcome, observer).take(jobs)
        if taken:
            try:
                with signals_as_bytes() as bell:
                    session.begin([_absolute(job) for job in taken], marks, bell)
                    session.watch(bell)
            except KeyboardInterrupt:
                outcome.interrupted = True
        ended = {spec.run_id for spec in outcome.done + outcome.failed + outcome.already}
        outcome.not_run = [job.spec for job in taken if job.spec.run_id not in ended]
        return outcome

    def parameters(self, job: Job, count: int) -> dict[str, Any]:
        """Return what submitit is told for an array of `count` jobs like this one."""
        needs = self.needs(job.spec)
        return {
            "partition": self.partition,
            "account": self.account,
            "cpus_per_task": job.spec.threads,
            # None leaves an option out, where submitit would set one of its own: five minutes, for instance.
            "time": math.ceil((needs.time_limit + _ROOM_SECONDS) / 60) if needs.time_limit else None,
            "mem": f"{math.ceil((needs.memory_gib + _ROOM_GIB) * 1024)}M" if needs.memory_gib else None,
            "gpus_per_node": None if job.device == "cpu" else 1,
            "array_parallelism": min(self.max_parallel or count, count),
            "setup": list(self.setup),
            "wckey": None,
            # One process on one node: srun would add nothing, and since Slurm 22.05 gives its step one core only.
            "use_srun": False,
            "signal_delay_s": 0,
            "additional_parameters": {key.replace("-", "_"): value for key, value in self.extra.items()},
        }

    def needs(self, spec: RunSpec) -> Resources:
        """Return what a run needs."""
        return self.resources(spec) if self.resources else Resources()


def _absolute(job: Job) -> Job:
    encoder = None if job.encoder is None else job.encoder.absolute()
    return replace(job, runs_dir=job.runs_dir.absolute(), features=job.features.absolute(), encoder=encoder)
