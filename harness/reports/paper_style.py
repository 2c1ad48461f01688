r"""Results as the paper lays them out: means alone, both halves of a metric in one cell, Params and FLOPs beside them.

Tables 4 to 7 mark improvements, in the rows of differences, and Table 8 the best two values of each model. What this
layout leaves out (spread, tests, numbers of runs) stands in the fragments of `harness.reports.latex`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from harness.published import Cell, load
from harness.reports.ablation import MARKS, SYNTHETIC, ablation
from harness.reports.latex import Tex, cost, escape, mark, render
from harness.reports.numbers import percent, power
from harness.reports.tables import Block, Column, Number, Row, Table
from harness.wording import listing

if TYPE_CHECKING:
    from harness.costs import CellCosts, CellKey

__all__ = ["ablation_fragment", "fragment"]

_NONE = Tex(r"\textendash{}")
_HALVES = ("has-0", "non-0")
_CORRECTED = "/corrected"
_COSTS = ("Params", "FLOPs")
_WITH_COSTS = "regression"
_SETTING = ("Data Setting",)
_ABLATION = 8
"""The paper's table that the others' columns are not read from: it shows a selection of them."""


@dataclass(frozen=True)
class _Column:
    """A column of metrics in this layout: its head, which of the table's it joins, and whether MMSA gets one wrong."""

    head: Tex
    places: tuple[int, ...]
    defect: bool


def fragment(
    table: Table,
    costs: Mapping[CellKey, CellCosts] | None = None,
    *,
    baseline: str = "original",
    made: str = "",
) -> str:
    r"""Return one table in the layout of Tables 4 to 7, as floats that a document can \input.

    Parameters
    ----------
    table : Table
        Where the paper has a table of the same data set and task, its metrics alone are shown. Of its variants -fg is,
        as in the paper: -a and -v stand in the ablation, or here if there is none and they ran.
    costs : mapping, optional
        What was counted, as `harness.costs.plan_costs` returns it; Params and FLOPs are in the paper's convention and,
        as in the paper, stand in tables of regression alone.
    baseline : str
        The variant whose costs those of the others are compared with.
    made : str
        What rendered it; said in the last note unless empty.
    """
    counted: dict[tuple[str, str, str], CellCosts] = {
        (model, setting, variant): one
        for (dataset, setting, task, model, variant), one in (costs or {}).items()
        if (dataset, task) == (table.dataset, table.task) and task == _WITH_COSTS
    }
    table = _with_fg(table, baseline)
    columns = list(_columns(table))
    settings = table.settings or any(cell.setting for cell in _in_paper(table))

    def cells(block: Block, row: Row) -> list[Tex]:
        texts = [_cell(row, column, ranked=False) for column in columns]
        if counted:
            keys = ((block.model, row.setting, variant) for variant in (baseline, row.variant))
            texts += _costs(row, *(counted.get(key) for key in keys))
        if settings:
            texts.append(_NONE if row.kind == "delta" else escape(row.setting.capitalize()) or _NONE)
        return texts

    return _render(
        table,
        f"Results of the {table.task} task on {table.title}",
        [*(column.head for column in columns), *map(Tex, _COSTS * bool(counted) + _SETTING * settings)],
        cells,
        [*_notes(table, columns), *_cost_notes(counted=bool(counted))],
        made,
    )


def _with_fg(table: Table, baseline: str) -> Table:
    """Return the table without the rows that stand in its ablation, or nowhere since nothing ran."""
    ablated = ablation(table) is not None

    def stays(row: Row) -> bool:
        if row.kind == "published" or row.variant in (baseline, "fg"):
            return True
        return not (ablated or row.empty or row.alias)

    blocks = (Block(block.model, tuple(filter(stays, block.rows))) for block in table.blocks)
    return replace(table, blocks=tuple(blocks))


def ablation_fragment(table: Table, *, made: str = "") -> str:
    r"""Return what `harness.reports.ablation.ablation` made in the layout of Table 8, as floats to \input."""
    columns = list(_columns(table))

    def cells(_: Block, row: Row) -> list[Tex]:
        return [_cell(row, column, ranked=True) for column in columns]

    heads = [column.head for column in columns]
    return _render(table, f"{table.title}, {table.task}", heads, cells, [*_notes(table, columns), MARKS], made)


def _render(
    table: Table,
    caption: str,
    heads: Sequence[Tex],
    cells: Callable[[Block, Row], list[Tex]],
    notes: Sequence[str],
    made: str,
) -> str:
    return render(
        "paper.tex",
        table.blocks,
        [len(block.rows) + 0.5 for block in table.blocks],
        [escape(note) for note in notes],
        made,
        slug=f"{table.slug}-paper",
        short=f"{table.title}, {table.task}, in the layout of the paper",
        caption=caption,
        synthetic=table.synthetic,
        heads=heads,
        cells=cells,
        label=_label,
    )


