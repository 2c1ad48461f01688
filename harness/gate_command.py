"""``harness baseline`` and ``harness gate``: numbers taken down, and held against."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from harness import workflow
from harness.disk import replace_file
from harness.display import Format, counting, err, print_error, print_json, print_rows
from harness.errors import HarnessError, InputError, StoreError
from harness.options import (
    CacheDir,
    DataDir,
    Datasets,
    FormatOption,
    Models,
    RunsDir,
    Seeds,
    SuiteOption,
    Variants,
    selection,
    split,
)
from harness.plan import Selection
from harness.suite_commands import show_run
from harness.wording import counted
from harness.workflow import Folders, Planned, RunOptions
from harness.yamlfile import suggest

if TYPE_CHECKING:
    from harness.gate import Baseline, CostRow, Judgement, MetricRow
    from harness.gate.explain import Sight

__all__ = ["register"]

T = TypeVar("T")

BaselineFile = Annotated[Path, typer.Option("--baseline", "-b", help="The baseline file, as committed.")]
_CANNOT_JUDGE = 2


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("baseline")(_baseline)
    gate = typer.Typer(help="Hold a suite's numbers against its baseline.")
    gate.callback(invoke_without_command=True)(_gate)
    gate.command("explain")(_explain)
    gate.command("history")(_history)
    app.add_typer(gate, name="gate")


def _baseline(
    suite: SuiteOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write it.")],
    data_dir: DataDir = None,
    models: Models = None,
    variants: Variants = None,
    seeds: Seeds = None,
    datasets: Datasets = None,
    costs: Annotated[bool, typer.Option("--costs/--no-costs", help="Count Params and MACs.")] = True,
    workers: Annotated[int | None, typer.Option(help="Runs side by side [cores / threads of a run].")] = None,
    records_only: Annotated[bool, typer.Option("--records-only", help="Run nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print failures and the file only.")] = False,
    runs_dir: RunsDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Run what is missing of a suite, and take its numbers down in a file to commit."""
    from harness.gate import write

    folders = Folders.resolve(data_dir, runs_dir, None, cache_dir)
    pick = selection(models, variants, seeds, datasets)
    planned = workflow.plan_suite(suite, pick, folders, need_data=not records_only)
    if not records_only and (
        code := show_run(planned, folders, RunOptions(workers=workers), Format.table, quiet=quiet, report=False)
    ):
        raise typer.Exit(code)
    baseline = workflow.make_suite_baseline(planned, folders, costs=costs, progress=counting)
    write(baseline, out)
    values = sum(len(cell.metrics) for cell in baseline.cells.values())
    seeds_text = counted(len(baseline.seeds), "seed")
    err.print(
        f"baseline: {out} ({counted(len(baseline.cells), 'cell')}, {values:,} metrics, {seeds_text})", soft_wrap=True
    )
    if len(baseline.seeds) < 5:
        err.print("five seeds are the least that a gate should have, ten are better", soft_wrap=True)


@dataclass(frozen=True)
class _Files:
    """Where else the verdict goes."""

    json: Path | None
    junit: Path | None
    sarif: Path | None
    markdown: Path | None


def _gate(
    context: typer.Context,
    suite: Annotated[str | None, typer.Option("--suite", "-s", help="A shipped suite's name, or a YAML file.")] = None,
    baseline: Annotated[Path | None, typer.Option("--baseline", "-b", help="The baseline file, as committed.")] = None,
    data_dir: DataDir = None,
    models: Models = None,
    variants: Variants = None,
    seeds: Seeds = None,
    datasets: Datasets = None,
    records_only: Annotated[
        bool, typer.Option("--records-only", help="Run nothing: judge the records there are.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed runs again.")] = False,
    costs: Annotated[bool, typer.Option("--costs/--no-costs", help="Compare Params and MACs.")] = True,
    every: Annotated[bool, typer.Option("--all", help="List green rows too.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the verdict as JSON.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write it as JUnit XML.")] = None,
    sarif: Annotated[Path | None, typer.Option("--sarif", help="Write it as SARIF.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write it as a Markdown comment.")] = None,
    github: Annotated[
        bool | None, typer.Option("--github/--no-github", help="Step summary and annotations [where GitHub runs it].")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Runs side by side [cores / threads of a run].")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict only.")] = False,
    runs_dir: RunsDir = None,
    cache_dir: CacheDir = None,
    how: FormatOption = Format.table,
) -> None:
    """Run what is missing, and hold a suite against its baseline: 0 pass, 1 drift, 2 cannot judge."""
    if context.invoked_subcommand is not None:
        return
    if suite is None or baseline is None:
        missing = "--suite" if suite is None else "--baseline"
        raise InputError("the gate needs a suite and a baseline", where=missing, hint="see harness gate --help")
    asked, file = suite, baseline

    def judged() -> Judgement | None:
        from harness.gate import read

        known = read(file)
        folders = Folders.resolve(data_dir, runs_dir, None, cache_dir)
        pick = selection(models, variants, seeds, datasets)
        planned = workflow.plan_suite(asked, pick, folders, need_data=not records_only)
        _same_suite(known, planned, file)
        if not records_only:
            options = RunOptions(workers=workers, retry_failed=retry_failed)
            if show_run(planned, folders, options, Format.table, quiet=quiet, report=False) == 130:
                return None
        narrowed = bool(models or variants or datasets)
        return workflow.judge_suite(planned, folders, known, costs=costs, narrowed=narrowed, progress=counting)

    judgement = _never_one(judged)
    if judgement is None:
        raise typer.Exit(130)
    _never_one(lambda: _show(judgement, how, every=every, quiet=quiet))
    on_github = os.environ.get("GITHUB_ACTIONS") == "true" if github is None else github
    _never_one(lambda: _write(judgement, file, _Files(json_file, junit, sarif, markdown), github=on_github))
    if judgement.exit_code:
        raise typer.Exit(judgement.exit_code)


