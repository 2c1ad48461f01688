"""Numbers, counts and ranks that the text states: parts that agree with the tables, and parts that do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pandas as pd

from harness.published import COSTS, Cell, Claim, ClaimKind, Tables
from harness.reanalysis.deltas import Delta, deltas, lower_is_better

__all__ = ["STATED", "Part", "Place", "look_up", "parts", "signed"]


@dataclass(frozen=True)
class Place:
    """What stands at a place of the tables: its table, row and column as printed, and the number."""

    table: int
    row: str
    column: str
    value: Decimal


@dataclass(frozen=True)
class Part:
    """One thing that a claim states, beside what the tables say.

    Attributes
    ----------
    table : int
    row, column : str
        Where the tables say it.
    stated, found : str
        What the text says, and what the tables say.
    agrees : bool
    note : str
        What else the tables say, as a sentence; may be empty.
    """

    table: int
    row: str
    column: str
    stated: str
    found: str
    agrees: bool
    note: str = ""


def parts(tables: Tables, claim: Claim) -> tuple[Part, ...]:
    """Take a claim of one of the kinds in `STATED` apart and look every part up.

    Raises
    ------
    ValueError
        If the claim is of another kind, or does not name what its kind needs.
    """
    if claim.kind not in STATED:
        raise ValueError(f"claim {claim.id} is of kind {claim.kind}, which states no number, count or rank")
    return tuple(STATED[claim.kind](tables, claim))


def signed(value: Decimal | float, unit: str = "") -> str:
    """Print a difference with its sign: a decimal as it is, a float with two places and a unit, or with four."""
    number = f"{value:+f}" if isinstance(value, Decimal) else f"{value:+z.{2 if unit else 4}f}"
    return f"{number} {unit}" if unit else number


def look_up(tables: Tables, place: str) -> Place | None:
    """Read a number off Tables 1 or 2; None where the tables have no such place.

    Parameters
    ----------
    tables : Tables
    place : str
        ``1/data set/split`` or ``1/data set/total``: utterances. ``2/data set/modality``: columns; with
        ``/sub-features`` behind it, their number; without a modality, of both together.
    """
    table, dataset, *rest = place.split("/")
    if table == "1" and len(rest) == 1:
        for size in tables.sizes:
            counts = {"train": size.train, "valid": size.valid, "test": size.test, "total": size.total}
            if size.dataset == dataset and rest[0] in counts:
                return Place(1, size.row, rest[0].capitalize(), counts[rest[0]].value)
    if table == "2":
        counted = rest[-1:] == ["sub-features"]
        modality = rest[: len(rest) - counted]
        rows = [row for row in tables.sub_features if row.dataset == dataset and modality in ([], [row.modality])]
        if rows:
            title = next((size.row for size in tables.sizes if size.dataset == dataset), dataset)
            widths = [Decimal(len(row.names)) if counted else row.dimension.value for row in rows]
            column = "Fine-grained features" if counted else "Dimension"
            return Place(2, " ".join([title, *modality]), column, sum(widths, Decimal(0)))
    return None


def _numbers(tables: Tables, claim: Claim) -> Iterator[Part]:
    """Compare differences with the values, model by model and, within a model, metric by metric."""
    wanted = [(model, metric) for model in claim.models for metric in claim.metrics]
    found = {
        (delta.model, delta.metric): delta for table in claim.tables for delta in deltas(tables, table, *claim.contrast)
    }
    for (model, metric), value in zip(wanted, claim.values, strict=True):
        delta = found.get((model, metric))
        if delta is None:
            row = _label(tables, claim, model)
            yield Part(claim.tables[0], row, metric, value.text, "nothing", agrees=False)
        else:
            agrees = value.agrees(delta.value)
            yield Part(delta.cell.table, delta.cell.row, metric, value.text, signed(delta.value), agrees)


def _top(tables: Tables, claim: Claim) -> Iterator[Part]:
    """Compare the models with those of the largest differences, metric by metric; ties go to the models named."""
    for table, metric, column in _columns(tables, claim, claim.metrics):
        named = [delta for delta in column if delta.model in claim.models]
        ranked = sorted(column, key=lambda delta: (-delta.value, delta.model not in claim.models))
        leaders = ranked[: len(claim.models)]
        agrees = len(named) == len(claim.models) and {d.model for d in leaders} == set(claim.models)
        row = next((delta.cell.row for delta in leaders if delta.model not in claim.models), ranked[0].cell.row)
        yield Part(table, row, metric, ", ".join(claim.models), _ranking(leaders), agrees, _beside(tables, claim))


def _extremes(tables: Tables, claim: Claim) -> Iterator[Part]:
    """Compare the largest and the smallest difference of the models named with the two values."""
    for table, metric, column in _columns(tables, claim, claim.metrics):
        named = [delta for delta in column if delta.model in claim.models]
        ends = (max(named, key=lambda delta: delta.value), min(named, key=lambda delta: delta.value))
        for delta, value in zip(ends, claim.values, strict=True):
            agrees = value.agrees(delta.value)
            yield Part(table, delta.cell.row, metric, value.text, signed(delta.value), agrees)


def _exceed(tables: Tables, claim: Claim) -> Iterator[Part]:
    """Compare every other model with the smallest difference of those named."""
    for table, metric, column in _columns(tables, claim, claim.metrics):
        least = min((delta for delta in column if delta.model in claim.models), key=lambda delta: delta.value)
        for delta in (delta for delta in column if delta.model not in claim.models):
            stated = f"less than the {signed(least.value)} of {least.model}"
            yield Part(table, delta.cell.row, metric, stated, signed(delta.value), delta.value < least.value)


def _best(tables: Tables, claim: Claim) -> Iterator[Part]:
    """Compare the model with the best mean rank over the metrics, among the own rows of its variant that have all.

    Overall is not in every metric, and scores of several metrics have no common unit but their ranks.
    """
    for table in claim.tables:
        columns: dict[str, list[Cell]] = {}
        for cell in tables.table(table):
            if cell.own and cell.variant == claim.variant and cell.value is not None and cell.column not in COSTS:
                columns.setdefault(cell.metric, []).append(cell)
        rows = {cell.model: cell.row for column in columns.values() for cell in column}
        better = {
            metric: {cell.model: float(cell.value or 0) * (-1 if lower_is_better(cell) else 1) for cell in column}
            for metric, column in columns.items()
        }
        ranks = pd.DataFrame(better, index=list(rows)).dropna().rank(ascending=False)
        if ranks.empty:
            continue
        means = ranks.mean(axis=1).sort_values(kind="stable")
        leaders = [model for model in means.index if means[model] == means.iloc[0]]
        stated, found = (_named(models, means) for models in (claim.models, leaders))
        first = "; ".join(
            f"{metric} {' and '.join(ranks.index[column == column.min()])}" for metric, column in ranks.items()
        )
        agrees = set(leaders) == set(claim.models)
        yield Part(table, rows[leaders[0]], "mean rank", stated, found, agrees, f"Best by metric: {first}.")


def _count(tables: Tables, claim: Claim) -> Iterator[Part]:
    for name, value in zip(claim.places, claim.values, strict=True):
        yield _described(tables, name, value.text, value.value)


def _sum(tables: Tables, claim: Claim) -> Iterator[Part]:
    """Compare the sum of the values with a width of Table 2, and how many they are with its names."""
    (name,) = claim.places
    total = sum((value.value for value in claim.values), Decimal(0))
    stated = f"{' + '.join(value.text for value in claim.values)} = {total}"
    yield _described(tables, name, stated, total)
    yield _described(tables, f"{name}/sub-features", f"{len(claim.values)} of them", Decimal(len(claim.values)))


def _setting(tables: Tables, claim: Claim) -> Iterator[Part]:
    """Compare the models with the data setting that each has; a list need not name every model that has it."""
    (setting,) = claim.places
    for table in claim.tables:
        rows = {cell.model: cell for cell in reversed(tables.table(table)) if cell.own and cell.setting}
        for model in claim.models:
            found = rows[model].setting if model in rows else None
            row = rows[model].row if model in rows else model
            yield Part(table, row, "Data Setting", setting, found or "nothing", agrees=found == setting)


STATED: Mapping[ClaimKind, Callable[[Tables, Claim], Iterator[Part]]] = {
    "numbers": _numbers,
    "count": _count,
    "sum": _sum,
    "top": _top,
    "extremes": _extremes,
    "exceed": _exceed,
    "best": _best,
    "setting": _setting,
}
"""The kinds of claim that tables decide digit by digit or rank by rank."""


def _named(models: Sequence[str], means: pd.Series[float]) -> str:
    """Return models with their mean ranks."""
    return " and ".join(f"{model} {means[model]:.2f}" if model in means else model for model in models)


def _label(tables: Tables, claim: Claim, model: str) -> str:
    """Return the label of the row that a claim speaks about; the model's name where there is no such row."""
    row = tables.rows(claim.tables[0]).get((model, claim.contrast[0], "reproduction"), {})
    return next((cell.row for cell in row.values()), model)


