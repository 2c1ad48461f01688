"""``harness compare``: the statistics behind the tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import pandas as pd

from harness.compare_command.lines import item_lines, model_lines, paper_lines, rank_line, seed_lines
from harness.comparison import MARGINS, SAME_RUNS, Comparison, Contrast, Side, compare, parse_side
from harness.display import Format, err, print_json, print_rows
from harness.errors import InputError
from harness.reports.details import records
from harness.reports.sections import ranking_rows
from harness.results import collect
from harness.workflow import Planned

__all__ = ["Level", "parse_levels", "show_comparison"]


class Level(StrEnum):
    """What a comparison speaks about."""

    seeds = "seeds"
    models = "models"
    ranks = "ranks"
    paper = "paper"
    items = "items"


_TITLES = {
    Level.seeds: "Over seeds: paired t, Holm within data set, task, metric and contrast",
    Level.models: "Over models: Wilcoxon signed-rank on the models' mean deltas, Holm over the metrics of a contrast",
    Level.ranks: "Variants ranked over models: Friedman, Nemenyi's critical difference",
    Level.paper: "Against the paper's printed means",
    Level.items: "SECOND LEVEL, over test utterances: these very models; nothing is said about other seeds",
}


_NOTHING = {
    Level.seeds: "no pair of finished runs",
    Level.models: "needs two models or more, each compared with itself",
    Level.ranks: "needs three variants that two models or more have in common",
    Level.paper: "no run of a cell that the paper prints",
    Level.items: "no pair of runs on the same test utterances",
}


def parse_levels(names: Sequence[str], how: Format) -> tuple[Level, ...]:
    """Read the levels that were asked for: none means all but the second, and the first alone in CSV.

    Raises
    ------
    InputError
        If there is no such level, or CSV is to hold several.
    """
    for name in names:
        if name not in list(Level):
            raise InputError(f"there is no level '{name}'", where="--level", hint=f"name any of {', '.join(Level)}")
    if not names:
        return (Level.seeds,) if how is Format.csv else tuple(level for level in Level if level is not Level.items)
    if how is Format.csv and len(names) > 1:
        raise InputError("CSV is one table", where="--level", hint="name one level, or use --format json")
    return tuple(level for level in Level if level in names)


def show_comparison(
    planned: Planned,
    a: str | None,
    b: str | None,
    levels: Sequence[Level],
    how: Format,
    resamples: int,
    *,
    narrowed: bool = False,
) -> None:
    """Print what a suite's records say about a comparison; remarks go to standard error.

    Parameters
    ----------
    planned : Planned
    a, b : str or None
        Sides of the comparison: a variant, a model, or a model in a variant. The suite's baseline against all other
        variants if neither is given.
    levels : sequence of Level
        What to print, from `parse_levels`.
    how : Format
    resamples : int
        Bootstrap resamples and random swaps.
    narrowed : bool
        Whether some of the suite's models were left out, which makes families smaller.

    Raises
    ------
    InputError
        If the sides make no sense together, or no finished run can be compared.
    """
    asked = _contrast(planned, a, b)
    results = collect(planned.plan, planned.store)
    alpha = planned.plan.suite.report.alpha
    found = compare(results, asked, alpha=alpha, resamples=resamples, items=Level.items in levels)
    if not _any_answer(found, levels):
        done, total = int((results.runs["status"] == "done").sum()), len(results.runs)
        raise InputError(
            f"nothing to compare: no seed has finished runs on both sides of {_said(asked)}",
            where=f"suite {planned.plan.suite.name}, {done} of {total} runs done",
            hint=f"harness run --suite {planned.plan.suite.name}; harness status lists what is missing",
        )
    if how is Format.table:
        _print_tables(found, levels)
    else:
        _print_plain(found, levels, how)
    _remarks(found, planned, levels, narrowed=narrowed)


def _contrast(planned: Planned, a: str | None, b: str | None) -> Contrast:
    suite = planned.plan.suite
    first = parse_side(a, suite.models, option="--a") if a else Side(suite.report.baseline)
    second = parse_side(b, suite.models, option="--b") if b else None
    if a is None and second is not None and second.model is not None:
        first = Side(suite.report.baseline, second.model)
    shown = {cell.variant for cell in planned.plan.cells}
    for option, side in (("--a", first), ("--b", second)):
        if side is not None and side.variant not in shown:
            raise InputError(
                f"the suite has no variant {side.variant}", where=option, hint=f"it has {', '.join(sorted(shown))}"
            )
        cells = [cell for cell in planned.plan.cells if side is not None and cell.variant == side.variant]
        if cells and all(cell.skipped for cell in cells):
            raise InputError(cells[0].skipped, where=option, hint="name another variant")
    try:
        return Contrast(first, second)
    except ValueError as error:
        raise InputError(str(error), where="--a, --b", hint="name two variants, or two models") from error


def _any_answer(found: Comparison, levels: Sequence[Level]) -> bool:
    """Whether some pair was compared or is one run under two names, or the paper prints what was asked about."""
    compared = (found.contrasts["n"] > 0) | (found.contrasts["note"] == SAME_RUNS)
    return bool(compared.any()) or (Level.paper in levels and len(found.printed) > 0)


def _said(asked: Contrast) -> str:
    return f"{asked.b or 'the others'} against {asked.a}"


def _plain_rows(found: Comparison, level: Level) -> list[dict[str, Any]]:
    """Return a level's rows with unrounded numbers; None stands for what is not defined."""
    if level is Level.ranks:
        return [_defined(_flat_ranking(one)) for one in found.rankings]
    return [_defined(row) for row in records(_frame(found, level))]


