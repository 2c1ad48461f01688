"""The second-best marks of Table 8."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from harness.audit.finding import Finding, at
from harness.published import Cell, Tables

__all__ = ["underlines"]

_TABLE = 8
_WAYS = {"all rows of the model": False, "the rows with the method, without the original": True}


@dataclass(frozen=True)
class _Column:
    """One metric of one model: what is compared when ranks are given."""

    cells: Sequence[Cell]

    def second(self, *, variants_only: bool) -> tuple[Cell, ...]:
        """Return the cells that may be called second best, none if all are equal.

        They hold the second-best value or, behind those, tie for the best one, since then either can be put second.
        """
        ranked = [cell for cell in self.cells if not (variants_only and cell.variant == "original")]
        values = [cell.value for cell in ranked if cell.value is not None]
        order: list[Decimal] = sorted(set(values), reverse=not _falls(self.cells[0]))
        if len(order) < 2:
            return ()
        wanted = [order[1], order[0]] if values.count(order[0]) > 1 else [order[1]]
        return tuple(cell for value in wanted for cell in ranked if cell.value == value)


def underlines(tables: Tables) -> Iterator[Finding]:
    """Rank each model's rows in each column of Table 8 and compare with the underlines.

    The caption calls the underlined number the sub-optimal one "in all results". It does not say whether the original
    is ranked too, so both readings are tried and the one that more underlines agree with is taken (all rows, if they
    tie). An underlined cell that is not second best is a warning; a second-best one that is not underlined only a
    note, since the text extraction lost some underlines.
    """
    blocks: dict[tuple[str, str], list[Cell]] = {}
    for cell in tables.table(_TABLE):
        blocks.setdefault((cell.model, cell.metric), []).append(cell)
    columns = [_Column(cells) for cells in blocks.values()]
    reading = max(_WAYS, key=lambda way: _hits(columns, variants_only=_WAYS[way]))
    marked = sum(cell.underlined for column in columns for cell in column.cells)
    fits = _hits(columns, variants_only=_WAYS[reading])
    basis = f"reading the ranks as over {reading}, which {fits} of the {marked} underlines fit"
    for column in columns:
        second = column.second(variants_only=_WAYS[reading])
        named = " or ".join(f"{cell.printed.text} of {cell.row}" for cell in second if cell.printed) or "none"
        for cell in column.cells:
            if cell.underlined and cell not in second:
                why = f"underlined, and not the second best in its block ({basis})"
                tied = sum(other.value == cell.value for other in column.cells) > 1
                certainty = "weak: it ties, and digits that are not printed may decide" if tied else "likely"
                yield at(cell, "underline", named, "warning", why, certainty)
        if marked and second and not any(cell.underlined for cell in second):
            why = f"the second best of its block, and not underlined ({basis})"
            certainty = "weak: text extraction has lost all bold type and may have lost underlines"
            yield at(second[0], "underline-missing", f"underlined: {named}", "note", why, certainty)


def _falls(cell: Cell) -> bool:
    return "\u2193" in cell.heading or "\\downarrow" in cell.heading


def _hits(columns: Sequence[_Column], *, variants_only: bool) -> int:
    return sum(cell.underlined for column in columns for cell in column.second(variants_only=variants_only))
