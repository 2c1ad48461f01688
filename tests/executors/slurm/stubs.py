"""What jobs run in the tests of the Slurm executor."""

from __future__ import annotations

import os
import time

from harness.executors.worker import Report
from harness.training.job import Job
from tests.executors.stubs import good

__all__ = ["hangs_at_first", "waits"]


def waits(job: Job, report: Report) -> None:
    """Report, and go on once there is a file ``go`` in the runs folder."""
    report({"epoch": 1, "pid": os.getpid()})
    while not (job.runs_dir / "go").exists():
        time.sleep(0.05)
    good(job, report)


def hangs_at_first(job: Job, report: Report) -> None:
    """Hang at the first try, and do well at the second."""
    try:
        (job.runs_dir / f"tried-{job.spec.seed}").touch(exist_ok=False)
    except FileExistsError:
        good(job, report)
    else:
        report({"epoch": 1, "pid": os.getpid()})
        time.sleep(600)
