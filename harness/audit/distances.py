"""MAE on CH-SIMS beside the accuracies of the same row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from harness.audit.bounds import SLACK, convention_of, rows_of
from harness.audit.classes import TEST_CLASSES
from harness.audit.finding import Finding, at, graded
from harness.published import Cell, Tables

__all__ = ["mae_and_accuracies"]

_SLACK = Fraction(1, 20_000) + 3 * SLACK
"""Every seed's MAE is rounded to four digits, and the accuracies, whose slack is `SLACK`, move either bound by no more
than 2.9 times as much. What the printed digits of MAE leave out comes on top."""

_NEAREST = "as sure as the labels of CH-SIMS, multiples of 0.2, and its public class counts"


def mae_and_accuracies(tables: Tables) -> Iterator[Finding]:
    """Check MAE on CH-SIMS against how many answers are right, since a wrong one is off and a right one not by much.

    Labels are multiples of 0.2, labels and predictions are clipped to [-1, 1], and the cuts are 0 for Acc-2 and -0.7,
    -0.1, 0.1, 0.7 for Acc-5. Of n utterances z are neutral; R2 and R5 answers are right.

    Below: every cut of Acc-5 lies 0.1 from the nearest labels, so a wrong answer is off by 0.1 at least. An answer
    that is wrong among two, on a label that is not 0, is off by 0.2 at least, the distance of that label to 0, and is
    wrong among five. So n MAE >= 0.1 (n - R5) + 0.1 (n - R2 - z), the second term not below 0.

    Above: an answer that is wrong among both is off by 2 at most, one that is right among two alone by 1, one that is
    right among both by 0.5 (the widest: labels 0.2 to 0.6 in the interval from 0.1 to 0.7, or below 0). Right among
    five alone can only be an answer on the label 0, off by 0.1 at most; say there are x. Then n MAE <= 0.5 (R5 - x) +
    0.1 x + (R2 - R5 + x) + 2 (n - R2 - x) = 2 n - R2 - 0.5 R5 - 1.4 x, and x >= R5 - R2.

    The lower bound is convex in R2 and R5 and the upper one concave, so both hold for means over seeds.
    """
    for row in rows_of(tables):
        cell = row.get("MAE")
        if cell is None or cell.printed is None or convention_of(cell.dataset) != "sims":
            continue
        classes = TEST_CLASSES.get(cell.dataset)
        if classes is None:
            continue
        two, five = (_share(row, name) for name in ("Acc-2", "Acc-5"))
        value, slack = Fraction(cell.printed.value), Fraction(cell.printed.unit) / 2 + _SLACK
        low = _least(two, five, Fraction(classes.neutral, classes.total)) - slack
        high = _most(two, five or Fraction(0)) + slack
        if low <= value <= high:
            continue
        beside = ", ".join(f"{name} {row[name].value}" for name in ("Acc-2", "Acc-5") if name in row)
        severity, certainty = graded(cell, _NEAREST)
        why = f"so many right and wrong answers ({beside}) leave no room for this mean distance"
        expected = f"from {float(max(low, Fraction(0))):.3f} to {float(high):.3f}"
        yield at(cell, "mae", expected, severity, why, certainty)


def _least(two: Fraction | None, five: Fraction | None, neutral: Fraction) -> Fraction:
    """Return what the wrong answers amount to at least; every answer wrong among two and not neutral is among five."""
    opposite = Fraction(0) if two is None else max(1 - two - neutral, Fraction(0))
    wrong = opposite if five is None else 1 - five
    return (wrong + opposite) / 10


def _most(two: Fraction | None, five: Fraction) -> Fraction:
    """Return what all answers amount to at most; if Acc-2 is not printed, with the one that allows for most."""
    two = five if two is None else two
    return 2 - two - five / 2 - Fraction(7, 5) * max(five - two, Fraction(0))


def _share(row: Mapping[str, Cell], name: str) -> Fraction | None:
    cell = row.get(name)
    return None if cell is None or cell.value is None else Fraction(cell.value) / 100
