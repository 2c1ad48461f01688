"""Differences of printed numbers, exactly, from the rows of the authors' own runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from harness.metrics import definition
from harness.published import COSTS, Cell, Tables
from harness.spec import Variant

__all__ = ["Delta", "Growth", "deltas", "growths", "is_defect", "lower_is_better"]


@dataclass(frozen=True)
class Delta:
    """What a variant changed in one printed number.

    Attributes
    ----------
    cell, before : Cell
        The number of the variant, and that of the baseline.
    value : Decimal
        Variant minus baseline, turned so that + is an improvement; in the units of the table.
    """

    cell: Cell
    before: Cell
    value: Decimal

    @property
    def model(self) -> str:
        """The model of both rows."""
        return self.cell.model

    @property
    def metric(self) -> str:
        """The metric, as `Cell.metric` names it."""
        return self.cell.metric


@dataclass(frozen=True)
class Growth:
    """By how much a printed cost grew, in percent of the original's."""

    cell: Cell
    value: Fraction


def deltas(
    tables: Tables, table: int, variant: Variant = "fg", baseline: Variant = "original", *, defects: bool = True
) -> tuple[Delta, ...]:
    """Return the differences of a result table, row by row; where either number is absent there is none.

    Parameters
    ----------
    tables : Tables
    table : int
    variant, baseline : Variant
    defects : bool
        Whether the columns that MMSA computes wrongly are among them.
    """
    return tuple(
        Delta(after, before, before.value - after.value if lower_is_better(after) else after.value - before.value)
        for after, before in _pairs(tables, table, variant, baseline)
        if after.column not in COSTS and (defects or not is_defect(after))
        if after.value is not None and before.value is not None
    )


def growths(tables: Tables, table: int) -> tuple[Growth, ...]:
    """Return by how much the costs of a result table grew with the method, row by row."""
    return tuple(
        Growth(after, 100 * (Fraction(after.value) / Fraction(before.value) - 1))
        for after, before in _pairs(tables, table, "fg", "original")
        if after.column in COSTS and after.value is not None and before.value
    )


def lower_is_better(cell: Cell) -> bool:
    """Whether a smaller number is an improvement; not of what `harness.metrics` does not know."""
    metric = definition(cell.metric)
    return metric is not None and not metric.higher_is_better


def is_defect(cell: Cell) -> bool:
    """Whether the metric is one of those whose MMSA value `harness.metrics` corrects."""
    return cell.task == "classification" and definition(f"{cell.metric}/corrected") is not None


def _pairs(tables: Tables, table: int, variant: Variant, baseline: Variant) -> Iterator[tuple[Cell, Cell]]:
    rows = tables.rows(table)
    for (model, kind, source), row in rows.items():
        if kind != variant or source != "reproduction":
            continue
        other = rows.get((model, baseline, "reproduction"), {})
        for metric, cell in row.items():
            if metric in other:
                yield cell, other[metric]
