"""A plain table of a page: named columns and lines of printed text, drawn by one macro."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

__all__ = ["Head", "Line", "Sheet", "heads", "ruled"]


@dataclass(frozen=True)
class Head:
    """A column: what stands above it, whether it holds words (else numbers), and what it means."""

    label: str
    words: bool = False
    title: str = ""


@dataclass(frozen=True)
class Line:
    """One line: its name and its cells as printed; ``holds`` sets it off, ``opens`` rules it off from those above."""

    name: str
    cells: tuple[str, ...]
    holds: bool = False
    opens: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table with its caption; it has as many columns as its lines have cells.

    Attributes
    ----------
    slug : str
        Its anchor, unique on the page.
    caption : str
        What it is.
    about : str
        How to read it; stands above it.
    synthetic : bool
        Whether the caption must begin by saying that the data are.
    first : str
        The head above the lines' names.
    columns : tuple of Head
    lines : tuple of Line
    """

    slug: str
    caption: str
    about: str
    synthetic: bool
    first: str
    columns: tuple[Head, ...]
    lines: tuple[Line, ...]


def heads(*columns: Head | str) -> tuple[Head, ...]:
    """Return columns of which those given as mere names hold numbers."""
    return tuple(Head(column) if isinstance(column, str) else column for column in columns)


def ruled(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return lines that are ruled off wherever the name changes."""
    kept = tuple(lines)
    return kept[:1] + tuple(replace(line, opens=line.name != before.name) for before, line in pairwise(kept))
