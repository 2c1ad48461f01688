"""How much of a LaTeX page a table takes: parts that a page holds, and columns whose words wrap.

All of it is estimated from numbers of letters, for a landscape page of A4. Where an estimate is off, the fragment
shrinks what is too large, so that nothing ever leaves the page.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["NOTES_WIDE", "Part", "Width", "notes_height", "parts", "wraps"]

_PAGE = 36
"""Lines of a table on a page, beside caption and header."""
_SQUEEZED = 47
"""The same where notes stand below: what is a little too high is shrunk, which reads better than another page."""
_LINE = 165
"""Letters of a table on a line."""
_NOTE_LINE, _NOTE_HEIGHT = 140, 0.78
"""Letters of a note on a line, and its height in lines of the table, which are set larger."""
NOTES_WIDE = 0.6
"""The least width of the notes, as a share of the line: below a narrow table they may be wider than it."""
_NATURAL, _NARROWEST, _GAP = 24, 12, 3
"""Letters of a column that never wraps, of the narrowest one that does, and of the space between two."""
_LETTER = 0.5
"""Width of a letter in em."""
_COMMAND = re.compile(r"\\(?:[A-Za-z]+|.)")


@dataclass(frozen=True)
class Part:
    """What one float holds of a table, and which of how many it is."""

    items: tuple[Any, ...]
    number: int
    count: int


@dataclass(frozen=True)
class Width:
    """A column: at most how many letters on a line, and how wide in em; 0 em where it is as wide as its text."""

    letters: int
    em: float = 0.0

    def lines(self, text: str) -> int:
        """Return how many lines a text takes, roughly."""
        return math.ceil(1.1 * _letters(text) / self.letters) if self.em else 1


def notes_height(notes: Sequence[str]) -> float:
    """Return how many lines of the table the notes below it take, which are LaTeX already."""
    printed = (_COMMAND.sub("x", note.replace("{}", "")) for note in notes)
    return sum(_NOTE_HEIGHT * math.ceil(_letters(text) / _NOTE_LINE) for text in printed)


def parts(items: Sequence[Any], heights: Sequence[float], notes: float) -> list[Part]:
    """Return items in parts that a page holds each; the last has room for the notes, where any part can.

    Parameters
    ----------
    items : sequence
        What must not be torn apart.
    heights : sequence of float
        Lines of each.
    notes : float
        Lines of the notes.
    """
    ends = _ends(heights, _PAGE)
    start = ends[-2] if len(ends) > 1 else 0
    last = start
    if sum(heights[start:]) + notes > _SQUEEZED:
        # No part should look like a left-over: the last is not higher than what is cut off before it.
        while last < len(items) - 1 and sum(heights[last:]) > min(sum(heights[start:last]), _SQUEEZED - notes):
            last += 1
    if last > start:
        ends = [*_ends(heights[:last], _PAGE), len(items)]
    cuts = zip([0, *ends[:-1]], ends, strict=True)
    return [Part(tuple(items[a:b]), number, len(ends)) for number, (a, b) in enumerate(cuts, start=1)]


def _ends(heights: Sequence[float], page: float) -> list[int]:
    """Return where each part ends when every one takes what fits."""
    ends, filled = [], 0.0
    for place, height in enumerate(heights):
        if filled and filled + height > page:
            ends.append(place)
            filled = 0.0
        filled += height
    return [*ends, len(heights)]


def wraps(labels: Sequence[str], words: Sequence[bool], rows: Sequence[Sequence[str]]) -> list[Width]:
    """Return the columns of a table: those with long texts share the room that the others leave.

    Parameters
    ----------
    labels : sequence of str
        The heads, one per column.
    words : sequence of bool
        Which columns hold words; numbers never wrap.
    rows : sequence of sequences of str
    """
    natural = [max(_letters(text) for text in column) for column in zip(labels, *rows, strict=True)]
    long = [width for width, wrap in zip(natural, words, strict=True) if wrap and width > _NATURAL]
    room = _LINE - _GAP * len(labels) - (sum(natural) - sum(long))
    if sum(long) <= room:
        return [Width(width) for width in natural]
    # The longest line that all of them can be held to: shorter ones stay as they are, the others share the rest.
    held = max((limit for limit in range(_NARROWEST, _LINE) if sum(min(w, limit) for w in long) <= room), default=0)
    most = max(held, _NARROWEST)
    return [
        Width(most, _LETTER * most) if wrap and width > max(most, _NATURAL) else Width(width)
        for width, wrap in zip(natural, words, strict=True)
    ]


def _letters(text: str) -> int:
    """Return the width of a text in letters; Chinese ones count twice."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
