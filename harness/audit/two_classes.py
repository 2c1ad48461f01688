"""Which weighted F1 of two classes goes with an accuracy."""

from __future__ import annotations

import functools

import numpy as np

from harness.audit.hulls import Hull, lower_hull, reach

__all__ = ["f1_range"]


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
    return reach(*_envelope(first, second, defect, by_predictions), accuracy)


@functools.cache
def _envelope(first: int, second: int, defect: bool, by_predictions: bool) -> tuple[Hull, Hull]:
    """Return the convex hull of F1 over the accuracies that one seed can have, from below and from above."""
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
    return (low_x, low_y), (high_x, -high_y)
