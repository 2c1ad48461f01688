"""Convex hulls of the points, F1 against accuracy, that the seeds behind a printed mean can have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.audit.bounds import SLACK

__all__ = ["Floats", "Hull", "lower_hull", "reach"]

Floats = NDArray[np.float64]
Hull = tuple[Floats, Floats]
"""Accuracies that rise, and F1 at each of them, as shares."""

_SLACK = float(SLACK) + 1e-9


def lower_hull(x: Floats, y: Floats) -> Hull:
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


def reach(lowest: Hull, highest: Hull, accuracy: float) -> tuple[float, float]:
    """Return the least and the largest F1 that can be printed beside an accuracy, as shares, rounding allowed for.

    Parameters
    ----------
    lowest, highest : Hull
        From below and from above, over the same accuracies from end to end.
    accuracy : float
        As printed, as a share.
    """
    near, far = np.clip([accuracy - _SLACK, accuracy + _SLACK], lowest[0][0], lowest[0][-1])

    def values(hull: Hull) -> Floats:
        x, y = hull
        return np.concatenate([np.interp([near, far], x, y), y[(x >= near) & (x <= far)]])

    return float(values(lowest).min()) - _SLACK, float(values(highest).max()) + _SLACK
