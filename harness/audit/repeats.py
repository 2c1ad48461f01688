"""What stands in the paper more than once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from harness.audit.finding import Finding, at, box
from harness.published import Cell, Tables

__all__ = ["repeated_numbers", "spellings"]


def repeated_numbers(tables: Tables) -> Iterator[Finding]:
    """Compare a number that stands in two tables, such as the own rows of Tables 5 and 8.

    The same is a number of one data set, task, model, variant and metric, from one source. If the precisions differ,
    the numbers agree where some number would be printed like both.
    """
    first: dict[tuple[str, ...], Cell] = {}
    for cell in tables.cells:
        if cell.printed is None:
            continue
        key = (cell.dataset, cell.task, cell.model, cell.variant, cell.source, cell.metric)
        other = first.setdefault(key, cell)
        if other is cell or other.printed is None:
            continue
        (low, high), (other_low, other_high) = box(cell.printed), box(other.printed)
        same = cell.value == other.value
        if not same and (cell.printed.unit == other.printed.unit or high < other_low or other_high < low):
            why = f"the same run has {other.printed.text} in Table {other.table}"
            certainty = "certain that one of them is wrong; which one is open"
            yield at(cell, "repeat", other.printed.text, "error", why, certainty)


def spellings(tables: Tables) -> Iterator[Finding]:
    """Find models whose name is spelled in more than one way; one finding a table that has the rarer spelling."""
    used: dict[str, Counter[str]] = {}
    places: dict[tuple[str, str, int], str] = {}
    labels = [(cell.model, _name(cell), cell.table, cell.row) for cell in tables.cells if cell.source != "delta"]
    labels += [(network.model, network.row, 3, network.row) for network in tables.networks]
    for model, name, table, row in labels:
        if (model, name, table) not in places:
            used.setdefault(model, Counter())[name] += 1
            places[model, name, table] = row
    for (model, name, table), row in places.items():
        usual = max(used[model], key=lambda spelling: (used[model][spelling], spelling))
        if name != usual:
            why = f"the model is {usual} in most tables of this paper"
            yield Finding("spelling", table, row, "Model", name, usual, "note", why, "certain of the form")


def _name(cell: Cell) -> str:
    name = cell.row.removeprefix("#").removesuffix("*")
    return name if cell.variant == "original" else name.removesuffix(f"-{cell.variant}")
