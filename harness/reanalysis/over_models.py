"""Claims that a test over the models of a table decides: what is true in general, not cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.published import Claim, Tables
from harness.reanalysis.deltas import Delta, deltas
from harness.reanalysis.effects import Side, side, summaries
from harness.reanalysis.outcome import Effect, Judged, Summary, Support
from harness.reanalysis.stated import signed
from harness.spec import Variant
from harness.statistics import OverRows, adjust_rows, holm, over_rows

__all__ = ["Material", "datasets", "general", "limited", "lower"]

_LABEL_UNITS = frozenset({"MAE"})
"""Metrics in units of the label, whose range differs between data sets: their differences do not compare."""

_SEVERAL = 2
"""Metrics in which a table must be better where a claim does not say in how many."""

_OPPOSITE: dict[Side, Side] = {"better": "worse", "worse": "better", "open": "open", "untold": "untold"}
_SAID: dict[Side, str] = {
    "better": "better",
    "worse": "worse",
    "open": "could be chance",
    "untold": "too few models for so many tests",
}


@dataclass(frozen=True)
class Material:
    """What claims are judged by: the tables, their effects, and the level of the tests."""

    tables: Tables
    effects: tuple[Effect, ...]
    alpha: float


def general(material: Material, claim: Claim) -> Judged:
    """Judge that a variant is better than its baseline over models; "typically", "significantly", "several indicators".

    Such words do not say in how many metrics. Read as: in every table that can tell, the two-sided Wilcoxon test over
    the rows, after Holm, says better in several metrics, two at least (one if no more can tell), and worse in none.
    *Partly supported*: better in some, and in more than worse. *Contradicted*: worse in some, and in no fewer than
    better. *Not supported*: neither. *Cannot be told*: no metric has models enough for so many tests. What "much" is,
    no test says: where two variants are compared, the evidence gives the ratio of their mean improvements. MMSA's
    defective columns decide nothing.
    """
    return _over_models(material, claim, flipped=False)


def lower(material: Material, claim: Claim) -> Judged:
    """Judge that a variant is worse than its baseline over models: `general` with the signs turned."""
    return _over_models(material, claim, flipped=True)


def datasets(material: Material, claim: Claim) -> Judged:
    """Judge that the same models improve more in one table than in another one, summed up as in `general`.

    Paired over the models that both tables have, metric by metric, Holm over the metrics of a pair of tables. Where
    one table prints has-0 / non-0, its has-0 is taken, since both then keep the neutral utterances. MAE is left out: it
    is in units of the label, and the labels have different ranges.
    """
    sides: list[list[Side]] = []
    evidence, numbers = [], []
    for table, other in zip(claim.tables, claim.against, strict=True):
        found = _claimed(material, claim, table)
        columns = _differences(found, _claimed(material, claim, other))
        units = {one.cell.column: "points" if one.cell.percent else "" for one in found}
        rows = adjust_rows([over_rows(list(column.values()), material.alpha) for column in columns.values()])
        sides.append([side(row, material.alpha) for row in rows])
        for metric, row, which in zip(columns, rows, sides[-1], strict=True):
            said = f"{_row(row, units[metric], 'improve more')}: {_SAID[which]}"
            evidence.append(f"Table {table} less Table {other}, {metric}: {said}.")
        numbers += [_bearing(f"Tables {table} and {other}", rows)]
    return Judged(claim, _support(sides), tuple(evidence), " ".join([*numbers, _MEANS]))


def limited(material: Material, claim: Claim) -> Judged:
    """Judge that the models improve in the metrics, and by less than in those beside them.

    Read as two things: more models improve than decline in each of the metrics, and the mean difference in each is
    below that in each of those beside. The first alone is *not supported*, since nothing is limited; the second alone
    *partly*, since what does not improve is no limited improvement; neither is *contradicted*.
    """
    (table,) = claim.tables
    found = _claimed(material, claim, table)
    chosen = {metric: _of(found, metric, claim.models) for metric in (*claim.metrics, *claim.beside)}
    if not all(chosen.values()):
        return Judged(claim, "cannot be told", ("Not all of these numbers are printed.",), _MEANS)
    means = {metric: float(np.mean([float(one.value) for one in column])) for metric, column in chosen.items()}
    smaller = max(means[metric] for metric in claim.metrics) < min(means[metric] for metric in claim.beside)
    improving = all(_up(chosen[metric]) > _down(chosen[metric]) for metric in claim.metrics)
    support: Support = "supported" if smaller and improving else "partly supported" if smaller else "not supported"
    if not smaller and not improving:
        support = "contradicted"
    evidence = []
    for metric, column in chosen.items():
        everyone = _of(found, metric, ())
        if len(column) == 1:
            rank = 1 + sum(one.value > column[0].value for one in everyone)
            evidence.append(f"{metric}: {column[0].model} {signed(column[0].value)}, rank {rank} of {len(everyone)}.")
        else:
            unit = "points" if column[0].cell.percent else ""
            rows = over_rows([float(one.value) for one in column], material.alpha)
            evidence.append(f"{metric}: {_counts(rows, 'improve')}, mean {_mean(rows, unit)}.")
    return Judged(claim, support, tuple(evidence), f"A description of printed numbers, not a test. {_MEANS}")


_MEANS = (
    "The rows are single printed means over seeds; models that share code are less independent than a test assumes."
)


def _over_models(material: Material, claim: Claim, *, flipped: bool) -> Judged:
    found = [
        effect
        for effect in material.effects
        if effect.table in claim.tables and (effect.variant, effect.baseline) == claim.contrast
        if not claim.metrics or effect.metric in claim.metrics
    ]
    chosen = [effect for effect in found if not effect.defect]
    evidence = [*_figures(material, chosen), *_at_once(material, chosen), *_against_original(material, chosen)]
    if len(chosen) < len(found):
        evidence.append(f"{len(found) - len(chosen)} columns with MMSA's defect are left out.")
    tables: dict[str, list[OverRows]] = {}
    for effect in chosen:
        tables.setdefault(f"Table {effect.table}", []).append(effect.rows)
    sides = [[side(row, material.alpha) for row in rows] for rows in tables.values()]
    strength = [*(_bearing(name, rows) for name, rows in tables.items()), _MEANS]
    support = _support([[_OPPOSITE[one] for one in table] for table in sides] if flipped else sides)
    return Judged(claim, support, tuple(evidence), " ".join(strength))


def _support(tables: Sequence[Sequence[Side]]) -> Support:
    """Sum the tests of each table up, where better is what is claimed."""
    able = [told for table in tables if (told := [one for one in table if one != "untold"])]
    better, worse = (sum(table.count(which) for table in able) for which in ("better", "worse"))
    if not able:
        return "cannot be told"
    if worse >= max(better, 1):
        return "contradicted"
    if not worse and all(table.count("better") >= min(_SEVERAL, len(table)) for table in able):
        return "supported"
    return "partly supported" if better else "not supported"


def _figures(material: Material, chosen: Sequence[Effect]) -> Iterator[str]:
    """Say what each test found; for several tables, table by table."""
    if len({effect.table for effect in chosen}) > 1:
        yield from map(_total, summaries(chosen, material.alpha))
        return
    for effect in chosen:
        said = _SAID[side(effect.rows, material.alpha)]
        verb = (
            "improve" if effect.baseline == "original" else f"are better with -{effect.variant} than -{effect.baseline}"
        )
        yield f"Table {effect.table}, {effect.metric}: {_row(effect.rows, effect.unit, verb)}: {said}."


def _total(summary: Summary) -> str:
    cells = summary.improved + summary.declined + summary.unchanged
    better = f"better after Holm in {', '.join(summary.better) or 'no metric'}"
    worse = f", worse in {', '.join(summary.worse)}" if summary.worse else ""
    untold = f"; too few models for so many tests in {', '.join(summary.untold)}" if summary.untold else ""
    counts = f"{summary.improved} of {cells} cells improve, {summary.declined} decline"
    return f"Table {summary.table}: {counts}; {better}{worse}{untold}."


def _at_once(material: Material, chosen: Sequence[Effect]) -> Iterator[str]:
    """Say what Holm over all tables at once would leave, where a claim spans several."""
    if len({effect.table for effect in chosen}) < 2:
        return
    p = holm([effect.rows.wilcoxon.p for effect in chosen])
    left = int(np.count_nonzero(p < material.alpha))
    lowest = f", the smallest adjusted p is {np.nanmin(p):.4f}" if not left else ""
    yield f"Holm over all {len(chosen)} tests at once, instead of table by table, leaves {left}{lowest}."


def _against_original(material: Material, chosen: Sequence[Effect]) -> Iterator[str]:
    """Set two variants that are compared with each other beside the original."""
    for effect in (effect for effect in chosen if effect.baseline != "original"):
        first, second = (_mean_over_original(material, effect, name) for name in (effect.variant, effect.baseline))
        if first is None or second is None:
            continue
        ratio = f", {first / second:.1f} times as much" if first > 0 < second else ""
        yield (
            f"Over the original, {effect.metric}: -{effect.variant} {signed(first, effect.unit)}, "
            f"-{effect.baseline} {signed(second, effect.unit)}{ratio}."
        )


def _mean_over_original(material: Material, like: Effect, variant: Variant) -> float | None:
    wanted = (like.table, like.metric, variant, "original")
    means = [
        effect.rows.mean.mean
        for effect in material.effects
        if (effect.table, effect.metric, effect.variant, effect.baseline) == wanted
    ]
    return means[0] if means else None


def _claimed(material: Material, claim: Claim, table: int) -> tuple[Delta, ...]:
    return deltas(material.tables, table, *claim.contrast, defects=False)


def _differences(found: Sequence[Delta], other: Sequence[Delta]) -> dict[str, dict[str, float]]:
    """Return by how much more each model improves, by printed column and model."""
    before = {(one.cell.column, one.model): one.value for one in other if one.cell.half != "non-0"}
    columns: dict[str, dict[str, float]] = {}
    for one in found:
        key = (one.cell.column, one.model)
        if key in before and one.cell.half != "non-0" and one.cell.column not in _LABEL_UNITS:
            columns.setdefault(one.cell.column, {})[one.model] = float(one.value - before[key])
    return columns


def _of(found: Sequence[Delta], metric: str, models: Sequence[str]) -> list[Delta]:
    return [one for one in found if one.metric == metric and (not models or one.model in models)]


def _up(column: Sequence[Delta]) -> int:
    return sum(one.value > 0 for one in column)


def _down(column: Sequence[Delta]) -> int:
    return sum(one.value < 0 for one in column)


def _row(rows: OverRows, unit: str, verb: str) -> str:
    test = rows.wilcoxon
    adjusted = "" if test.adjusted is None else f", after Holm {test.adjusted:.4f}"
    return f"{_counts(rows, verb)}, mean {_mean(rows, unit)}, Wilcoxon p = {test.p:.4f}{adjusted}"


def _counts(rows: OverRows, verb: str) -> str:
    equal = f", {rows.equal} unchanged" if rows.equal else ""
    return f"{rows.better} of {rows.mean.n} models {verb}{equal}"


def _mean(rows: OverRows, unit: str) -> str:
    level = f"{100 * (1 - rows.mean.alpha):g} %"
    low, high = signed(rows.mean.low, unit).removesuffix(f" {unit}"), signed(rows.mean.high, unit)
    return f"{signed(rows.mean.mean, unit)} ({level} interval {low} to {high})"


def _bearing(name: str, rows: Sequence[OverRows]) -> str:
    """Say how small a p the rows could reach."""
    tests = [row.wilcoxon for row in rows]
    floors = [test.floor if test.reach is None else test.reach for test in tests]
    models = max((row.mean.n for row in rows), default=0)
    if not floors:
        return f"{name}: no rows."
    span = f"{min(floors):.4f}" if min(floors) == max(floors) else f"{min(floors):.4f} to {max(floors):.4f}"
    return f"{name}: {models} models, whose smallest possible p after Holm is {span}."
