"""``harness compare``: the statistics behind the tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from harness.display import Format, err, print_json, print_rows
from harness.errors import InputError
from harness.metrics import Metric, metrics_for
from harness.workflow import Planned

if TYPE_CHECKING:
    import pandas as pd

    from harness.comparison import Comparison, Contrast

__all__ = ["Level", "parse_levels", "show_comparison"]

_SAME = "the same runs"


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
    planned: Planned, a: str | None, b: str | None, levels: Sequence[Level], how: Format, resamples: int
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

    Raises
    ------
    InputError
        If the sides make no sense together, or no finished run can be compared.
    """
    # pandas and scipy take a second to import, which the other commands need not wait for.
    from harness.comparison import compare
    from harness.results import collect

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
        _print_tables(found, levels, _metrics(planned))
    else:
        _print_plain({level: _plain_rows(found, level) for level in levels}, how)
    _remarks(found, planned)


def _contrast(planned: Planned, a: str | None, b: str | None) -> Contrast:
    from harness.comparison import Contrast, Side, parse_side

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
    try:
        return Contrast(first, second)
    except ValueError as error:
        raise InputError(str(error), where="--a, --b", hint="name two variants, or two models") from error


def _any_answer(found: Comparison, levels: Sequence[Level]) -> bool:
    """Whether some pair was compared or is one run under two names, or the paper prints what was asked about."""
    compared = (found.contrasts["n"] > 0) | (found.contrasts["note"] == _SAME)
    return bool(compared.any()) or (Level.paper in levels and len(found.printed) > 0)


def _said(asked: Contrast) -> str:
    return f"{asked.b or 'the others'} against {asked.a}"


def _metrics(planned: Planned) -> Mapping[tuple[str, str, str], Metric]:
    return {
        (cell.dataset.name, cell.task, metric.name): metric
        for cell in planned.plan.cells
        for metric in metrics_for(cell.task, cell.dataset.convention)
    }


def _plain_rows(found: Comparison, level: Level) -> list[dict[str, Any]]:
    """Return a level's rows with unrounded numbers; None stands for what is not defined."""
    if level is Level.ranks:
        return [_defined(_flat_ranking(one)) for one in found.rankings]
    frame: pd.DataFrame = {
        Level.seeds: found.contrasts,
        Level.models: found.models,
        Level.paper: found.printed,
        Level.items: found.items,
    }[level]
    return [_defined(row) for row in _records(frame)]


