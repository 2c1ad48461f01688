"""The long table of printed cells, and what the harness looks up in it."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from harness.published.numbers import Printed, parse

__all__ = ["DATASET_OF_TABLE", "Cell", "load", "own_results"]

DATASET_OF_TABLE: Mapping[int, str] = {4: "mosei", 5: "sims"}
"""The data set of each table."""


@dataclass(frozen=True)
class Cell:
    """One printed cell.

    Attributes
    ----------
    table : int
    row : str
        The row's label as printed.
    model : str
        The model of that row, as the harness spells it.
    variant : str
        ``original``, ``fg``, or ``delta`` for their difference.
    column : str
        The column's heading, without arrows.
    printed : Printed or None
        None where a dash is printed.
    """

    table: int
    row: str
    model: str
    variant: str
    column: str
    printed: Printed | None

    @property
    def own(self) -> bool:
        """Whether the paper's authors ran this themselves."""
        return self.row.startswith("#")


@functools.cache
def load() -> tuple[Cell, ...]:
    """Return every cell, in the order of the paper."""
    text = (resources.files(__package__) / "tables.csv").read_text(encoding="utf-8")
    return tuple(
        Cell(int(line["table"]), line["row"], line["model"], line["variant"], line["column"], parse(line["printed"]))
        for line in csv.DictReader(io.StringIO(text))
    )


@functools.cache
def own_results(column: str) -> Mapping[tuple[str, str, str], Printed]:
    """Return one column of the authors' own runs by (data set, model, variant)."""
    return {
        (DATASET_OF_TABLE[cell.table], cell.model, cell.variant): cell.printed
        for cell in load()
        if cell.own and cell.column == column and cell.printed is not None
    }
