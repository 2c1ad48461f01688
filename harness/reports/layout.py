"""How a report's tables come about: the cells of a plan, what was compared, what was counted, what others printed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from harness.comparison import Comparison, cell_name
from harness.metrics import Metric, metrics_for
from harness.published import load
from harness.reports.notes import notes_for
from harness.reports.numbers import percent, plain, power, printed, signed
from harness.reports.private import without_paths
from harness.reports.tables import Block, Column, CostColumn, Number, Row, Table
from harness.wording import listing

if TYPE_CHECKING:
    from harness.costs import CellCosts, CellKey
    from harness.plan import Cell, Plan

__all__ = ["build"]

_COSTS = (
    CostColumn("Params", "trainable parameters"),
    CostColumn("MACs", "multiply-accumulates of one utterance of full length"),
)
_OTHERS = {"mmsa", "paper"}
"""Sources of printed originals that others published: MMSA's results page, and the models' own papers."""


def build(
    compared: Comparison,
    plan: Plan,
    costs: Mapping[CellKey, CellCosts] | None = None,
    uncounted: Mapping[CellKey, str] | None = None,
) -> list[Table]:
    """Return the tables of a plan, in its order; cells without records are there and empty.

    Parameters
    ----------
    compared : Comparison
    plan : Plan
    costs : mapping, optional
        What was counted of the plan's cells; without it the tables have no cost columns.
    uncounted : mapping, optional
        Why the costs of a cell are not there.
    """
    by_table: dict[tuple[str, str], list[Cell]] = {}
    for cell in plan.cells:
        by_table.setdefault((cell.dataset.name, cell.task), []).append(cell)
    return [_table(cells, plan, compared, costs or {}, uncounted or {}) for cells in by_table.values()]


@dataclass(frozen=True)
class _Found:
    """What the rows of one table are made of, by what names them.

    ``values`` and ``deltas`` are by model, setting and variant, then metric; ``ranks`` by metric, then printed value;
    ``uncounted`` holds why costs are not there, by name of the cell; ``others`` the originals that others published, by
    model and setting.
    """

    columns: tuple[Column, ...]
    values: Mapping[tuple[str, ...], Mapping[str, Any]]
    deltas: Mapping[tuple[str, ...], Mapping[str, Any]]
    ranks: Mapping[str, Mapping[float, int]]
    costs: Mapping[tuple[str, ...], CellCosts]
    uncounted: Mapping[str, str]
    others: Mapping[tuple[str, str], Row]


def _table(
    cells: Sequence[Cell],
    plan: Plan,
    compared: Comparison,
    counted: Mapping[CellKey, CellCosts],
    uncounted: Mapping[CellKey, str],
) -> Table:
    data, task = cells[0].dataset, cells[0].task
    columns = _columns(metrics_for(task, data.convention), plan.suite.report.metrics)
    names = [column.metric.name for column in columns]
    summary, contrast, items = (
        frame[(frame["dataset"] == data.name) & (frame["task"] == task) & frame["metric"].isin(names)].reset_index(
            drop=True
        )
        for frame in (compared.cells, compared.contrasts, compared.items)
    )
    costs: dict[tuple[str, ...], CellCosts] = {
        (cell.model, cell.setting, cell.variant): counted[key]
        for cell in cells
        if (key := (data.name, cell.setting, task, cell.model, cell.variant)) in counted
    }
    found = _Found(
        columns=columns,
        values=_by_cell(summary),
        deltas=_by_cell(contrast),
        ranks={column.metric.name: _ranks(summary, column.metric) for column in columns},
        costs=costs,
        uncounted={
            cell_name(cell.model, cell.variant): uncounted[key]
            for cell in cells
            if (key := (data.name, cell.setting, task, cell.model, cell.variant)) in uncounted
        },
        others=dict(_others(cells, columns)),
    )
    slug = cells[0].slug
    return Table(
        slug=slug,
        heading=cells[0].heading,
        dataset=data.name,
        title=data.title,
        task=task,
        synthetic=data.synthetic is not None,
        columns=columns,
        costs=_COSTS if costs else (),
        blocks=tuple(_blocks(cells, found, plan.suite.report.baseline)),
        notes=(
            *notes_for(cells, plan, [(c.metric, c.defect) for c in columns], summary, contrast, slug),
            *_column_notes(found),
        ),
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


def _blocks(cells: Sequence[Cell], found: _Found, baseline: str) -> Iterator[Block]:
    for (model, setting), group in groupby(cells, key=lambda cell: (cell.model, cell.setting)):
        members = list(group)
        if all(cell.skipped for cell in members):
            continue
        rows = [found.others[model, setting]] if (model, setting) in found.others else []
        for cell in members:
            duplicate = cell.alias_of is not None and any(
                other.variant == cell.alias_of and not other.skipped for other in members
            )
            rows.append(_value_row(cell, found, ranked=not duplicate))
            if cell.variant != baseline and not duplicate and (model, setting, cell.variant) in found.deltas:
                rows.append(_delta_row(cell, found, baseline))
        yield Block(model, tuple(rows))


def _column_notes(found: _Found) -> Iterator[str]:
    """Yield what must be known of rows and columns that do not come from runs."""
    if found.others:
        yield (
            "* as the paper prints it, taken over from MMSA's results page or the model's own paper, neither ranked "
            "nor tested; # our runs."
        )
    if found.costs:
        yield (
            "Params: all trainable parameters. MACs: multiply-accumulates of one utterance of full length, counted by "
            "fvcore with handlers for what it leaves at zero. Both counted on built models, not measured; in Δ rows by "
            "how much they change."
        )
    for reason in dict.fromkeys(found.uncounted.values()):
        names = [name for name, why in found.uncounted.items() if why == reason]
        first, *_ = without_paths(reason).splitlines() or [""]
        yield f"Costs of {listing(names)} could not be counted: {first.rstrip('.')}."


def _by_cell(frame: pd.DataFrame) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the rows of each cell (model, setting, variant) by metric."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in frame.to_dict("records"):
        found.setdefault((row["model"], row["setting"], row["variant"]), {})[row["metric"]] = row
    return found


def _ranks(summary: pd.DataFrame, metric: Metric) -> dict[float, int]:
    """Return the printed values that are best and second best; repeated rows do not compete, nor a lone row."""
    rows = summary[(summary["metric"] == metric.name) & ~summary["duplicate"].astype(bool)]
    means = [printed(mean, metric) for mean in rows["mean"] if not math.isnan(mean)]
    if len(means) < 2:
        return {}
    ordered = sorted(set(means), reverse=metric.higher_is_better)
    return {value: place + 1 for place, value in enumerate(ordered[:2])}


def _others(cells: Sequence[Cell], columns: Sequence[Column]) -> Iterator[tuple[tuple[str, str], Row]]:
    """Yield the originals that others published for the same models on the same data, as the paper prints them."""
    data = cells[0].dataset
    if data.synthetic is not None:
        return
    there: dict[str, dict[str, Any]] = {}
    for printed_cell in load().cells:
        if printed_cell.source in _OTHERS and (printed_cell.dataset, printed_cell.task) == (data.name, cells[0].task):
            there.setdefault(printed_cell.model, {})[printed_cell.metric] = printed_cell
    for model, setting in dict.fromkeys((cell.model, cell.setting) for cell in cells if not cell.skipped):
        row = there.get(model, {})
        if any(one.setting not in (None, setting) for one in row.values()):
            continue
        texts = [
            one.printed.plain.replace("\N{MINUS SIGN}", "-") if one is not None and one.printed is not None else ""
            for one in (row.get(column.metric.name) for column in columns)
        ]
        if any(texts):
            # Only where the paper prints the setting: ours is not a statement about theirs.
            theirs = next((one.setting for one in row.values() if one.setting), "")
            yield (model, setting), Row("published", f"{model}*", "original", theirs, "", tuple(map(Number, texts)))


def _value_row(cell: Cell, found: _Found, *, ranked: bool) -> Row:
    key = (cell.model, cell.setting, cell.variant)
    values = found.values.get(key, {})
    numbers, done = [], 0
    for column in found.columns:
        row = values.get(column.metric.name)
        if row is None or math.isnan(row["mean"]):
            numbers.append(Number(share=f"0/{row['undefined']}" if row else ""))
            done = max(done, row["undefined"] if row else 0)
            continue
        seeds = row["n"] + row["undefined"]
        done = max(done, seeds)
        place = found.ranks[column.metric.name].get(printed(row["mean"], column.metric), 0)
        numbers.append(
            Number(
                text=plain(row["mean"], column.metric),
                sd=plain(row["sd"], column.metric),
                rank=place if ranked else 0,
                share=f"{row['n']}/{seeds}" if row["undefined"] else "",
            )
        )
    asked = len(cell.runs)
    costs = found.costs.get(key)
    return Row(
        "value",
        f"{'#' if found.others else ''}{cell_name(cell.model, cell.variant)}",
        cell.variant,
        cell.setting,
        "" if cell.skipped else str(done) if done == asked else f"{done}/{asked}",
        tuple(numbers),
        costs=(power(costs.params), power(costs.macs)) if costs else ("", "") if found.costs else (),
        alias=cell.alias_of or "",
        empty=done == 0,
    )


def _delta_row(cell: Cell, found: _Found, baseline: str) -> Row:
    key = (cell.model, cell.setting, cell.variant)
    numbers, pairs = [], 0
    for column in found.columns:
        row = found.deltas[key].get(column.metric.name)
        if row is None or math.isnan(row["mean"]):
            numbers.append(Number())
            continue
        pairs = max(pairs, row["n"])
        text = signed(row["mean"], column.metric)
        sign: Literal[-1, 0, 1] = 1 if text.startswith("+") else -1 if text.startswith("-") else 0
        numbers.append(Number(text=text, dagger=bool(row["significant"]), sign=sign))
    before, after = found.costs.get((cell.model, cell.setting, baseline)), found.costs.get(key)
    changes = ("", "")
    if before and after:
        changes = percent(before.params, after.params), percent(before.macs, after.macs)
    return Row(
        "delta",
        f"Δ {cell.variant}",
        cell.variant,
        cell.setting,
        str(pairs) if pairs == len(cell.runs) else f"{pairs}/{len(cell.runs)}",
        tuple(numbers),
        costs=changes if found.costs else (),
        empty=pairs == 0,
    )