def _frame(found: Comparison, level: Level) -> pd.DataFrame:
    return {
        Level.seeds: found.contrasts,
        Level.models: found.models,
        Level.paper: found.printed,
        Level.items: found.items,
    }[level]


def _csv_frame(found: Comparison, level: Level) -> pd.DataFrame:
    """Return a level with one plain value a cell: rankings a row per variant, several p values joined."""
    if level is Level.ranks:
        return ranking_rows(found.rankings)
    frame = _frame(found, level)
    if level is Level.items:
        frame = frame.assign(per_seed_p=[";".join(f"{p:.6g}" for p in values) for values in frame["per_seed_p"]])
    return frame


def _defined(value: Any) -> Any:
    """Return a value of JSON with None for every number that is not finite, however deep."""
    if isinstance(value, dict):
        return {name: _defined(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_defined(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flat_ranking(one: Any) -> dict[str, Any]:
    return {
        "dataset": one.dataset,
        "task": one.task,
        "metric": one.metric,
        "blocks": list(one.blocks),
        "mean_ranks": dict(zip(one.variants, one.nemenyi.mean_ranks, strict=True)),
        "chi2": one.friedman.statistic,
        "p": one.friedman.p,
        "floor": one.friedman.floor,
        "critical_difference": one.nemenyi.critical_difference,
        "not_told_apart": [[one.variants[i] for i in group] for group in one.nemenyi.groups],
    }


def _print_plain(found: Comparison, levels: Sequence[Level], how: Format) -> None:
    rows = {level: _plain_rows(found, level) for level in levels}
    if how is Format.csv:
        frame = _csv_frame(found, levels[0])
        print_rows([_defined(row) for row in records(frame)], how, columns=list(frame.columns))
    else:
        print_json(rows)
    for level in [level for level, found in rows.items() if not found]:
        _nothing(level)


def _print_tables(found: Comparison, levels: Sequence[Level]) -> None:
    rows_of: dict[Level, Callable[[], list[dict[str, object]]]] = {
        Level.seeds: lambda: seed_lines(found),
        Level.models: lambda: model_lines(found),
        Level.ranks: lambda: [rank_line(one, found.alpha) for one in _plain_rows(found, Level.ranks)],
        Level.paper: lambda: paper_lines(found),
        Level.items: lambda: item_lines(found),
    }
    for level in levels:
        if rows := rows_of[level]():
            right = [name for name in rows[0] if name not in {"dataset", "task", "metric", "what", "verdict", "by"}]
            print_rows(rows, Format.table, title=_TITLES[level], right=right)
        else:
            _nothing(level)


def _nothing(level: Level) -> None:
    err.print(f"{level}: {_NOTHING[level]}", soft_wrap=True)


def _remarks(found: Comparison, planned: Planned, levels: Sequence[Level], *, narrowed: bool) -> None:
    """Say what the verdicts rest on, and what they could not have seen."""
    tested = [row for row in records(found.contrasts) if not row["duplicate"] and row["n"] > 0]
    if tested and Level.seeds in levels:
        err.print(_verdicts(tested), soft_wrap=True)
    if Level.seeds in levels or Level.models in levels:
        err.print("intervals are not adjusted for the number of comparisons; Holm's p are", soft_wrap=True)
        if narrowed:
            err.print(
                "families hold the models that were picked: with all of the suite's, p would be larger", soft_wrap=True
            )
    if Level.paper in levels and len(found.printed):
        err.print("readings against the paper are not adjusted for the number of means", soft_wrap=True)
    if (found.contrasts["note"] == SAME_RUNS).any():
        err.print("cells that are one run under two names are not tested", soft_wrap=True)
    drawn = dict.fromkeys(s.dataset.name for s in planned.plan.sources if s.dataset.synthetic)
    if drawn:
        err.print(f"{', '.join(drawn)}: synthetic data, whose numbers say nothing about real data", soft_wrap=True)


def _verdicts(tested: Sequence[Mapping[str, Any]]) -> str:
    most = max(tested, key=lambda row: int(row["n"]))
    counts = Counter(str(row["verdict"]) for row in tested)
    verdicts = "over seeds: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    if most["n"] < 2:
        return f"{verdicts}\none pair of runs each: no difference can be tested"
    return (
        f"{verdicts}\ndelta is what is named first minus what it is compared with, turned so that + is an improvement; "
        f"with {most['n']} seeds a delta of {most['detectable']:.2f} sd is found with power 0.8 before adjustment, and "
        f"no exact p lies below {most['floor']:.4g}\nneeded: the seeds with which a delta of {100 * MARGINS[True]:g} "
        f"point ({MARGINS[False]:g} of MAE and Corr) would be found so, at the spread seen"
    )
