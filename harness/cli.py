"""The command line: parse, call one function, print, exit code.

0 done; 1 the thing asked about is bad (failed runs); 2 the question was bad (usage, missing or broken input, a folder
that cannot be written); 130 interrupted, with a clean store.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness import (
    __version__,
    audit_command,
    clean_commands,
    cost_command,
    data_commands,
    gate_command,
    new_commands,
    record_commands,
    suite_commands,
    workflow,
)
from harness.display import Format, counting, err, print_error, print_rows
from harness.errors import HarnessError, InputError
from harness.options import (
    CacheDir,
    DataDir,
    Datasets,
    FormatOption,
    Listed,
    Models,
    ReportsDir,
    RunsDir,
    Seeds,
    SuiteOption,
    Variants,
    selection,
    split,
)
from harness.workflow import Folders, ReportOptions, RunOptions

__all__ = ["app", "main", "run_command"]

app = typer.Typer(
    name="harness",
    help="Benchmark reproduction harness for multimodal sentiment analysis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_commands.app, name="data")
app.add_typer(clean_commands.app, name="clean")
app.add_typer(new_commands.app, name="new")
record_commands.register(app)
gate_command.register(app)


class ExecutorName(StrEnum):
    """Who runs the specs."""

    local = "local"
    ray = "ray"
    slurm = "slurm"


class Style(StrEnum):
    """Whose layout LaTeX tables have."""

    harness = "harness"
    paper = "paper"


class Device(StrEnum):
    """Where to train."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        sys.stdout.write(f"harness {__version__}\n")
        raise typer.Exit


@app.command("run")
def _run(
    suite: SuiteOption,
    data_dir: DataDir = None,
    models: Models = None,
    variants: Variants = None,
    seeds: Seeds = None,
    datasets: Datasets = None,
    executor: Annotated[ExecutorName, typer.Option(help="Who runs the specs.")] = ExecutorName.local,
    workers: Annotated[int | None, typer.Option(help="Runs side by side [cores / threads of a run].")] = None,
    device: Annotated[Device | None, typer.Option(help="Where to train [the suite's choice].")] = None,
    checkpoints: Annotated[
        float, typer.Option(help="Seconds between two states that a long run writes; 0 every epoch, negative never.")
    ] = 60.0,
    address: Annotated[str | None, typer.Option(help="Ray: an existing cluster, auto or host:port.")] = None,
    partition: Annotated[str | None, typer.Option(help="Slurm: where to submit.")] = None,
    account: Annotated[str | None, typer.Option(help="Slurm: who pays.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed runs again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would run, and stop.")] = False,
    report: Annotated[bool, typer.Option(help="Render the report at the end.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print failures and the report's place only.")] = False,
    runs_dir: RunsDir = None,
    reports_dir: ReportsDir = None,
    cache_dir: CacheDir = None,
    how: FormatOption = Format.table,
) -> None:
    """Run what is missing of a suite, then render its report."""
    every = None if checkpoints < 0 else checkpoints
    options = RunOptions(
        engine=executor.value,
        workers=workers,
        device=device.value if device else None,
        retry_failed=retry_failed,
        checkpoint_seconds=every,
        address=address,
        partition=partition,
        account=account,
    )
    folders = Folders.resolve(data_dir, runs_dir, reports_dir, cache_dir)
    pick = selection(models, variants, seeds, datasets)
    planned = workflow.plan_suite(suite, pick, folders, need_data=True, download=not dry_run)
    if dry_run:
        suite_commands.show_dry_run(planned, options, how)
    elif code := suite_commands.show_run(planned, folders, options, how, quiet=quiet, report=report):
        raise typer.Exit(code)


@app.command("status")
def _status(
    suite: SuiteOption,
    data_dir: DataDir = None,
    models: Models = None,
    variants: Variants = None,
    seeds: Seeds = None,
    datasets: Datasets = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again until nothing is left.")] = False,
    runs_dir: RunsDir = None,
    cache_dir: CacheDir = None,
    how: FormatOption = Format.table,
) -> None:
    """List what of a suite is done, failed, running or missing; exit code 1 if something failed."""
    folders = Folders.resolve(data_dir, runs_dir, None, cache_dir)
    pick = selection(models, variants, seeds, datasets)
    planned = workflow.plan_suite(suite, pick, folders, need_data=False)
    if code := suite_commands.show_status(planned, how, watching=watch):
        raise typer.Exit(code)


@app.command("cancel")
def _cancel(runs_dir: RunsDir = None) -> None:
    """Take everything out of Slurm's queue that was submitted from this runs folder; finished runs are kept."""
    suite_commands.cancel_runs(Folders.resolve(None, runs_dir, None, None).runs)


