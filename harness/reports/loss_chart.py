"""The losses of one run as lines of an inline picture: no drawing library, since a report may have a thousand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from harness.reports.axis import round_numbers, round_step

__all__ = ["Curve", "LossChart", "Tick", "loss_chart"]

_WIDTH, _HEIGHT = 480, 230
_RIGHT, _TOP, _BOTTOM = 70, 12, 42
"""Room around the lines, for the axis of epochs and, on the right, the names of the lines."""
_TITLE, _DIGIT = 34, 7
"""Room on the left, for the axis' title and for each character of its labels."""
_LINE = 16
"""How far apart two names must stand."""
_NAMES = {"train": "training", "valid": "validation"}


@dataclass(frozen=True)
class Tick:
    """A mark of an axis: where it is, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True)
class Curve:
    """A loss as points of SVG lines, broken where it is not finite; its name stands at the height ``end``."""

    kind: str
    name: str
    segments: tuple[str, ...]
    end: float


@dataclass(frozen=True)
class LossChart:
    """Curves, ticks and the epoch that was tested, in units of the picture; ``x`` and ``y`` frame the curves."""

    curves: tuple[Curve, ...]
    epochs: tuple[Tick, ...]
    losses: tuple[Tick, ...]
    best: float | None
    x: tuple[int, int]
    width: int = _WIDTH
    height: int = _HEIGHT
    y: tuple[int, int] = (_TOP, _HEIGHT - _BOTTOM)


def loss_chart(history: Sequence[Mapping[str, Any]]) -> LossChart | None:
    """Return the chart of a history; None where no loss is finite.

    Parameters
    ----------
    history : sequence of mapping
        One entry per epoch, with ``train_loss``, ``valid_loss`` and ``best``.
    """
    losses = {kind: [_finite(epoch.get(f"{kind}_loss")) for epoch in history] for kind in _NAMES}
    known = [loss for column in losses.values() for loss in column if loss is not None]
    if not known:
        return None
    marks = round_numbers(min(known), max(known))
    low, high = min(*known, *marks), max(*known, *marks)
    last = max(len(history), 2)
    labels = [f"{mark:.10g}" for mark in marks]
    left, right = _TITLE + _DIGIT * max(map(len, labels)), _WIDTH - _RIGHT
    down = _HEIGHT - _TOP - _BOTTOM

    def x(epoch: int) -> float:
        return left + (right - left) * (epoch - 1) / (last - 1)

    def y(loss: float) -> float:
        return _TOP + down * (high - loss) / (high - low)

    best = [place for place, epoch in enumerate(history, 1) if epoch.get("best")]
    curves = (
        Curve(kind, _NAMES[kind], *_drawn([(x(i), y(loss)) if loss is not None else None for i, loss in column]))
        for kind, column in ((kind, list(enumerate(column, 1))) for kind, column in losses.items())
        if any(loss is not None for _, loss in column)
    )
    return LossChart(
        curves=_apart(list(curves)),
        epochs=tuple(Tick(round(x(epoch), 1), str(epoch)) for epoch in _epochs(len(history))),
        losses=tuple(Tick(round(y(mark), 1), label) for mark, label in zip(marks, labels, strict=True)),
        best=round(x(best[-1]), 1) if best else None,
        x=(left, right),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _drawn(points: Sequence[tuple[float, float] | None]) -> tuple[tuple[str, ...], float]:
    """Return lines through neighbouring points, and the height of the last point."""
    segments = [list(run) for there, run in groupby(points, key=bool) if there]
    # A line needs two points: with round ends, a point joined with itself is a dot.
    texts = [[f"{x:.1f},{y:.1f}" for x, y in filter(None, one)] for one in segments]
    end = [point for point in points if point][-1][1]
    return tuple(" ".join(one if len(one) > 1 else one * 2) for one in texts), round(end, 1)


def _apart(curves: Sequence[Curve]) -> tuple[Curve, ...]:
    """Move the names of two lines apart where one would cover the other."""
    if len(curves) < 2 or abs(curves[0].end - curves[1].end) >= _LINE:
        return tuple(curves)
    middle = (curves[0].end + curves[1].end) / 2
    middle = min(max(middle, _TOP + _LINE / 2), _HEIGHT - _BOTTOM - _LINE / 2)
    upper = 0 if curves[0].end <= curves[1].end else 1
    return tuple(replace(one, end=middle + (-_LINE if i == upper else _LINE) / 2) for i, one in enumerate(curves))


def _epochs(count: int) -> list[int]:
    """Return the epochs to name: the first, and round ones."""
    step = max(1, int(round_step(count, 8)))
    return [1, *(epoch for epoch in range(step, count + 1, step) if epoch > 1)]
