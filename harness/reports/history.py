"""The history of a suite's baseline as a page: a small picture a metric, with the places where its level changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.gate.history import Point, Series, Version
from harness.gate.numbers import cell_parts, cell_text, value_text
from harness.metrics import definition
from harness.reports.axis import round_numbers
from harness.reports.loss_chart import Tick
from harness.reports.pages import page, write
from harness.wording import counted

__all__ = ["render_history"]

_WIDTH, _HEIGHT = 360, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 14, 24


@dataclass(frozen=True)
class _Mark:
    """A version's mean with its standard error as a bar, in units of the picture; `text` is said of it."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class _Change:
    """A change of level: where it is, and whether it is for the better."""

    x: float
    better: bool


@dataclass(frozen=True)
class _Chart:
    slug: str
    title: str
    about: str
    marks: tuple[_Mark, ...]
    line: str
    changes: tuple[_Change, ...]
    values: tuple[Tick, ...]
    versions: tuple[Tick, ...]
    width: int = _WIDTH
    height: int = _HEIGHT
    x: tuple[int, int] = (_LEFT, _WIDTH - _RIGHT)
    y: tuple[int, int] = (_TOP, _HEIGHT - _BOTTOM)


def render_history(
    versions: Sequence[Version], series: Sequence[Series], left_out: Sequence[str], path: Path, *, now: datetime
) -> Path:
    """Write the page, and return its path.

    Parameters
    ----------
    versions, series
        From `harness.gate.history`.
    left_out : sequence of str
        Versions that could not be read, and why.
    path : Path
    now : datetime
        When it is written.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    cells: dict[str, list[Series]] = {}
    for one in series:
        cells.setdefault(one.cell, []).append(one)
    changes = [
        (
            cell_text(cell_parts(one.cell)),
            one.metric,
            versions[one.points[place].version],
            value_text(one.points[place - 1].mean, one.metric),
            value_text(one.points[place].mean, one.metric),
            _better(one, place),
        )
        for one in series
        for place in one.changes
    ]
    known = versions[-1].baseline
    text = page(
        "history.html",
        suite=known.suite,
        synthetic=any(data.synthetic for data in known.data.values()),
        now=now.strftime("%Y-%m-%d %H:%M UTC"),
        summary=_summary(versions, series, changes),
        versions=versions,
        left_out=left_out,
        changes=changes,
        cells=[
            (
                f"cell-{number}",
                cell_text(cell_parts(cell)),
                [_chart(one, versions, f"{number}-{i}") for i, one in enumerate(own)],
            )
            for number, (cell, own) in enumerate(cells.items())
        ],
    )
    return write(path, text)


def _summary(versions: Sequence[Version], series: Sequence[Series], changes: Sequence[object]) -> str:
    told = f"{counted(len(versions), 'version')} of the baseline, {counted(len(series), 'metric')}: "
    if len(versions) < 4:
        return told + "a change of level is looked for from four versions on."
    if not changes:
        return told + "no lasting change of level was found."
    return told + f"{counted(len(changes), 'lasting change')} of level."


def _chart(series: Series, versions: Sequence[Version], slug: str) -> _Chart:
    metric = definition(series.metric)
    scale = 100.0 if metric is not None and metric.percent else 1.0
    spans = [(_error(point) * scale, point.mean * scale) for point in series.points]
    ticks = round_numbers(min(mean - error for error, mean in spans), max(mean + error for error, mean in spans))
    low, high = ticks[0], ticks[-1]
    last = max(len(versions) - 1, 1)

    def x(version: float) -> float:
        return round(_LEFT + 8 + (_WIDTH - _LEFT - _RIGHT - 16) * version / last, 1)

    def y(value: float) -> float:
        return round(_TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low), 1)

    marks = []
    for point, (error, mean) in zip(series.points, spans, strict=True):
        said = f"{versions[point.version].label}: {value_text(point.mean, series.metric)}"
        if math.isfinite(point.sd):
            said += f" ± {value_text(point.sd, series.metric)} over {counted(point.seeds, 'seed')}"
        marks.append(_Mark(x(point.version), y(mean), y(mean - error), y(mean + error), said))
    arrow = "higher is better" if series.higher_is_better else "lower is better"
    unit = ", %" if scale == 100.0 else ""
    return _Chart(
        slug=slug,
        title=f"{series.metric}{unit} ({arrow})",
        about="; ".join(mark.text for mark in marks),
        marks=tuple(marks),
        line=" ".join(f"{mark.x},{mark.y}" for mark in (marks if len(marks) > 1 else marks * 2)),
        changes=tuple(
            _Change((marks[place - 1].x + marks[place].x) / 2, _better(series, place)) for place in series.changes
        ),
        values=tuple(Tick(y(tick), f"{tick:.10g}") for tick in ticks),
        versions=tuple(Tick(x(place), versions[place].label) for place in sorted({0, len(versions) - 1})),
    )


def _error(point: Point) -> float:
    return point.sd / math.sqrt(point.seeds) if math.isfinite(point.sd) and point.seeds else 0.0


def _better(series: Series, place: int) -> bool:
    before, after = series.points[place - 1].mean, series.points[place].mean
    return (after > before) == series.higher_is_better