@app.command("report")
def _report(
    suite: SuiteOption,
    data_dir: DataDir = None,
    models: Models = None,
    variants: Variants = None,
    seeds: Seeds = None,
    datasets: Datasets = None,
    runs_dir: RunsDir = None,
    reports_dir: ReportsDir = None,
    cache_dir: CacheDir = None,
    figures: Annotated[
        bool | None, typer.Option("--figures/--no-figures", help="Draw what has changed [the suite's choice].")
    ] = None,
    costs: Annotated[
        bool | None, typer.Option("--costs/--no-costs", help="Count what is not counted yet [the suite's choice].")
    ] = None,
    case_model: Annotated[str | None, typer.Option("--case-model", help="Whose cases to show [MulT].")] = None,
    ids: Annotated[Listed | None, typer.Option("--ids", help="Cases by hand: utterance ids.")] = None,
    case_notes: Annotated[
        Path | None, typer.Option("--case-notes", help="CSV: id, translation, acoustic, visual.", show_default=False)
    ] = None,
    style: Annotated[
        Style, typer.Option(help="Layout of the LaTeX tables: with spread and tests, or the paper's.")
    ] = Style.harness,
    how: FormatOption = Format.table,
) -> None:
    """Render a suite's report again from its records."""
    folders = Folders.resolve(data_dir, runs_dir, reports_dir, cache_dir)
    pick = selection(models, variants, seeds, datasets)
    planned = workflow.plan_suite(suite, pick, folders, need_data=False)
    options = ReportOptions(figures, costs, case_model, split(ids, "--ids"), case_notes, style.value, counting)
    print_rows([{"file": str(path)} for path in workflow.make_report(planned, folders, options)], how)


@app.command("compare")
def _compare(
    suite: SuiteOption,
    a: Annotated[
        str | None, typer.Option("--a", help="Compare with this variant or model (LMF-fg) [the suite's baseline].")
    ] = None,
    b: Annotated[str | None, typer.Option("--b", help="Only this [all others].")] = None,
    levels: Annotated[
        Listed | None,
        typer.Option("--level", help="Any of seeds, models, ranks, paper, items [all but items; CSV: seeds]."),
    ] = None,
    resamples: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="Bootstrap resamples and random swaps.")
    ] = 10_000,
    data_dir: DataDir = None,
    models: Models = None,
    seeds: Seeds = None,
    datasets: Datasets = None,
    runs_dir: RunsDir = None,
    cache_dir: CacheDir = None,
    how: FormatOption = Format.table,
) -> None:
    """Test differences between variants or models of a suite, over seeds, models and test utterances."""
    # Imports pandas and scipy, a second that the other commands need not wait for.
    from harness import compare_command

    folders = Folders.resolve(data_dir, runs_dir, None, cache_dir)
    pick = selection(models, None, seeds, datasets)
    chosen = compare_command.parse_levels(split(levels, "--level"), how)
    planned = workflow.plan_suite(suite, pick, folders, need_data=False)
    compare_command.show_comparison(planned, a, b, chosen, how, resamples, narrowed=bool(pick.models))


@app.command("costs")
def _costs(
    suite: SuiteOption = "paper",
    models: Models = None,
    variants: Variants = None,
    datasets: Datasets = None,
    how: FormatOption = Format.table,
) -> None:
    """Count parameters and operations, beside what the paper prints; needs no data and no download."""
    cost_command.show_costs(suite, selection(models, variants, None, datasets), how)


@app.command("audit")
def _audit(
    costs: Annotated[
        bool, typer.Option("--costs/--no-costs", help="Count the models' costs, about a minute, and compare them.")
    ] = True,
    report: Annotated[
        bool, typer.Option("--report", help="Write the findings and the re-analysis as a report, and list its files.")
    ] = False,
    reports_dir: ReportsDir = None,
    how: FormatOption = Format.table,
) -> None:
    """Check the paper's tables against themselves, their metrics and our costs; exit code 1 if one is impossible."""
    if reports_dir and not report:
        raise InputError("no report is asked for", where="--reports-dir", hint="add --report")
    reports = Folders.resolve(None, None, reports_dir, None).reports if report else None
    if not audit_command.show_audit(how, costs=costs, reports=reports):
        raise typer.Exit(1)


def run_command(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; tests call this."""
    try:
        result = app(args=list(argv), prog_name="harness", standalone_mode=False)
    except HarnessError as error:
        print_error(error)
        return error.exit_code
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        err.print("interrupted")
        return 130
    except Exception as error:
        # click's own usage errors print themselves; anything else is a defect and keeps its traceback
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return int(getattr(error, "exit_code", 2))
    return int(result or 0)


def main() -> None:
    """Entry point of the ``harness`` script; SIGTERM ends it as Ctrl-C does, with nothing half-written left."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # an ignored signal stays ignored
        signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(run_command(sys.argv[1:]))


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
