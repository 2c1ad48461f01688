"""Two-class F1 beside its accuracy, over every confusion matrix that the class balance allows."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from harness.audit.balance import follows_defect
from harness.audit.bounds import F1_OF, SLACK, convention_of, rows_of
from harness.audit.classes import TEST_CLASSES, ClassCounts
from harness.audit.finding import Finding, at, graded
from harness.published import Cell, Tables

__all__ = ["confusions", "f1_range", "lower_hull"]

Floats = NDArray[np.float64]
_SLACK = float(SLACK) + 1e-9


def confusions(tables: Tables) -> Iterator[Finding]:
    """Find two-class F1 scores that no confusion matrices give together with the accuracy of the same row.

    With the class counts known, accuracy and weighted F1 of one seed follow from two whole numbers, the wrong answers
    of either class. All such matrices are made; the means over any seeds lie in the convex hull of their points (F1
    against accuracy), and the printed pair within the slack of rounding of that. Sharper than the bound for any.
    """
    for row in rows_of(tables):
        for name, of in F1_OF.items():
            cell, accuracy = row.get(name), row.get(of)
            if cell is None or accuracy is None or cell.value is None or accuracy.value is None:
                continue
            counts = _counts(tables, cell)
            if counts is None:
                continue
            first, second, defect = counts
            share, score = float(accuracy.value) / 100, float(cell.value) / 100
            low, high = f1_range(first, second, share, defect=defect)
            if low <= score <= high:
                continue
            severity, certainty = graded(cell, "as sure as the public class counts")
            other_low, other_high = f1_range(first, second, share, by_predictions=True)
            if not defect and other_low <= score <= other_high:
                certainty += "; an F1 weighted by the predicted classes, labels and predictions swapped, could be this"
            why = f"no confusion matrices of {first} to {second} utterances have this F1 with {of} {accuracy.value}"
            yield at(cell, "f1-balance", f"from {100 * low:.2f} to {100 * high:.2f}", severity, why, certainty)


def f1_range(
    first: int, second: int, accuracy: float, *, defect: bool = False, by_predictions: bool = False
) -> tuple[float, float]:
    """Return the weighted F1 that can be printed beside an accuracy, as shares, rounding allowed for.

    Parameters
    ----------
    first, second : int
        Utterances of the two classes.
    accuracy : float
        As printed, as a share.
    defect : bool
        Whether answers for the second class never count as right, as in MMSA's non-0 classification scores.
    by_predictions : bool
        Whether the classes are weighted by their shares of the predictions, as happens if labels and predictions
        change places in a call. Not together with `defect`.
    """
    shares, lows, highs = _envelope(first, second, defect, by_predictions)
    near, far = np.clip([accuracy - _SLACK, accuracy + _SLACK], shares[0], shares[-1])

    def reach(hull: tuple[Floats, Floats]) -> Floats:
        x, y = hull
        return np.concatenate([np.interp([near, far], x, y), y[(x >= near) & (x <= far)]])

    return float(reach(lows).min()) - _SLACK, float(reach(highs).max()) + _SLACK


@functools.cache
def _envelope(
    first: int, second: int, defect: bool, by_predictions: bool
) -> tuple[Floats, tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Return the accuracies that one seed can have, and the convex hull of F1 over them from below and above."""
    total = first + second
    lowest, highest = np.full(total + 1, np.inf), np.full(total + 1, -np.inf)
    said_first = np.arange(second + 1)  # utterances of the second class that are taken for the first
    for right in range(first + 1):
        ours = 2.0 * right / (first + right + said_first)
        theirs = 2.0 * (second - said_first) / (second + (first - right) + (second - said_first))
        weight = right + said_first if by_predictions else first
        score = (weight * ours + (0.0 if defect else (total - weight) * theirs)) / total
        places = np.full(second + 1, right) if defect else right + second - said_first
        np.minimum.at(lowest, places, score)
        np.maximum.at(highest, places, score)
    there = np.flatnonzero(np.isfinite(highest))
    shares = there / total
    low_x, low_y = lower_hull(shares, lowest[there])
    high_x, high_y = lower_hull(shares, -highest[there])
    return shares, (low_x, low_y), (high_x, -high_y)


def lower_hull(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return the corners of the convex hull from below; `x` rises."""
    corners: list[int] = []
    for point in range(len(x)):
        while len(corners) > 1:
            a, b = corners[-2:]
            if (x[b] - x[a]) * (y[point] - y[a]) > (y[b] - y[a]) * (x[point] - x[a]):
                break
            corners.pop()
        corners.append(point)
    return x[corners], y[corners]


def _counts(tables: Tables, cell: Cell) -> tuple[int, int, bool] | None:
    """Return the two classes' sizes behind a two-class score, and whether it is MMSA's defective one."""
    classes = TEST_CLASSES.get(cell.dataset)
    if classes is None or cell.column != "F1":
        return None
    if cell.half == "non-0":
        defect = cell.task == "classification" and follows_defect(tables, cell.table)
        return classes.negative, classes.positive, defect
    return *_first_class(classes, cell), False


def _first_class(classes: ClassCounts, cell: Cell) -> tuple[int, int]:
    """Neutral utterances count as positive in MOSEI's regression, and as negative everywhere else."""
    if cell.task == "regression" and convention_of(cell.dataset) == "mosei":
        return classes.negative, classes.neutral + classes.positive
    return classes.negative + classes.neutral, classes.positive
