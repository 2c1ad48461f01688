"""Names beside points, placed so that they hide neither each other nor the points."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from harness.figures.style import INK, SOFT

__all__ = ["beside"]

_Boxes = NDArray[np.float64]  # left, bottom, right and top in pixels, a row per box

_SIZE = 7.0
_RADII, _DIRECTIONS = (7.0, 13.0, 20.0, 28.0), 12
_LEADER = 12.0  # points from which a line shows whose name it is
_POINT = 3.5


def beside(
    axes: Axes,
    names: Sequence[str],
    points: Sequence[tuple[float, float]],
    others: Sequence[tuple[float, float]] = (),
) -> None:
    """Write a name near each point, in the order given; each takes the nearest place that hides least.

    Parameters
    ----------
    axes : Axes
        Already laid out: its limits and its place in the figure are final.
    names, points : sequence
        The names and their points, in the units of the data.
    others : sequence
        Further points that no name should hide.
    """
    if not names:
        return
    scale = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    pixels = axes.transData.transform(np.array([*points, *others], dtype=float))
    taken = np.hstack([pixels - _POINT * scale, pixels + _POINT * scale])
    frame = np.array([axes.get_window_extent().extents])
    offsets = _offsets()
    side = np.where(np.abs(offsets[:, 0]) < 1, 0, np.sign(offsets[:, 0]))
    for name, point, (x, y) in zip(names, points, pixels, strict=False):
        # Not measured: a mean width of glyphs is near enough, and the reader's font is another one anyway.
        half = np.array([len(name) * 0.31, 0.6]) * _SIZE * scale
        centres = (x, y) + offsets * scale + np.column_stack([side * half[0], np.zeros(len(side))])
        boxes = np.hstack([centres - half, centres + half])
        outside = 4 * half.prod() - _shared(boxes, frame)
        cost = _shared(boxes, taken) + 3 * outside + 0.02 * scale * np.hypot(*offsets.T)
        best = int(np.argmin(cost))
        taken = np.vstack([taken, boxes[best]])
        _write(axes, name, point, offsets[best], int(side[best]))


def _write(axes: Axes, name: str, point: tuple[float, float], offset: NDArray[np.float64], side: int) -> None:
    leader = {"arrowstyle": "-", "color": INK, "alpha": SOFT, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3}
    text = axes.annotate(
        name,
        point,
        (float(offset[0]), float(offset[1])),
        textcoords="offset points",
        ha=("right", "center", "left")[side + 1],
        va="center",
        fontsize=_SIZE,
        arrowprops=leader if math.hypot(*offset) > _LEADER else None,
    )
    text.set_in_layout(False)


def _offsets() -> NDArray[np.float64]:
    """Return where a name may start, in points from its point, the nearest first."""
    turns = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    circle = np.column_stack([np.cos(turns), np.sin(turns)])
    return np.concatenate([radius * circle for radius in _RADII])


def _shared(boxes: _Boxes, others: _Boxes) -> NDArray[np.float64]:
    """Return the area of each box that other boxes cover, counted once for each of them."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    areas: NDArray[np.float64] = np.prod(np.clip(high - low, 0, None), axis=2).sum(axis=1)
    return areas
