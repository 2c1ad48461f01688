"""What a job does on its node: one run under the local executor, with the same isolation, limits, lease and failures.

submitit ends the job with an error code where the outcome is not a record, so that Slurm's own listings tell the same.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from harness.executors.local import LocalExecutor
from harness.spec import Resources
from harness.store import RunStore
from harness.training.job import Job

__all__ = ["TaskOptions", "run_job"]


@dataclass(frozen=True)
class TaskOptions:
    """What the local executor on the node is told; `harness.executors.local` has the words."""

    resources: Resources
    target: str
    preload: Sequence[str]
    stall_limit: float | None


def run_job(job: Job, options: TaskOptions) -> None:
    """Run one job to its record or its failure, and exit with 1 for a failure, 143 if stopped before the end."""
    # submitit ignores SIGTERM and takes SIGUSR2 for the near end of the time limit: there is nothing to save then,
    # as a run writes its checkpoints by itself, but a SIGTERM is time to drop the draft and give the lease back.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCONT, signal.SIG_DFL)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    if not job.runs_dir.is_dir():
        sys.exit(f"the node {platform.node()} does not see the runs folder {job.runs_dir}: it must be shared")
    store = RunStore(job.runs_dir)
    if unseen := [str(path) for path in (job.features, job.encoder) if path is not None and not path.exists()]:
        reason = f"the node {platform.node()} does not see {' and '.join(unseen)}: the cache folder must be shared"
        store.fail(job.spec, store.begin(job.spec), kind="error", reason=reason)
        sys.exit(reason)
    executor = LocalExecutor(
        workers=1,
        target=options.target,
        preload=options.preload,
        resources=lambda _spec: options.resources,
        stall_limit=options.stall_limit,
        engine="slurm",
    )
    # With the lease taken, so that whoever reads it can find the job in the queue.
    outcome = executor.run([job], store, observer=lambda _: store.leases.say(job.spec.run_id, job=_job_id()))
    sys.stdout.write(f"{job.spec.label}: {store.status(job.spec)}\n")
    sys.stdout.flush()
    if outcome.interrupted:
        sys.exit(128 + signal.SIGTERM)
    if outcome.failed or outcome.not_run:
        sys.exit(os.EX_SOFTWARE if outcome.not_run else 1)


def _job_id() -> str:
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ.get("SLURM_JOB_ID", "")
