"""Round numbers for the axes of inline pictures."""

from __future__ import annotations

import math

__all__ = ["round_numbers", "round_step"]

_FLATTEST = 1e-3
"""The least span of an axis, as a share of its largest value: labels stay short, and tell their lines apart."""


def round_numbers(low: float, high: float) -> list[float]:
    """Return round numbers, about four and never one alone, from just below `low` to just above `high`."""
    step = round_step(max(high - low, _FLATTEST * max(abs(low), abs(high))) or 1.0, 4)
    first = math.floor(low / step)
    return [step * i for i in range(first, max(math.ceil(high / step), first + 1) + 1)]


def round_step(span: float, parts: int) -> float:
    """Return the smallest 1, 2 or 5 times a power of ten that divides `span` into no more than so many parts."""
    ten = 10.0 ** math.floor(math.log10(span / parts))
    return next(ten * times for times in (1, 2, 5, 10) if span / (ten * times) <= parts)
