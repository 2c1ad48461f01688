"""Copies of the paper's tables with many cells changed at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from harness.published import Cell, Tables, parse
from harness.reanalysis import Judged, judge

__all__ = ["ENOUGH", "changed", "judged", "own_values", "without_claims_but"]

ENOUGH = {"Acc-2": "9", "F1": "9", "Acc-3": "9", "Acc-5": "9", "F1-3": "9", "Acc-7": "9", "MAE": "-0.1", "Corr": "0.1"}
"""By printed column, how much better a number gets that improves beyond doubt."""


def changed(tables: Tables, new: Callable[[Cell], Decimal | None]) -> Tables:
    """Return the tables with the number of every cell for which `new` has one."""

    def change(cell: Cell) -> Cell:
        value = new(cell)
        return cell if value is None or cell.printed is None else replace(cell, printed=parse(str(value)))

    return replace(tables, cells=tuple(map(change, tables.cells)))


def own_values(tables: Tables) -> dict[tuple[int, str, str, str], Decimal]:
    """Return the authors' own numbers by table, model, variant and metric."""
    return {
        (cell.table, cell.model, cell.variant, cell.metric): cell.value
        for cell in tables.cells
        if cell.own and cell.value is not None
    }


def without_claims_but(tables: Tables, name: str) -> Tables:
    """Return the tables with a single claim."""
    return replace(tables, claims=tuple(claim for claim in tables.claims if claim.id == name))


def judged(tables: Tables, name: str) -> Judged:
    """Judge one claim."""
    (found,) = judge(without_claims_but(tables, name))
    return found
