"""What Ray tasks run in these tests."""

from __future__ import annotations

import os
import time
from pathlib import Path

from harness.executors.worker import Report
from harness.store import RunStore
from harness.training.job import Job
from tests.helpers import fill_draft


def noted(job: Job, report: Report) -> None:
    """Note the attempt, and where it runs, beside the runs folder; take a moment."""
    report({"epoch": 1, "train_loss": 1.0})
    with (job.runs_dir.parent / "attempts").open("a") as file:
        file.write(f"{job.spec.seed}\n")
    time.sleep(1.5)
    warm(job, report)


def warm(job: Job, report: Report) -> None:
    """Record the process that this one was forked from, and the features that it got."""
    del report
    assert job.draft is not None
    fill_draft(job.draft, job.spec, server=os.getppid(), features=str(job.features))
    RunStore(job.runs_dir).publish(job.spec, job.draft)


def reads(job: Job, report: Report) -> None:
    """Fail where the features are not what the test wrote."""
    for path in sorted(Path(job.features).iterdir()):
        number = int(path.name)
        assert path.read_bytes() == bytes([number]) * (number * 17_000_000)
    warm(job, report)
