"""The printed costs beside our own count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.audit.classes import definition_of
from harness.audit.costs import CostKey, Counted
from harness.published import COSTS, Cell, Tables

__all__ = ["CostLine", "CostPair", "cost_lines", "said_of_costs"]

NOT_COUNTED = (
    "The printed Params and FLOPs were not compared with a count of our own this time; harness audit --costs --report "
    "counts the models, which takes about a minute and needs no data."
)


@dataclass(frozen=True)
class CostPair:
    """A printed cost and ours; ``cause`` is what is known of a difference."""

    printed: str
    ours: str
    agrees: bool
    cause: str


@dataclass(frozen=True)
class CostLine:
    """One model of the paper in one variant; `pairs` holds Params and FLOPs."""

    dataset: str
    row: str
    pairs: tuple[CostPair, ...]
    opens: bool


def cost_lines(tables: Tables, counted: Mapping[CostKey, Counted] | None) -> tuple[CostLine, ...]:
    """Return the rows whose costs are printed and were counted, in the order of the paper."""
    rows: dict[CostKey, dict[str, Cell]] = {}
    for cell in tables.cells:
        if cell.own and cell.column in COSTS and cell.printed:
            rows.setdefault((cell.dataset, cell.model, cell.variant), {})[cell.column] = cell
    lines: list[CostLine] = []
    last = ""
    for key, cells in rows.items():
        if counted is None or key not in counted or len(cells) < len(COSTS):
            continue
        pairs = tuple(_pair(cells[column], counted[key]) for column in COSTS)
        title = definition_of(key[0]).title
        lines.append(CostLine(title, next(iter(cells.values())).row, pairs, opens=title != last))
        last = title
    return tuple(lines)


def said_of_costs(lines: tuple[CostLine, ...]) -> str:
    """Say how many printed costs equal ours, or that they were not compared."""
    pairs = [pair for line in lines for pair in line.pairs]
    if not pairs:
        return NOT_COUNTED
    hits = sum(pair.agrees for pair in pairs)
    return (
        f"Of {len(pairs)} printed Params and FLOPs, {hits} equal to every printed digit what the models count to when "
        "they are built here and counted in the paper's convention."
    )


def _pair(cell: Cell, ours: Counted) -> CostPair:
    assert cell.printed is not None
    count = ours.of(cell.column)
    return CostPair(cell.printed.text, f"{count:,}", cell.printed.agrees(count), ours.causes.get(cell.column, ""))
