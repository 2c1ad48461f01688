"""``harness run``, ``harness status`` and ``harness cancel``: what they print."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from harness import workflow
from harness.data import Finding
from harness.display import Format, RunDisplay, counting, err, print_rows, seconds_text, watch
from harness.errors import InputError
from harness.executors import available_cores
from harness.plan import Source
from harness.store import RunStore, Status
from harness.workflow import Folders, Planned, ReportOptions, RunOptions

__all__ = ["cancel_runs", "show_dry_run", "show_run", "show_status"]

_SLURM = "slurm"


def show_run(
    planned: Planned, folders: Folders, options: RunOptions, how: Format, *, quiet: bool = False, report: bool = True
) -> int:
    """Run what is missing, show how it goes, render the report, and return the exit code."""
    statuses = {run.run_id: planned.store.status(run) for run in planned.plan.runs}
    if not quiet:
        _announce(planned, Counter(statuses.values()), options)
    waiting = [run for run in planned.plan.runs if statuses[run.run_id] in options.tried]
    with RunDisplay(
        len(waiting),
        quiet=quiet,
        workers=options.workers or max(1, available_cores() // planned.plan.suite.threads),
        expected={} if quiet else workflow.expected_seconds(planned.store, waiting),
        leases=planned.store.leases,
    ) as display:
        outcome = workflow.run_suite(planned, folders, options, observer=display, notice=_notice)
    if outcome.interrupted:
        left = f"interrupted: {len(outcome.not_run)} run(s) left; the same command goes on from here"
        if options.engine == _SLURM:
            left += ", and takes up what stays in the queue ('harness cancel' empties it)"
        err.print(left, soft_wrap=True)
        return 130
    _summary(workflow.status_rows(planned), how)
    if report:
        page, *_ = workflow.make_report(planned, folders, ReportOptions(progress=counting))
        err.print(f"report: {page}", soft_wrap=True)
    if outcome.failed:
        err.print("run again with --retry-failed to try failed runs again", soft_wrap=True)
    elif outcome.not_run:
        err.print(f"{len(outcome.not_run)} run(s) were cancelled or lost; the same command tries them again")
    return 1 if outcome.failed or outcome.not_run else 0


def show_dry_run(planned: Planned, options: RunOptions, how: Format) -> None:
    """List what would run, and how long it should take."""
    rows, todo, seconds = workflow.dry_run(planned, options)
    print_rows(rows, how, title=f"suite {planned.plan.suite.name}")
    guess = f", about {seconds_text(seconds)}" if seconds else ""
    unknown = "" if seconds is not None or not todo else ", time unknown: no record of the same kind yet"
    err.print(f"{todo} of {len(rows)} runs to do{guess}{unknown}")


def show_status(planned: Planned, how: Format, *, watching: bool = False) -> int:
    """List what is done, failed, running or missing, once or until nothing is left; return the exit code."""
    if watching and how is not Format.table:
        raise InputError("a listing that goes on is for people", where="--watch", hint="leave --format out")
    status, queue = workflow.StatusRows(planned), _Queue(planned.store)
    if watching:
        rows = watch(lambda: queue.told(status()), left=status.left)
    else:
        rows = queue.told(status())
        title = f"suite {planned.plan.suite.name}"
        print_rows(rows, how, title=title, optional=("reason", "where", "progress"), hidden=("log",))
    for row in rows if how is Format.table else ():
        if row["log"]:
            err.print(f"log of {workflow.row_label(row)}: {row['log']}", soft_wrap=True)
    err.print(_counts(rows))
    _mention_outdated(planned)
    return 1 if any(row["status"] == "failed" for row in rows) else 0


def cancel_runs(runs: Path) -> None:
    """Take everything out of Slurm's queue that was submitted from a runs folder."""
    from harness.executors.slurm import cancel

    ended = cancel(RunStore(runs).engine_folder(_SLURM))
    err.print(f"{len(ended)} job(s) cancelled" if ended else "nothing of this runs folder is in the queue")


class _Queue:
    """What Slurm's queue knows of runs that the store knows nothing of; asks nobody where nothing was submitted."""

    def __init__(self, store: RunStore) -> None:
        self._folder = store.engine_folder(_SLURM)

    def told(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows, with the state of those that wait in the queue."""
        if not self._folder.is_dir():
            return rows
        from harness.executors.slurm import QueueError, queue_states

        try:
            states = queue_states(self._folder)
        except QueueError as error:
            err.print(f"slurm: {error.what}", soft_wrap=True)
            return rows
        return [
            {**row, "where": f"slurm: {states[row['run_id']].lower()}"}
            if row["status"] == "missing" and row["run_id"] in states
            else row
            for row in rows
        ]


def _notice(source: Source, finding: Finding) -> None:
    """Say what is odd about a feature file that can be used all the same."""
    if finding.level == "warning":
        title, where = source.dataset.title, f"{source.setting}, {finding.where}"
        err.print(f"data: {title} ({where}): {finding.message}", soft_wrap=True)


def _announce(planned: Planned, statuses: Counter[Status], options: RunOptions) -> None:
    """Say before the first run what will happen, and which cells cannot be."""
    plan = planned.plan
    left_alone = statuses["failed"] and not options.retry_failed
    left_out = f", {statuses['failed']} failed before and left alone" if left_alone else ""
    err.print(
        f"suite {plan.suite.name}: {len(plan.runs)} runs, {statuses['done']} of them done already{left_out}",
        soft_wrap=True,
    )
    _mention_outdated(planned)
    if options.engine != "local" and (options.device or plan.suite.device) == "auto":
        err.print("device auto: what this machine has decides; --device cuda asks for a GPU where the runs are made")
    if any(source.dataset.synthetic for source in plan.sources):
        err.print("its data are synthetic: the numbers say nothing about real data", soft_wrap=True)
    for reason in dict.fromkeys(cell.skipped for cell in plan.cells if cell.skipped):
        err.print(f"not run: {reason}", soft_wrap=True)
    shared = {(c.dataset.title, c.variant, c.alias_of) for c in plan.cells if c.alias_of}
    for title, variant, other in sorted(shared, key=str):
        err.print(
            f"{title}: -{variant} is the same run as -{other}, run once and shown under both names", soft_wrap=True
        )


def _mention_outdated(planned: Planned) -> None:
    """Say where records went that a change of sources or data has put out of date."""
    if count := workflow.outdated(planned):
        err.print(
            f"{count} missing run(s) have records from other sources, data, text encoders or hyper-parameters: those "
            "do not count",
            soft_wrap=True,
        )


def _summary(rows: list[dict[str, Any]], how: Format) -> None:
    if how is not Format.table:
        print_rows(rows, how)
        return
    for row in rows:
        if row["status"] == "failed":
            err.print(f"failed: {workflow.row_label(row)}: {row['reason']}", soft_wrap=True)
            if row["log"]:
                err.print(f"  log: {row['log']}", soft_wrap=True)
    err.print(_counts(rows))


def _counts(rows: list[dict[str, Any]]) -> str:
    """Say how many runs are done, failed or missing, and running where some are."""
    counts = Counter(row["status"] for row in rows)
    named = [status for status in ("done", "failed", "running", "missing") if status != "running" or counts[status]]
    return ", ".join(f"{counts[status]} {status}" for status in named)
