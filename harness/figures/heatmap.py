"""Heat maps: the improvement of every model in every metric, a panel per contrast."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from harness.comparison import Comparison
from harness.figures.figure import Drawing, Missing
from harness.figures.places import Place, in_units, lines_of, mean_over, places, signed, unit_of
from harness.figures.style import DIVERGING, INK, WIDTH, sheet
from harness.plan import Plan
from harness.wording import listing

__all__ = ["heatmaps"]

_KIND = "heatmap"
_STEPS = 21
_DARK = 0.62  # share of the full colour from which a number is written in white


def heatmaps(comparison: Comparison, plan: Plan) -> Iterator[Drawing | Missing]:
    """Yield one figure per data set and task, with a panel per contrast."""
    for place in places(plan):
        if not place.metrics:
            continue  # the suite shows none of this task
        title = f"{place.heading}: improvement by model and metric"
        data = _data(place.rows(comparison.contrasts), place)
        if data["delta"].isna().all():
            if len(plan.suite.variants) > 1:
                yield Missing(title, "there is no difference to show", _KIND, place.slug)
            continue
        yield Drawing(
            name=f"{_KIND}-{place.slug}",
            title=title,
            caption=_caption(data, place, comparison.alpha),
            draw=partial(_draw, heading=place.heading),
            data=data,
            kind=_KIND,
            place=place.slug,
        )


def _data(rows: pd.DataFrame, place: Place) -> pd.DataFrame:
    frames = []
    for metric in place.metrics:
        block = rows[rows["metric"] == metric.name]
        delta = in_units(block["mean"], metric)
        frames.append(
            pd.DataFrame(
                {
                    "contrast": block["contrast"].to_list(),
                    "model": [place.row_name(row) for _, row in block.iterrows()],
                    "metric": lines_of(metric),
                    "unit": unit_of(metric),
                    "delta": delta.to_list(),
                    "text": ["" if math.isnan(value) else signed(value, metric) for value in delta],
                    "significant": block["significant"].to_list(),
                    "seeds": block["n"].to_list(),
                }
            )
        )
    data = pd.concat(frames, ignore_index=True)
    # One scale per unit, not per column: an accuracy that hardly moves must not look like one that does.
    data["colour"] = data["delta"] / data.groupby("unit")["delta"].transform(lambda delta: delta.abs().max() or 1.0)
    return data


def _full(data: pd.DataFrame) -> list[str]:
    """Return what the full colour stands for, unit by unit."""
    largest = data.groupby("unit", sort=False)["delta"].apply(lambda delta: delta.abs().max()).dropna()
    return [f"{size:.1f} points" if unit == "points" else f"{size:.3f} {unit}" for unit, size in largest.items()]


def _caption(data: pd.DataFrame, place: Place, alpha: float) -> str:
    text = (
        f"{mean_over(data['seeds'].max())}: improvement, + is better, for MAE too; "
        f"accuracies and F1 in points. Colour: the improvement as a share of the largest of its unit, "
        f"{listing(_full(data))}. † significant over seeds (paired t, Holm over the models, {alpha:g})."
    )
    if data["delta"].isna().any():
        text += " Hatched: no pair of runs, or not defined."
    return text + place.warning


def _draw(data: pd.DataFrame, heading: str) -> Figure:
    contrasts, metrics = (list(dict.fromkeys(data[column])) for column in ("contrast", "metric"))
    # The same rows in every panel: what one of them lacks is hatched, not left out.
    models = list(dict.fromkeys(data["model"]))
    head = 0.28 + 0.13 * max(metric.count("\n") + 1 for metric in metrics)
    figure = sheet(
        0.9 + head + (0.22 + 0.2 * len(models)) * len(contrasts),
        min(WIDTH, 1.6 + 0.72 * len(metrics)),
        heading=f"{heading}: improvement",
    )
    panels = figure.subplots(len(contrasts), 1, squeeze=False)
    for place, (axes, contrast) in enumerate(zip(panels.flat, contrasts, strict=True)):
        _panel(axes, data[data["contrast"] == contrast], models, metrics, named=place == 0)
        axes.set_title(contrast, loc="left")
    scale = figure.colorbar(
        ScalarMappable(Normalize(-1, 1), mpl.colormaps[DIVERGING].resampled(_STEPS)),
        ax=list(panels.flat),
        location="bottom",
        ticks=[-1, 0, 1],
        aspect=45,
        pad=0.02,
    )
    scale.ax.set_xticklabels(["worse", "0", "better"])
    scale.set_label(f"full colour: {listing(_full(data))}")
    return figure


def _panel(axes: Axes, data: pd.DataFrame, models: list[str], metrics: list[str], *, named: bool) -> None:
    colours = mpl.colormaps[DIVERGING].resampled(_STEPS)
    cells = {(row["model"], row["metric"]): row for row in data.to_dict("records")}
    for y, model in enumerate(models):
        for x, metric in enumerate(metrics):
            row = cells.get((model, metric))
            if row is None or pd.isna(row["delta"]):
                axes.add_patch(_cell(x, y, facecolor="none", edgecolor=INK, alpha=0.35, hatch="////"))
                continue
            axes.add_patch(_cell(x, y, facecolor=colours((row["colour"] + 1) / 2), edgecolor="none"))
            ink = "#ffffff" if abs(row["colour"]) > _DARK else "#111111"
            text = row["text"] + ("†" if row["significant"] else "")
            axes.text(x, y, text, ha="center", va="center_baseline", color=ink, fontsize=7)
    axes.set_xlim(-0.5, len(metrics) - 0.5)
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.set_xticks(range(len(metrics)), labels=metrics if named else [""] * len(metrics))
    axes.set_yticks(range(len(models)), labels=models)
    axes.tick_params(length=0, top=named, bottom=False, labeltop=named, labelbottom=False)
    axes.spines[:].set_visible(False)


def _cell(x: int, y: int, **look: object) -> Rectangle:
    return Rectangle((x - 0.49, y - 0.47), 0.98, 0.94, linewidth=0.0, **look)  # type: ignore[arg-type]
