"""What the commands do, as functions: from a suite's name to a plan, to runs, to a report. Nothing here prints."""

from __future__ import annotations

from harness.workflow.gating import judge_suite, make_suite_baseline
from harness.workflow.planning import Folders, Planned, plan_suite
from harness.workflow.reporting import ReportOptions, make_report
from harness.workflow.running import Engine, RunOptions, dry_run, make_jobs, run_suite
from harness.workflow.status import StatusRows, expected_seconds, outdated, row_label, run_row, status_rows

__all__ = [
    "Engine",
    "Folders",
    "Planned",
    "ReportOptions",
    "RunOptions",
    "StatusRows",
    "dry_run",
    "expected_seconds",
    "judge_suite",
    "make_jobs",
    "make_report",
    "make_suite_baseline",
    "outdated",
    "plan_suite",
    "row_label",
    "run_row",
    "run_suite",
    "status_rows",
]
