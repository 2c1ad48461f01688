"""A target for workers whose runs end well, fail or hang, by their seed."""

from __future__ import annotations

from harness.executors.worker import Report
from harness.training.job import Job
from tests.executors.stubs import always_hangs, good

__all__ = ["FAILS", "HANGS", "by_seed"]

FAILS, HANGS = 13, 666


def by_seed(job: Job, report: Report) -> None:
    if job.spec.seed == FAILS:
        raise ValueError("[red]坏\x1b[2J value")
    if job.spec.seed == HANGS:
        report({"epoch": 1, "train_loss": 1.0, "valid_loss": 2.0, "best": True})
        always_hangs(job, lambda _said: None)
    good(job, report)
