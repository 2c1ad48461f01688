"""Mean differences over the models of one printed table with their intervals, metric by metric, as a figure."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.audit.report.effects import Contrasted, contrast_name
from harness.figures import style
from harness.figures.figure import Drawing
from harness.reanalysis.effects import side
from harness.sources import fingerprint_of

__all__ = ["forest"]

_ROW, _AXIS = 0.24, 0.6
"""Inches for a line, and for the axis below a panel."""

_UNITS = {"points": "mean \u0394, percentage points", "": "mean \u0394, in the metric's own unit"}


def forest(of: Contrasted, alpha: float) -> Drawing:
    """Return the figure of one table: dots are models, a marker with a bar is their mean with its interval."""
    here = Path(__file__)
    defect = " \u2021: MMSA's defect." if any(effect.defect for effect in of.effects) else ""
    return Drawing(
        name=f"effects-table{of.table}",
        title=f"{of.title}: differences over models",
        caption=(
            "Each faint dot is one model's difference; the marker is their mean, its line the "
            f"{100 * (1 - alpha):g} % t interval. Right of zero is better, for MAE too. Filled: better or worse by the "
            f"Holm-adjusted Wilcoxon test at {alpha:g}; hollow: not shown.{defect}"
        ),
        draw=partial(_draw, several=len({contrast_name(effect) for effect in of.effects}) > 1),
        data=_frame(of, alpha),
        key=fingerprint_of([here], here.parent),
        kind="forest",
    )


def _frame(of: Contrasted, alpha: float) -> pd.DataFrame:
    """Return a line per marker, whose model is empty, and per dot."""
    lines = []
    for effect in of.effects:
        mean = effect.rows.mean
        where = {
            "contrast": contrast_name(effect),
            "metric": f"{effect.metric} \u2021" if effect.defect else effect.metric,
            "unit": effect.unit,
            "verdict": side(effect.rows, alpha),
        }
        lines.append(where | {"model": "", "delta": mean.mean, "low": mean.low, "high": mean.high})
        lines += [
            where | {"model": model, "delta": delta, "low": float("nan"), "high": float("nan")}
            for model, delta in zip(effect.models, effect.deltas, strict=True)
        ]
    return pd.DataFrame(lines)


def _draw(frame: pd.DataFrame, *, several: bool) -> Figure:
    parts = [(unit, part) for unit in _UNITS if not (part := frame[frame["unit"] == unit]).empty]
    rows = [_rows(part, several=several) for _, part in parts]
    figure = style.sheet(sum(len(one) * _ROW + _AXIS for one in rows))
    panels = figure.subplots(len(parts), 1, squeeze=False, height_ratios=[len(one) for one in rows])
    for axes, (unit, part), lines in zip(panels[:, 0], parts, rows, strict=True):
        _panel(axes, part, lines)
        axes.set_xlabel(_UNITS[unit])
    return figure


def _rows(frame: pd.DataFrame, *, several: bool) -> list[tuple[str, str]]:
    """Return the lines from above: contrast and metric, and where there are several contrasts a line to name each."""
    lines = []
    for contrast, block in frame.groupby("contrast", sort=False):
        lines += [(str(contrast), "")] if several else []
        lines += [(str(contrast), metric) for metric in dict.fromkeys(block["metric"])]
    return lines


def _panel(axes: Axes, frame: pd.DataFrame, rows: list[tuple[str, str]]) -> None:
    axes.axvline(0, color=style.INK, linewidth=0.8, alpha=style.SOFT)
    for y, (contrast, metric) in enumerate(rows):
        block = frame[(frame["contrast"] == contrast) & (frame["metric"] == metric)]
        dots = block[block["model"] != ""]
        axes.plot(dots["delta"], [y] * len(dots), "o", markersize=3, color=style.INK, alpha=0.35, markeredgewidth=0)
        for line in block[block["model"] == ""].to_dict("records"):
            colour = {"better": style.BLUE, "worse": style.LOOKS[1].colour}.get(line["verdict"], style.INK)
            axes.plot([line["low"], line["high"]], [y, y], color=colour, linewidth=1.6)
            axes.plot(
                line["delta"],
                y,
                "D",
                markersize=5.5,
                color=colour,
                markerfacecolor=colour if line["verdict"] in {"better", "worse"} else "none",
            )
    axes.set_yticks(range(len(rows)), labels=[metric or f"{contrast}:" for contrast, metric in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="both", color=style.INK, alpha=style.HAIR, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