def _defined(value: Any) -> Any:
    """Return a value of JSON with None for every number that is not finite, however deep."""
    if isinstance(value, dict):
        return {name: _defined(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_defined(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _flat_ranking(one: Any) -> dict[str, Any]:
    return {
        "dataset": one.dataset,
        "task": one.task,
        "metric": one.metric,
        "blocks": list(one.blocks),
        "mean_ranks": dict(zip(one.variants, one.nemenyi.mean_ranks, strict=True)),
        "chi2": one.friedman.statistic,
        "p": one.friedman.p,
        "critical_difference": one.nemenyi.critical_difference,
        "not_told_apart": [[one.variants[i] for i in group] for group in one.nemenyi.groups],
    }


def _print_plain(rows: Mapping[Level, list[dict[str, Any]]], how: Format) -> None:
    if how is Format.csv:
        (only,) = rows.values()
        print_rows(only, how)
    else:
        print_json(rows)
    for level in [level for level, found in rows.items() if not found]:
        _nothing(level)


def _print_tables(found: Comparison, levels: Sequence[Level], metrics: Mapping[tuple[str, str, str], Metric]) -> None:
    rows_of: dict[Level, Callable[[], list[dict[str, object]]]] = {
        Level.seeds: lambda: _seed_rows(found, metrics),
        Level.models: lambda: _model_rows(found, metrics),
        Level.ranks: lambda: [_rank_row(one) for one in _plain_rows(found, Level.ranks)],
        Level.paper: lambda: _paper_rows(found, metrics),
        Level.items: lambda: _item_rows(found),
    }
    for level in levels:
        if rows := rows_of[level]():
            right = [name for name in rows[0] if name not in {"dataset", "task", "metric", "what", "verdict", "by"}]
            print_rows(rows, Format.table, title=_TITLES[level], right=right)
        else:
            _nothing(level)


def _nothing(level: Level) -> None:
    err.print(f"{level}: {_NOTHING[level]}", soft_wrap=True)


def _place(row: Mapping[str, Any]) -> dict[str, object]:
    return {"dataset": row["dataset"], "task": _task(row["task"]), "metric": row["metric"]}


def _task(task: str) -> str:
    return {"regression": "reg", "classification": "cls"}.get(task, task)


def _what(row: Mapping[str, Any]) -> str:
    from harness.comparison import cell_name

    one = cell_name(row["model"], row["variant"])
    if row["baseline_model"] == row["model"]:
        return one if row["baseline"] == "original" else f"{one} - {row['baseline']}"
    return f"{one} - {cell_name(row['baseline_model'], row['baseline'])}"


def _seed_rows(found: Comparison, metrics: Mapping[tuple[str, str, str], Metric]) -> list[dict[str, object]]:
    from harness.reports.numbers import between, p_value, signed

    rows: list[dict[str, object]] = []
    for row in _records(found.contrasts):
        metric = metrics[row["dataset"], row["task"], row["metric"]]
        if row["duplicate"] or (row["n"] == 0 and row["note"] != _SAME):
            continue
        rows.append(
            _place(row)
            | {
                "what": _what(row),
                "n": row["n"],
                "delta": signed(row["mean"], metric),
                "interval": between(row["low"], row["high"], metric),
                "by": {"two-level bootstrap": "2-level", "t over seeds": "t"}.get(row["method"], ""),
                "d": f"{row['d']:.2f}" if row["d"] == row["d"] else "",
                "p": p_value(row["p"]),
                "Holm": p_value(row["holm"]),
                "exact": p_value(row["exact"]),
                "floor": p_value(row["floor"]),
                "verdict": row["verdict"] if not row["note"] else f"{row['verdict']} ({row['note']})",
            }
        )
    return rows


def _model_rows(found: Comparison, metrics: Mapping[tuple[str, str, str], Metric]) -> list[dict[str, object]]:
    from harness.reports.numbers import between, p_value, signed

    rows: list[dict[str, object]] = []
    for row in _records(found.models):
        metric = metrics[row["dataset"], row["task"], row["metric"]]
        rows.append(
            _place(row)
            | {
                "what": row["contrast"],
                "models": row["models"],
                "delta": signed(row["mean"], metric),
                "interval": between(row["low"], row["high"], metric),
                "+": row["better"],
                "-": row["worse"],
                "Wilcoxon": p_value(row["wilcoxon"]),
                "Holm": p_value(row["holm"]),
                "floor": p_value(row["floor"]),
                "sign": p_value(row["sign"]),
                "verdict": row["verdict"],
            }
        )
    return rows


def _rank_row(one: Mapping[str, Any]) -> dict[str, object]:
    from harness.reports.numbers import p_value

    ranks = sorted(one["mean_ranks"].items(), key=lambda item: item[1])
    return _place(one) | {
        "models": len(one["blocks"]),
        "mean ranks": ", ".join(f"{variant} {rank:.2f}" for variant, rank in ranks),
        "Friedman p": p_value(one["p"]),
        "critical difference": f"{one['critical_difference']:.2f}",
        "not told apart": "; ".join(" ".join(group) for group in one["not_told_apart"]),
    }


def _paper_rows(found: Comparison, metrics: Mapping[tuple[str, str, str], Metric]) -> list[dict[str, object]]:
    from harness.comparison import cell_name
    from harness.reports.numbers import between, p_value, plain, signed

    rows: list[dict[str, object]] = []
    for row in _records(found.printed):
        metric = metrics[row["dataset"], row["task"], row["metric"]]
        rows.append(
            _place(row)
            | {
                "what": cell_name(row["model"], row["variant"]),
                "printed": plain(row["printed"], metric),
                "ours": plain(row["ours"], metric),
                "n": row["n"],
                "difference": signed(row["difference"], metric),
                "prediction": between(row["low"], row["high"], metric, sign=False),
                "equivalence p": p_value(row["equivalence"]),
                "verdict": row["reading"],
            }
        )
    return rows


def _item_rows(found: Comparison) -> list[dict[str, object]]:
    from harness.reports.numbers import p_value

    return [
        _place(row)
        | {
            "what": _what(row),
            "utterances": row["items"],
            "seeds": row["seeds"],
            "randomization": p_value(row["randomization"]),
            "by": row["per_seed"],
            "p by seed": ", ".join(p_value(p) for p in row["per_seed_p"]),
            "below": f"{row['below_alpha']}/{len(row['per_seed_p'])}" if row["per_seed_p"] else "",
            "Holm over seeds": p_value(row["holm"]),
            "verdict": row["verdict"],
        }
        for row in _records(found.items)
    ]


def _remarks(found: Comparison, planned: Planned) -> None:
    """Say what the verdicts rest on, and what they could not have seen."""
    tested = [row for row in _records(found.contrasts) if not row["duplicate"] and row["n"] > 0]
    if tested:
        err.print(_verdicts(tested), soft_wrap=True)
    if (found.contrasts["note"] == _SAME).any():
        err.print("cells that are one run under two names are not tested", soft_wrap=True)
    drawn = dict.fromkeys(s.dataset.name for s in planned.plan.sources if s.dataset.synthetic)
    if drawn:
        err.print(f"{', '.join(drawn)}: synthetic data, whose numbers say nothing about real data", soft_wrap=True)


def _verdicts(tested: Sequence[Mapping[str, Any]]) -> str:
    most = max(tested, key=lambda row: int(row["n"]))
    counts = Counter(str(row["verdict"]) for row in tested)
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    if most["n"] < 2:
        return f"{verdicts}\none pair of runs each: no difference can be tested"
    return (
        f"{verdicts}\ndelta is variant minus baseline, turned so that + is an improvement; with {most['n']} seeds a "
        f"delta of {most['detectable']:.2f} sd is found with power 0.8 before adjustment, and no exact p lies below "
        f"{most['floor']:.4g}"
    )