def _explain(
    suite: SuiteOption,
    baseline: BaselineFile,
    seeds: Seeds = None,
    power: Annotated[float, typer.Option(help="Chance of finding it.")] = 0.8,
    margin: Annotated[
        float | None, typer.Option(help="A loss to be found, in points or units of the metric: how many seeds?")
    ] = None,
    metrics: Annotated[list[str] | None, typer.Option("--metrics", help="Only these.")] = None,
    how: FormatOption = Format.table,
) -> None:
    """Say what loss this gate would find with this baseline and these seeds, and what it would take to find another."""
    from harness.gate import read
    from harness.gate.explain import sights
    from harness.gate.samples import meeting

    known = read(baseline)
    planned = workflow.plan_suite(suite, Selection(), Folders.resolve(None, None, None, None), need_data=False)
    _same_suite(known, planned, baseline)
    options = planned.plan.suite.gate
    if metrics:
        asked_for = split(metrics, "--metrics")
        there = sorted({name for cell in known.cells.values() for name in cell.metrics})
        for name in asked_for:
            if name not in there:
                what = f"the baseline has no metric '{name}'{suggest(name, there)}"
                raise InputError(what, where="--metrics", hint=f"it has: {', '.join(there)}")
        options = options.model_copy(update={"metrics": asked_for})
    asked = selection(None, None, seeds, None).seeds or planned.plan.suite.seeds
    n, m, paired = meeting(known.seeds, asked)
    found = list(sights(known, options, asked, power=power, margin=margin))
    rows = [_sight(sight) for sight in found]
    print_rows(rows, how, title=f"what the gate of suite {planned.plan.suite.name} sees", right=_SEEN)
    runs = (
        f"{counted(n, 'pair')} of runs with the same seed" if paired else f"{n} reference and {counted(m, 'new run')}"
    )
    err.print(
        f"{runs}, {counted(len(found), 'comparison')} in one family, alpha {options.alpha:g}: a loss of 'finds' "
        f"turns red with a chance of {power:.0%} where seed noise is normal, and a smaller one less often",
        soft_wrap=True,
    )
    if paired:
        err.print(
            "runs that share a seed count as independent: a change that leaves them alike is seen sooner",
            soft_wrap=True,
        )
    if margin is not None:
        err.print(
            f"'seeds': how many on both sides, not shared, find a loss of {margin:g}; empty where it is within the "
            "floor, or more than 200 are needed",
            soft_wrap=True,
        )


_SEEN = ("mean", "sd", "floor", "finds", "seeds")


def _sight(sight: Sight) -> dict[str, Any]:
    from harness.gate.numbers import cell_parts, cell_text, value_text

    values = (value_text(value, sight.metric) for value in (sight.mean, sight.sd, sight.floor, sight.shift))
    told = {"cell": cell_text(cell_parts(sight.cell)), "metric": sight.metric}
    told |= dict(zip(("mean", "sd", "floor", "finds"), values, strict=True))
    return {**told, "seeds": "" if sight.seeds is None else str(sight.seeds)}


def _history(
    baseline: Annotated[
        list[Path], typer.Option("--baseline", "-b", help="A committed baseline, or several files, the oldest first.")
    ],
    html: Annotated[Path, typer.Option("--html", help="Where to write the page.")] = Path("history.html"),
    how: FormatOption = Format.table,
) -> None:
    """Write a page with every metric over the versions of a baseline, and list where its level changes."""
    from harness.gate import history
    from harness.gate.numbers import cell_parts, cell_text, value_text
    from harness.reports.history import render_history

    left_out: list[str] = []
    if len(baseline) == 1:
        versions, left_out = history.from_git(baseline[0])
    else:
        versions = history.from_files(baseline)
    series = history.series_of(versions)
    rows = [
        {
            "cell": cell_text(cell_parts(one.cell)),
            "metric": one.metric,
            "from_version": versions[one.points[place].version].label,
            "before": value_text(one.points[place - 1].mean, one.metric),
            "after": value_text(one.points[place].mean, one.metric),
        }
        for one in series
        for place in one.changes
    ]
    page = render_history(versions, series, left_out, html, now=datetime.now(UTC))
    columns = ("cell", "metric", "from_version", "before", "after")
    if rows or how is not Format.table:
        print_rows(rows, how, title="changes of level", right=("before", "after"), columns=columns)
    for reason in left_out:
        err.print(f"left out: {reason}", soft_wrap=True)
    err.print(f"{counted(len(versions), 'version')}, {counted(len(rows), 'change')} of level: {page}", soft_wrap=True)


