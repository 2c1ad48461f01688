"""The work behind a comparison in parts that need nothing of each other: one model at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from harness.comparison.pairs import CellRuns, Pair

__all__ = ["Block", "Draws", "Found", "Rows", "blocks"]

Rows: TypeAlias = list[list[Any]]
"""Rows of a frame to be, as plain values."""


@dataclass(frozen=True)
class Draws:
    """The level of intervals and tests, and what is drawn for them."""

    alpha: float
    resamples: int
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Block:
    """The cells of one data set, setting, task and model, and the comparisons of which they are the second side."""

    cells: tuple[CellRuns, ...]
    pairs: tuple[Pair, ...]

    @property
    def different(self) -> list[Pair]:
        """The comparisons without those that repeat another under a second name."""
        return [pair for pair in self.pairs if not pair.duplicate]

    @property
    def run_ids(self) -> list[str]:
        """All runs whose predictions it needs, each once."""
        sides = [*self.cells, *(pair.base for pair in self.pairs if pair.base is not None)]
        return list(dict.fromkeys(run_id for cell in sides for run_id in cell.runs.values()))


@dataclass(frozen=True)
class Found:
    """What is found out about blocks: first-level tests, intervals of cells and of comparisons, second-level tests.

    A row of the first level ends with the seeds that a delta that counts would need.
    """

    first: Rows = field(default_factory=list)
    cells: Rows = field(default_factory=list)
    contrasts: Rows = field(default_factory=list)
    items: Rows = field(default_factory=list)


def blocks(cells: Sequence[CellRuns], chosen: Sequence[Pair]) -> list[Block]:
    """Return the cells and comparisons in blocks, in the order of the cells.

    A block at a time also bounds the memory: the columns of a whole table need not fit in it together.
    """
    by_place: dict[tuple[Any, ...], tuple[list[CellRuns], list[Pair]]] = {}
    for cell in cells:
        by_place.setdefault(cell.key[:4], ([], []))[0].append(cell)
    for pair in chosen:
        by_place[pair.other.key[:4]][1].append(pair)
    return [Block(tuple(own), tuple(compared)) for own, compared in by_place.values()]
