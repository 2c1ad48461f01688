"""All published tables together, with what the text says about them, and what the harness looks up in them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.published.cells import RESULT_TABLES, Cell, read_cells, reprint
from harness.published.claims import Claim, read_claims
from harness.published.descriptions import (
    Case,
    DatasetSize,
    Network,
    SubFeatures,
    read_captions,
    read_cases,
    read_networks,
    read_sizes,
    read_sub_features,
)
from harness.published.numbers import Printed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RowKey", "Tables", "frame", "load", "own_results"]

RowKey = tuple[str, str, str]
"""Model, variant, source: what a table has one row of."""

_COST_TABLES = (4, 5)


@dataclass(frozen=True)
class Tables:
    """The paper's tables.

    Attributes
    ----------
    cells : tuple of Cell
        The results, Tables 4 to 8, in the order of the paper.
    sizes : tuple of DatasetSize
        Table 1.
    sub_features : tuple of SubFeatures
        Table 2.
    networks : tuple of Network
        Table 3.
    cases : tuple of Case
        Table 9.
    captions : mapping of int to str
        Of all nine.
    claims : tuple of Claim
        What the running text says about them.
    """

    cells: tuple[Cell, ...]
    sizes: tuple[DatasetSize, ...]
    sub_features: tuple[SubFeatures, ...]
    networks: tuple[Network, ...]
    cases: tuple[Case, ...]
    captions: Mapping[int, str]
    claims: tuple[Claim, ...] = ()

    def table(self, number: int) -> tuple[Cell, ...]:
        """Return the cells of one result table."""
        return tuple(cell for cell in self.cells if cell.table == number)

    def rows(self, number: int) -> dict[RowKey, dict[str, Cell]]:
        """Return the rows of one result table in their order, each as metric (`Cell.metric`) to cell."""
        rows: dict[RowKey, dict[str, Cell]] = {}
        for cell in self.table(number):
            rows.setdefault((cell.model, cell.variant, cell.source), {})[cell.metric] = cell
        return rows

    def reprinted(self, table: int, row: RowKey, column: str, text: str) -> Tables:
        """Return the tables with another text in one printed cell, as if the paper said that instead.

        Parameters
        ----------
        table : int
            A result table.
        row : RowKey
            Model, variant, source.
        column : str
            The printed column, both halves of it: ``Acc-2``, not ``Acc-2/has-0``.
        text : str
            The whole cell.

        Raises
        ------
        InputError
            If there is no such cell, or the text is not what it can hold.
        """
        where = f"Table {table}, {' '.join(row)}, {column}"
        there = [
            index
            for index, cell in enumerate(self.cells)
            if (cell.table, cell.column) == (table, column) and (cell.model, cell.variant, cell.source) == row
        ]
        if not there:
            raise InputError("there is no such cell in the published tables", where=where)
        cells = list(self.cells)
        try:
            changed = reprint((cells[index] for index in there), text)
        except ValueError as error:
            raise InputError(str(error), where=where) from error
        for index, cell in zip(there, changed, strict=True):
            cells[index] = cell
        return replace(self, cells=tuple(cells))


def load(folder: Path | None = None) -> Tables:
    """Read the published tables.

    Parameters
    ----------
    folder : Path, optional
        A folder with files of the same names and layout, such as an altered copy; the harness's own unless given.

    Raises
    ------
    InputError
        If a file is missing or a line of it makes no sense; says file and line.
    """
    return _shipped() if folder is None else _read(folder)


def _read(folder: Path | None) -> Tables:
    return Tables(
        cells=tuple(cell for number in RESULT_TABLES for cell in read_cells(number, folder)),
        sizes=read_sizes(folder),
        sub_features=read_sub_features(folder),
        networks=read_networks(folder),
        cases=read_cases(folder),
        captions=read_captions(folder),
        claims=read_claims(folder),
    )


@functools.cache
def _shipped() -> Tables:
    return _read(None)


@functools.cache
def own_results(metric: str) -> Mapping[RowKey, Printed]:
    """Return one metric or cost of the authors' own regression runs, Tables 4 and 5, by (data set, model, variant)."""
    return {
        (cell.dataset, cell.model, cell.variant): cell.printed
        for cell in load().cells
        if cell.table in _COST_TABLES and cell.own and cell.metric == metric and cell.printed is not None
    }


def frame(cells: Iterable[Cell]) -> pd.DataFrame:
    """Return cells as a data frame, a line each.

    Returns
    -------
    DataFrame
        The attributes of `Cell`, with ``metric``, ``number`` (the number's own text; None if absent), ``value``
        (float; NaN if absent), ``decimals`` and ``digits`` (printed precision; <NA> if absent) and ``percent`` in
        place of ``printed``.
    """
    import pandas as pd

    lines = [
        {name: value for name, value in vars(cell).items() if name != "printed"}
        | {
            "metric": cell.metric,
            "number": cell.printed.text if cell.printed else None,
            "value": float(cell.printed.value) if cell.printed else float("nan"),
            "decimals": cell.printed.decimals if cell.printed else None,
            "digits": cell.printed.digits if cell.printed else None,
            "percent": cell.percent,
        }
        for cell in cells
    ]
    columns = [name for name in Cell.__dataclass_fields__ if name != "printed"]
    columns += ["metric", "number", "value", "decimals", "digits", "percent"]
    return pd.DataFrame(lines, columns=columns).astype({"decimals": "Int64", "digits": "Int64", "value": "float64"})