def _in_paper(table: Table) -> list[Cell]:
    """Return what the paper prints of the same data set and task, the ablation aside."""
    place = (table.dataset, table.task)
    return [cell for cell in load().cells if (cell.dataset, cell.task) == place and cell.table != _ABLATION]


def _columns(table: Table) -> Iterator[_Column]:
    """Yield the metrics that the paper has, halves joined; without such a table, all but corrections of others."""
    names = table.metrics.keys()
    shown = {cell.metric for cell in _in_paper(table)} & names or {
        name for name in names if name.removesuffix(_CORRECTED) == name or name.removesuffix(_CORRECTED) not in names
    }
    kept = [(place, one) for place, one in enumerate(table.columns) if one.metric.name in shown]
    for group, members in groupby(kept, key=lambda one: one[1].group):
        pairs = list(members)
        if [one.metric.name for _, one in pairs] == [f"{group}/{half}" for half in _HALVES]:
            yield _Column(_head(group, pairs[1][1]), tuple(place for place, _ in pairs), pairs[1][1].defect)
        else:
            for place, one in pairs:
                yield _Column(_head(f"{group} {one.label}".strip(), one), (place,), one.defect)


def _head(name: str, column: Column) -> Tex:
    unit = r" (\%)" if column.metric.percent else ""
    defect = r"\textsuperscript{\textdaggerdbl}" if column.defect else ""
    return Tex(f"{escape(name)}{unit}{escape(column.arrow)}{defect}")


def _label(row: Row) -> Tex:
    """Return how the paper calls a row: ``TFN*``, ``#TFN-fg``, or a difference with its variant as an index."""
    if row.kind == "delta":
        return Tex(rf"\ensuremath{{\Delta}}\textsubscript{{{escape(row.variant)}}}")
    ours = row.kind == "value" and not row.label.startswith("#")
    return Tex(escape(f"#{row.label}" if ours else row.label) + (r"\textsuperscript{=}" if row.alias else ""))


def _cell(row: Row, column: _Column, *, ranked: bool) -> Tex:
    """Return a number, or two with a stroke between them: best ones marked, or improvements."""
    numbers = [row.numbers[place] for place in column.places]
    if not any(number.text for number in numbers):
        return _NONE
    return Tex("/".join(_number(number, number.rank if ranked else _improves(row, number)) for number in numbers))


def _improves(row: Row, number: Number) -> int:
    return int(row.kind == "delta" and number.sign > 0)


def _number(number: Number, rank: int) -> Tex:
    return mark(rf"\harnessnum{{{number.text}}}", rank) if number.text else _NONE


def _costs(row: Row, before: CellCosts | None, own: CellCosts | None) -> list[Tex]:
    """Return Params and FLOPs of a row; nobody counts what others published."""
    if own is None or row.kind == "published":
        return [_NONE, _NONE]
    if row.kind == "value":
        return [cost(power(own.params_paper), row), cost(power(own.macs_paper), row)]
    if before is None:
        return [_NONE, _NONE]
    changes = percent(before.params_paper, own.params_paper), percent(before.macs_paper, own.macs_paper)
    return [cost(change, row) or _NONE for change in changes]


def _notes(table: Table, columns: Sequence[_Column]) -> Iterator[str]:
    rows = [row for block in table.blocks for row in block.rows]
    counts = sorted({row.n for row in rows if row.kind == "value" and not row.empty})
    if table.synthetic:
        yield SYNTHETIC
    if counts:
        yield (
            f"Means over n runs with different seeds on the test split (n: {listing(counts)}); – no value. Their "
            "spread, the tests of the differences and what these can find are left out in this layout."
        )
    taken = "; * as the paper prints it, taken over from MMSA's results page or the model's own paper"
    published = any(row.kind == "published" for row in rows)
    deltas = any(row.kind == "delta" for row in rows)
    differences = "; Δ the difference that a variant makes, + is always an improvement, in bold"
    yield f"# our runs{taken if published else ''}{differences if deltas else ''}."
    yield from _half_notes(columns)
    if any(row.alias for row in rows):
        yield from (note for note in table.notes if note.startswith("= "))


def _half_notes(columns: Sequence[_Column]) -> Iterator[str]:
    if any(len(column.places) > 1 for column in columns):
        yield "Left of the stroke: negative or non-negative (has-0); right of it: negative or positive (non-0)."
    if any(column.defect for column in columns):
        yield (
            "‡ non-0: MMSA's value, which counts no positive utterance as right; the corrected metric stands in the "
            "other layout."
        )


def _cost_notes(*, counted: bool) -> Iterator[str]:
    if counted:
        yield (
            "Params and FLOPs in the paper's convention, which is thop's: parameters of the modules that it knows, and "
            "multiply-accumulates of one full batch, whose size differs between models, so that FLOPs cannot be "
            "compared between them."
        )
