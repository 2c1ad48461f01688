"""The sheet of a figure of learned representations: pictures in pairs, and the numbers below each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pandas as pd

from harness.figures.embedding_plane import MODALITY_MARKS, SENTIMENT_MARKS, Mark, legend, marks_for, scatter, words
from harness.figures.style import WIDTH, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "draw_raw"]

_HEIGHT = 2.2
"""Of a row, in inches: a picture and its numbers."""
_SMALL = 6.4
_KEY: dict[str, Any] = {"handlelength": 1.0, "handletextpad": 0.3, "columnspacing": 1.0}
_CORNERS: Mapping[str, Literal["outside upper left", "outside upper right"]] = {
    "modality": "outside upper left",
    "sentiment": "outside upper right",
}
_DAGGER = "\N{DAGGER}"


class _Number(NamedTuple):
    """A mean over seeds, or the mean change from the original."""

    seeds: float
    mean: float
    low: float
    high: float
    holm: float
    note: object

    @property
    def short(self) -> bool:
        """Whether some seeds have no value; read back from a file, an empty note is NaN."""
        return isinstance(self.note, str) and bool(self.note)


def draw(data: pd.DataFrame, alpha: float) -> Figure:
    """Draw the numbers that `harness.figures.embedding` computes: a row per model, pictures by modality and sentiment.

    Parameters
    ----------
    data : DataFrame
        A row per point, mean and change.
    alpha : float
        Level of the daggers.
    """
    rows = list(dict.fromkeys(data["row"]))
    variants = list(dict.fromkeys(data.loc[data["part"] == "point", "variant"]))
    variants.sort(key=lambda name: name != "original")
    marks = {"modality": MODALITY_MARKS, "sentiment": SENTIMENT_MARKS}
    columns = [(colour, variant) for colour in marks for variant in variants]
    figure = sheet(_HEIGHT * len(rows) + 0.5, WIDTH * len(columns) / 4 if len(columns) < 4 else WIDTH)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        mine = data[data["row"] == row]
        for one, (colour, variant) in zip(line, columns, strict=True):
            _picture(one, mine[(mine["part"] == "point") & (mine["variant"] == variant)], colour, marks[colour])
            lines = _modality_lines if colour == "modality" else _sentiment_lines
            one.set_xlabel("\n".join(lines(mine, variant, alpha)), fontsize=_SMALL, linespacing=1.35)
        seed = mine["seed"].dropna().iloc[0]
        line[0].set_ylabel(f"{row}\nseed {seed:.0f}")
    for one, (colour, variant) in zip(axes[0], columns, strict=True):
        one.set_title(f"{'original' if variant == 'original' else f'-{variant}'}, by {colour}")
    for colour, corner in _CORNERS.items():
        there = {name: mark for name, mark in marks[colour].items() if name in set(data[colour])}
        handles, by = legend(there)
        figure.legend(handles, list(there), loc=corner, ncols=3, handler_map=by, **_KEY)
    return figure


def draw_raw(data: pd.DataFrame) -> Figure:
    """Draw the numbers that `harness.figures.embedding_raw` computes: pictures side by side, a key below each.

    Parameters
    ----------
    data : DataFrame
        A row per point and number.
    """
    panels = list(dict.fromkeys(data["panel"]))
    longest = max(data[data["measure"] == "sentiment"].groupby("panel").size())
    below = 0.2 + 0.155 * longest
    figure = sheet(2.85 + below, WIDTH * len(panels) / 3)
    axes = figure.subplots(2, len(panels), squeeze=False, height_ratios=[2.4, below])
    for above, key, panel in zip(*axes, panels, strict=True):
        mine = data[data["panel"] == panel]
        numbers = mine[mine["measure"] == "sentiment"]
        marks = marks_for(list(numbers["cloud"]))
        _picture(above, mine[mine["part"] == "point"], "cloud", marks)
        between = mine[mine["measure"] == "clouds"].iloc[0]
        above.set_title(f"{panel}\nsilhouette between clouds {_or_note(between['value'], between['note'])}")
        labels = [
            f"{row.cloud} ({row.width:.0f}): {_or_note(row.value, row.note)}" for row in numbers.itertuples(index=False)
        ]
        handles, by = legend(marks)
        named = key.legend(
            handles,
            labels,
            loc="upper left",
            bbox_to_anchor=(0.0, 1.0),
            borderaxespad=0.0,
            borderpad=0.0,
            title="(width): silhouette of sentiment",
            alignment="left",
            handler_map=by,
            **_KEY,
        )
        named.set_in_layout(False)  # it has room of its own; the layout would take that from the picture
        key.axis("off")
    return figure


def _picture(axes: Axes, points: pd.DataFrame, colour: str, marks: Mapping[str, Mark]) -> None:
    placed = points.dropna(subset=["x", "y"])
    if placed.empty:
        words(axes, "all points coincide,\nor too few" if len(points) else "no run")
        return
    scatter(axes, placed["x"].to_numpy(), placed["y"].to_numpy(), placed[colour].to_numpy(dtype=str), marks)


def _modality_lines(numbers: pd.DataFrame, variant: str, alpha: float) -> list[str]:
    means, changes = _of(numbers, variant, "modalities")
    spreads, _ = _of(numbers, variant, "spread")
    if "all" not in means:
        return []
    lines = [f"silhouette {_interval(means['all'])}"]
    lines += [f"change {_change(changes['all'], alpha)}"] if "all" in changes else []
    shares = [f"{_letter(name)} {_number(row.mean)}" for name, row in spreads.items() if not math.isnan(row.mean)]
    return [*lines, f"spread: {', '.join(shares)}"] if shares else lines


def _sentiment_lines(numbers: pd.DataFrame, variant: str, alpha: float) -> list[str]:
    means, changes = _of(numbers, variant, "sentiment")
    lines = [
        f"{_letter(name)} {_interval(row)}" + (f" ({_change(changes[name], alpha)})" if name in changes else "")
        for name, row in means.items()
    ]
    return ["silhouette within each modality", *lines] if lines else []


def _of(numbers: pd.DataFrame, variant: str, measure: str) -> tuple[dict[str, _Number], dict[str, _Number]]:
    """Return the means of a variant and its changes from the original, by what they are of."""
    here = numbers[numbers["measure"] == measure]
    means = here[(here["part"] == "mean") & (here["variant"] == variant)]
    changes = here[(here["part"] == "change") & (here["variant"] == variant)]
    return _by_name(means), _by_name(changes)


def _by_name(rows: pd.DataFrame) -> dict[str, _Number]:
    columns = ["seeds", "mean", "low", "high", "holm", "note"]
    return {str(of): _Number(*values) for of, *values in rows[["of", *columns]].itertuples(index=False)}


def _or_note(value: float, note: object) -> str:
    return f"({note})" if math.isnan(value) else _number(value)


def _interval(number: _Number) -> str:
    """Return mean and interval, with n where not every seed has a value; why there is no mean, where there is none."""
    if math.isnan(number.mean):
        return f"({number.note})"
    if math.isnan(number.low):
        return f"{_number(number.mean)}, n {number.seeds:.0f}"
    few = f", n {number.seeds:.0f}" if number.short else ""
    return f"{_number(number.mean)} [{_number(number.low)}, {_number(number.high)}]{few}"


def _change(number: _Number, alpha: float) -> str:
    if math.isnan(number.mean):
        return ""
    sign = "+" if round(number.mean, 2) > 0 else ""
    return f"{sign}{_number(number.mean)}{_DAGGER if number.holm < alpha else ''}"


def _number(value: float) -> str:
    """Return two decimals with a true minus; a rounded zero has no sign."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")


def _letter(modality: str) -> str:
    return modality[0].upper()