def _show(judgement: Judgement, how: Format, *, every: bool, quiet: bool) -> None:
    from harness.gate.github import worst_first
    from harness.gate.outputs import as_data

    if how is Format.json:
        print_json(as_data(judgement))
    else:
        rows = [_row(row) for row in worst_first(judgement) if every or how is Format.csv or row.verdict != "GREEN"]
        if rows or how is Format.csv:
            title = f"gate of suite {judgement.suite}"
            print_rows(rows, how, title=title, right=_RIGHT, columns=_COLUMNS, optional=("exact", "why"))
    for problem in judgement.problems:
        err.print(f"cannot judge: {problem}", soft_wrap=True)
    if not quiet:
        for note in judgement.notes:
            err.print(note, soft_wrap=True)
        if judgement.rows:
            err.print(
                f"red: a loss beyond its floor, one-sided p below {judgement.options.alpha:g} after Holm over "
                f"{counted(judgement.family, 'comparison')}; what green could have seen: harness gate explain",
                soft_wrap=True,
            )
    err.print(judgement.summary, soft_wrap=True)


_COLUMNS = ("verdict", "cell", "metric", "reference", "new", "difference", "margin", "floor", "p", "test")
_RIGHT = ("reference", "new", "difference", "margin", "floor", "p")


def _row(row: MetricRow | CostRow) -> dict[str, Any]:
    from harness.gate import CostRow
    from harness.gate.numbers import cell_text, difference_text, p_text, value_text

    if isinstance(row, CostRow):
        then, now = ("" if value is None else f"{value:,}" for value in (row.reference, row.new))
        change = "" if row.reference is None or row.new is None else f"{row.new - row.reference:+,}"
        values = (then, now, change, "", "", "", "exact")
        name, exact = row.name, ""
    else:
        metric, found = row.metric, row.found
        numbers = (value_text(row.reference, metric), value_text(row.new, metric), difference_text(row))
        bounds = (value_text(row.margin, metric), value_text(row.floor, metric), p_text(row.p))
        runs = f"{found.method}, {found.n_reference} : {found.n_new}" if found else ""
        values = (*numbers, *bounds, runs)
        name, exact = metric, row.exact
    told = dict(zip(_COLUMNS, (row.verdict, cell_text(row.cell), name, *values), strict=True))
    return {**told, "exact": exact, "why": row.why}


def _write(judgement: Judgement, baseline: Path, files: _Files, *, github: bool) -> None:
    from harness.gate.github import LONGEST_SUMMARY, as_annotations, as_markdown, worst_first
    from harness.gate.outputs import as_json, as_junit, as_sarif, lines_of

    shown = _in_repository(baseline)
    cells = ["/".join(row.cell) for row in worst_first(judgement)]
    lines = lines_of(baseline.read_text(encoding="utf-8"), cells)
    wanted: tuple[tuple[Path | None, Callable[[], str]], ...] = (
        (files.json, lambda: as_json(judgement)),
        (files.junit, lambda: as_junit(judgement)),
        (files.sarif, lambda: as_sarif(judgement, shown, lines)),
        (files.markdown, lambda: as_markdown(judgement)),
    )
    for path, text in wanted:
        if path is not None:
            _save(path, text())
    if not github:
        return
    for line in as_annotations(judgement, shown, lines):
        # The runner reads both streams; standard output is the listing's.
        err.file.write(line + "\n")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        path = Path(summary)
        used = path.stat().st_size if path.exists() else 0
        with path.open("a", encoding="utf-8") as file:
            file.write(as_markdown(judgement, longest=max(0, LONGEST_SUMMARY - used - 1)) + "\n")


def _save(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda file: file.write(text.encode()))
    except OSError as error:
        what = f"cannot write the verdict: {error.strerror or error}"
        raise StoreError(what, where=str(path), hint="name another file") from error


def _in_repository(path: Path) -> str:
    """Return a path as GitHub writes it: from the repository's root, which is where a step runs."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve()).as_posix()
    except ValueError:
        return path.name


def _same_suite(known: Baseline, planned: Planned, file: Path) -> None:
    """Refuse a baseline of another suite before anything runs."""
    if known.suite != (name := planned.plan.suite.name):
        raise InputError(
            f"the baseline is of the suite {known.suite}, not of {name}",
            where=str(file),
            hint="name the baseline of this suite",
        )


def _never_one(work: Callable[[], T]) -> T:
    """Do some work of the gate; whatever goes wrong is no drift, so that the exit code is 2."""
    try:
        return work()
    except HarnessError as error:
        print_error(error)
        raise typer.Exit(_CANNOT_JUDGE) from error
    except (KeyboardInterrupt, typer.Exit, typer.Abort):
        raise
    except Exception as error:
        err.print("the gate has a defect and could not judge:", soft_wrap=True)
        traceback.print_exc()
        raise typer.Exit(_CANNOT_JUDGE) from error
