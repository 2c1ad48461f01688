"""What stands in the place of training where the runner alone is measured: a record without numbers, at once."""

from __future__ import annotations

from harness.executors.worker import Report
from harness.store import RunStore
from harness.training.job import Job

__all__ = ["trivial"]


def trivial(job: Job, report: Report) -> None:
    """Publish a record that says nothing but what was asked."""
    report({"epoch": 1})
    if job.draft is None:
        raise ValueError("a job without a draft")
    text = (
        f'{{"schema_version": 1, "run_id": "{job.spec.run_id}", "spec": {job.spec.model_dump_json()}, "metrics": {{}}}}'
    )
    (job.draft / "record.json").write_text(text, encoding="utf-8")
    RunStore(job.runs_dir).publish(job.spec, job.draft)