def _columns(tables: Tables, claim: Claim, metrics: Sequence[str]) -> Iterator[tuple[int, str, list[Delta]]]:
    """Return the differences by table and metric, where any of the models named has one."""
    for table in claim.tables:
        for metric in metrics:
            column = [delta for delta in deltas(tables, table, *claim.contrast) if delta.metric == metric]
            if any(delta.model in claim.models for delta in column):
                yield table, metric, column


def _beside(tables: Tables, claim: Claim) -> str:
    """Return who leads in the metrics that a ranking leaves out."""
    leaders = [
        f"{metric} {_ranking(sorted(column, key=lambda delta: -delta.value)[: len(claim.models)])}"
        for _, metric, column in _columns(tables, claim, claim.beside)
    ]
    return f"Elsewhere the largest are: {'; '.join(leaders)}." if leaders else ""


def _ranking(column: Sequence[Delta]) -> str:
    return ", ".join(f"{delta.model} {signed(delta.value)}" for delta in column)


def _described(tables: Tables, name: str, stated: str, wanted: Decimal) -> Part:
    place = look_up(tables, name)
    if place is None:
        table, dataset, *rest = name.split("/")
        return Part(int(table), dataset, " ".join(rest), stated, "nothing", agrees=False)
    return Part(place.table, place.row, place.column, stated, f"{place.value:,}", place.value == wanted)
