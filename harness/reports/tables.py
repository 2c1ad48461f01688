"""Tables before they are HTML or LaTeX: what stands in which cell, marked how, and the notes below.

One table per data set and task, laid out like Tables 4 to 7 of the paper: per model the original, then each variant
with its delta row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from harness.comparison import Comparison, cell_name
from harness.metrics import Metric, metrics_for
from harness.reports.notes import notes_for
from harness.reports.numbers import plain, printed, signed

if TYPE_CHECKING:
    from harness.plan import Cell, Plan

__all__ = ["Block", "Column", "Number", "Row", "Table", "build"]


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
    """One line: a cell of the plan (``kind`` value) or its difference from the baseline (``kind`` delta)."""

    kind: Literal["value", "delta"]
    label: str
    setting: str
    n: str
    numbers: tuple[Number, ...]
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
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]
    settings: bool
    summary: pd.DataFrame
    contrasts: pd.DataFrame
    items: pd.DataFrame

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


def build(compared: Comparison, plan: Plan) -> list[Table]:
    """Return the tables of a plan, in its order; cells without records are there and empty."""
    by_table: dict[tuple[str, str], list[Cell]] = {}
    for cell in plan.cells:
        by_table.setdefault((cell.dataset.name, cell.task), []).append(cell)
    return [_table(cells, plan, compared) for cells in by_table.values()]


def _table(cells: list[Cell], plan: Plan, compared: Comparison) -> Table:
    data, task = cells[0].dataset, cells[0].task
    columns = _columns(metrics_for(task, data.convention), plan.suite.report.metrics)
    names = [column.metric.name for column in columns]
    summary, contrast, items = (
        frame[(frame["dataset"] == data.name) & (frame["task"] == task) & frame["metric"].isin(names)].reset_index(
            drop=True
        )
        for frame in (compared.cells, compared.contrasts, compared.items)
    )
    blocks = _blocks(cells, columns, summary, contrast, plan)
    slug = cells[0].slug
    return Table(
        slug=slug,
        heading=cells[0].heading,
        dataset=data.name,
        title=data.title,
        task=task,
        synthetic=data.synthetic is not None,
        columns=columns,
        blocks=blocks,
        notes=tuple(notes_for(cells, plan, [(c.metric, c.defect) for c in columns], summary, contrast, slug)),
        settings=len({cell.setting for cell in cells}) > 1,
        summary=summary,
        contrasts=contrast,
        items=items,
    )


def _columns(metrics: Sequence[Metric], wanted: Sequence[str] | None) -> tuple[Column, ...]:
    names = {metric.name for metric in metrics}
    columns = []
    for metric in metrics:
        if wanted is not None and metric.name not in wanted:
            continue
        label = ", ".join(metric.name.split("/")[1:])
        defect = f"{metric.name}/corrected" in names
        columns.append(Column(metric, metric.group, f"{label}, MMSA" if defect else label, defect))
    return tuple(columns)


def _blocks(
    cells: list[Cell], columns: tuple[Column, ...], summary: pd.DataFrame, contrast: pd.DataFrame, plan: Plan
) -> tuple[Block, ...]:
    baseline = plan.suite.report.baseline
    values = dict(_by_cell(summary))
    deltas = dict(_by_cell(contrast))
    ranks = {column.metric.name: _ranks(summary, column.metric) for column in columns}
    blocks = []
    for (model, setting), group in groupby(cells, key=lambda cell: (cell.model, cell.setting)):
        members = list(group)
        if all(cell.skipped for cell in members):
            continue
        rows: list[Row] = []
        for cell in members:
            key = (model, setting, cell.variant)
            duplicate = cell.alias_of is not None and any(
                other.variant == cell.alias_of and not other.skipped for other in members
            )
            rows.append(_value_row(cell, columns, values.get(key, {}), ranks if not duplicate else {}))
            if cell.variant != baseline and not duplicate and key in deltas:
                rows.append(_delta_row(cell, columns, deltas[key]))
        blocks.append(Block(model, tuple(rows)))
    return tuple(blocks)


def _by_cell(frame: pd.DataFrame) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield (model, setting, variant) and the rows of that cell by metric."""
    for key, block in frame.groupby(["model", "setting", "variant"], sort=False):
        yield tuple(map(str, key)), {str(row["metric"]): row for row in block.to_dict("records")}


def _ranks(summary: pd.DataFrame, metric: Metric) -> dict[float, int]:
    """Return the printed values that are best and second best; repeated rows do not compete, nor a lone row."""
    rows = summary[(summary["metric"] == metric.name) & ~summary["duplicate"].astype(bool)]
    means = [printed(mean, metric) for mean in rows["mean"] if not math.isnan(mean)]
    if len(means) < 2:
        return {}
    ordered = sorted(set(means), reverse=metric.higher_is_better)
    return {value: place + 1 for place, value in enumerate(ordered[:2])}


def _value_row(
    cell: Cell, columns: tuple[Column, ...], found: dict[str, Any], ranks: dict[str, dict[float, int]]
) -> Row:
    numbers, done = [], 0
    for column in columns:
        row = found.get(column.metric.name)
        if row is None or math.isnan(row["mean"]):
            numbers.append(Number(share=f"0/{row['undefined']}" if row else ""))
            done = max(done, row["undefined"] if row else 0)
            continue
        seeds = row["n"] + row["undefined"]
        done = max(done, seeds)
        numbers.append(
            Number(
                text=plain(row["mean"], column.metric),
                sd=plain(row["sd"], column.metric),
                rank=ranks.get(column.metric.name, {}).get(printed(row["mean"], column.metric), 0),
                share=f"{row['n']}/{seeds}" if row["undefined"] else "",
            )
        )
    asked = len(cell.runs)
    n = "" if cell.skipped else str(done) if done == asked else f"{done}/{asked}"
    alias = cell.alias_of or ""
    return Row(
        "value", cell_name(cell.model, cell.variant), cell.setting, n, tuple(numbers), alias=alias, empty=done == 0
    )


def _delta_row(cell: Cell, columns: tuple[Column, ...], found: dict[str, Any]) -> Row:
    numbers, pairs = [], 0
    for column in columns:
        row = found.get(column.metric.name)
        if row is None or math.isnan(row["mean"]):
            numbers.append(Number())
            continue
        pairs = max(pairs, row["n"])
        text = signed(row["mean"], column.metric)
        sign: Literal[-1, 0, 1] = 1 if text.startswith("+") else -1 if text.startswith("-") else 0
        numbers.append(Number(text=text, dagger=bool(row["significant"]), sign=sign))
    n = str(pairs) if pairs == len(cell.runs) else f"{pairs}/{len(cell.runs)}"
    return Row("delta", f"Δ {cell.variant}", cell.setting, n, tuple(numbers), empty=pairs == 0)
