"""Which accuracies a mean over five seeds can print at all."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from harness.audit.classes import TEST_CLASSES, definition_of
from harness.audit.finding import Finding, at
from harness.published import Cell, Tables
from harness.wording import listing

__all__ = ["SEEDS", "printable", "seed_means"]

SEEDS = 5
"""MMSA averages over five seeds, 1111 to 1115; the paper itself does not say how many it used."""

_STEP = Decimal("0.01")
_MOST = 10_000
_ASKED = range(1, 11)
"""Of how many seeds it is said whether they could print the value."""


@dataclass(frozen=True)
class _Checked:
    cell: Cell
    count: int
    fits: bool


@functools.cache
def printable(value: Decimal, count: int, seeds: int = SEEDS) -> bool:
    """Return whether a mean over seeds of accuracies on `count` utterances can be printed as `value` percent.

    Each seed has k of `count` right, k / count is rounded to four digits, their mean to two decimals of a percentage.
    In units of 0.0001 each seed gives a whole number, and `value` is printed when the sum of all of them lies within
    half a unit per seed of `seeds` times it. So all sums that can come up are made, without any assumption on
    which k go together. Of the 10,001 percentages with two decimals five seeds of 457 utterances (CH-SIMS) reach
    4,064, and five seeds of 4,659 (MOSEI) reach all.
    """
    sums, target = _sums(count, seeds), int(value / _STEP)
    low, high = math.ceil(seeds * (target - 0.5)), math.floor(seeds * (target + 0.5))
    return any(sums >> total & 1 for total in range(max(low, 0), high + 1))


@functools.cache
def _sums(count: int, seeds: int) -> int:
    """Return the sums of `seeds` rounded accuracies as a set of bits."""
    if seeds == 0:
        return 1
    fewer, sums = _sums(count, seeds - 1), 0
    for rounded in {round(round(right / count, 4) * _MOST) for right in range(count + 1)}:
        sums |= fewer << rounded
    return sums


@functools.cache
def _share(count: int) -> float:
    """Return which share of the two-decimal percentages can be printed: what a number from nowhere would score."""
    return sum(printable(value * _STEP, count) for value in range(_MOST + 1)) / (_MOST + 1)


def seed_means(tables: Tables) -> Iterator[Finding]:
    """Find accuracies that no mean over five seeds prints (see `printable`), in the own rows and MMSA's.

    A sum over five seeds of right answers moves in steps of 1 / (5 n): 0.044 points on CH-SIMS. Columns that leave
    out the neutral utterances have their number from the public class counts. The number of seeds is an assumption,
    which the paper does not state, so this is a warning; the tables themselves tell how good it is, by the share of
    other own values on the same data set that fit it.
    """
    checked = [
        _Checked(cell, count, printable(cell.value, count))
        for cell in tables.cells
        if cell.source in ("reproduction", "mmsa") and cell.value is not None
        if (count := _count(cell)) and cell.printed and cell.printed.unit == _STEP and 0 <= cell.value <= _MOST * _STEP
    ]
    for item in (item for item in checked if not item.fits):
        others = [
            other for other in checked if other.cell.own and other.cell.dataset == item.cell.dataset and other != item
        ]
        fits = sum(other.fits for other in others)
        assert item.cell.value is not None
        could = [str(seeds) for seeds in _ASKED if printable(item.cell.value, item.count, seeds)]
        among = f"of {_ASKED[0]} to {_ASKED[-1]} seeds, {listing(could) if could else 'none'} could print it"
        why = f"no mean over {SEEDS} seeds of k/{item.count} rounds to it; {among}"
        certainty = (
            f"as sure as {SEEDS} seeds are, which the paper does not state: {fits} of {len(others)} other own "
            f"accuracies on this data set fit, where {_share(item.count):.0%} would by chance"
        )
        yield at(item.cell, "seed-mean", _neighbours(item.cell.value, item.count), "warning", why, certainty)


def _count(cell: Cell) -> int | None:
    """Return the utterances that an accuracy is taken over; None for what is no accuracy, or where it is unknown."""
    if not cell.column.startswith("Acc-"):
        return None
    if cell.half == "non-0":
        classes = TEST_CLASSES.get(cell.dataset)
        return classes.polar if classes else None
    samples = definition_of(cell.dataset).samples
    return samples["test"] if samples else None


def _neighbours(value: Decimal, count: int) -> str:
    below = next(low for step in range(_MOST) if printable(low := value - step * _STEP, count))
    above = next(high for step in range(_MOST) if printable(high := value + step * _STEP, count))
    return f"{below} or {above}"
