"""Tables before they are HTML or LaTeX: what stands in which cell, marked how, and the notes below.

One table per data set and task, laid out like Tables 4 to 7 of the paper: per model the original as others published
it, ours, then each variant with its delta row.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import pandas as pd

from harness.metrics import Metric

__all__ = ["Block", "Column", "CostColumn", "Number", "Row", "Table"]


@dataclass(frozen=True)
class Number:
    """One cell: ``text`` and ``sd`` as printed (empty where there is nothing), ``rank`` 1 best, 2 second, 0 neither.

    ``share`` is ``"4/5"`` where some seeds have no defined value, ``sign`` that of a delta.
    """

    text: str = ""
    sd: str = ""
    rank: int = 0
    dagger: bool = False
    share: str = ""
    sign: Literal[-1, 0, 1] = 0


@dataclass(frozen=True)
class Row:
    """One line: a cell of the plan (value), its difference from the baseline (delta), or an original of others.

    Attributes
    ----------
    kind : {"value", "delta", "published"}
    label : str
        As the table shows it: where originals that others published stand beside ours these end with ``*`` and ours
        begin with ``#``, as in the paper.
    variant, setting, n : str
        ``n`` counts the runs, as done/asked where some are missing; empty for what others published.
    numbers : tuple of Number
        One per column of the table.
    costs : tuple of str
        One per cost column: ``"5.04e6"``, in a delta row the change in percent, ``"+0.20"``; empty where not counted.
    alias : str
        The variant whose runs these are, where that is another one.
    empty : bool
        Whether no run stands behind it.
    """

    kind: Literal["value", "delta", "published"]
    label: str
    variant: str
    setting: str
    n: str
    numbers: tuple[Number, ...]
    costs: tuple[str, ...] = ()
    alias: str = ""
    empty: bool = False


@dataclass(frozen=True)
class Block:
    """The rows of one model."""

    model: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Column:
    """One metric: ``group`` heads neighbouring columns, ``label`` tells them apart, ``defect``: it has a correction."""

    metric: Metric
    group: str
    label: str
    defect: bool

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return "↑" if self.metric.higher_is_better else "↓"


@dataclass(frozen=True)
class CostColumn:
    """What a model costs: ``title`` says what is counted."""

    label: str
    title: str


@dataclass(frozen=True)
class Table:
    """One data set and task, ready to be rendered, with the frames behind it.

    ``summary``, ``contrasts`` and ``items`` are its rows of `harness.comparison.Comparison`: means with intervals,
    first-level and second-level comparisons.
    """

    slug: str
    heading: str
    dataset: str
    title: str
    task: str
    synthetic: bool
    columns: tuple[Column, ...]
    costs: tuple[CostColumn, ...]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]
    settings: bool
    summary: pd.DataFrame
    contrasts: pd.DataFrame
    items: pd.DataFrame

    @property
    def caption(self) -> str:
        """What the table shows, as a sentence."""
        numbers = [
            number for block in self.blocks for row in block.rows if row.kind == "value" for number in row.numbers
        ]
        if any(number.sd for number in numbers):
            shown = "mean ± standard deviation over seeds"
        elif any(number.text for number in numbers):
            shown = "one run"
        else:
            shown = "no finished run yet"
        return f"{self.title}, {self.task}: {shown} of every model and variant."

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics of its columns by name."""
        return {column.metric.name: column.metric for column in self.columns}

    @property
    def labels(self) -> dict[str, str]:
        """What the metrics are called outside the table, where no header says that one has a correction."""
        return {column.metric.name: f"{column.metric.name}{'‡' if column.defect else ''}" for column in self.columns}

    @property
    def groups(self) -> list[tuple[str, str, int, bool]]:
        """Header cells of the first line: group, unit and arrow, number of columns, whether sub-headers follow."""
        heads = []
        for group, members in groupby(self.columns, key=lambda column: column.group):
            columns = list(members)
            unit = " (%) " if columns[0].metric.percent else " "
            heads.append((group, f"{unit}{columns[0].arrow}", len(columns), any(c.label for c in columns)))
        return heads
