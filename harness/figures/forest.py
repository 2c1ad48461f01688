"""Forest plots: by how much a variant changes every model, metric by metric, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from harness.comparison import Comparison
from harness.figures.figure import Drawing, Missing
from harness.figures.places import Place, grid, in_units, places, shape_of, unit_of
from harness.figures.style import HAIR, INK, SOFT, look_of, sheet, slug
from harness.plan import Plan
from harness.wording import counted

__all__ = ["forests"]

_KIND = "forest"
_COLUMNS = (3, 4)
_T = "t over seeds"  # as `harness.statistics` names the method that has no bootstrap in it


def forests(comparison: Comparison, plan: Plan) -> Iterator[Drawing | Missing]:
    """Yield one figure per data set, task and contrast, with a panel per metric and a line per model."""
    for place in places(plan):
        if not place.metrics:
            continue  # the suite shows none of this task
        rows = place.rows(comparison.contrasts)
        if rows.empty and len(plan.suite.variants) > 1:
            yield Missing(
                f"{place.heading}: deltas", "no variant has a run beside one of the original", _KIND, place.slug
            )
        for contrast, block in rows.groupby("contrast", sort=False):
            title = f"{place.heading}: {contrast}"
            data = _data(block, place)
            if data["delta"].isna().all():
                why = "no seed has a finished run on both sides with a value that is defined"
                yield Missing(title, why, _KIND, place.slug)
                continue
            yield Drawing(
                name=f"{_KIND}-{place.slug}-{slug(str(contrast).replace(' ', '-'))}",
                title=title,
                caption=_caption(data, place, str(contrast), comparison.alpha),
                draw=partial(_draw, heading=place.heading, contrast=str(contrast)),
                data=data,
                kind=_KIND,
                place=place.slug,
            )


def _data(block: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Return the rows of one contrast in the units of the figure, metric by metric and model by model."""
    frames = []
    for metric in place.metrics:
        rows = block[block["metric"] == metric.name]
        frames.append(
            pd.DataFrame(
                {
                    "model": [place.row_name(row) for _, row in rows.iterrows()],
                    "variant": rows["variant"].to_list(),
                    "metric": metric.name,
                    "unit": unit_of(metric),
                    "delta": in_units(rows["mean"], metric).to_list(),
                    "low": in_units(rows["low"], metric).to_list(),
                    "high": in_units(rows["high"], metric).to_list(),
                    "method": rows["method"].fillna("").to_list(),
                    "seeds": rows["n"].to_list(),
                    "holm": rows["holm"].to_list(),
                    "significant": rows["significant"].to_list(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _caption(data: pd.DataFrame, place: Place, contrast: str, alpha: float) -> str:
    drawn = data[data["delta"].notna()]
    fewest, most = int(drawn["seeds"].min()), int(drawn["seeds"].max())
    seeds = counted(most, "seed") if fewest == most else f"{fewest} to {most} seeds"
    level = f"{100 * (1 - alpha):g} %"
    text = (
        f"Mean improvement over {seeds}, {contrast}, paired by seed: right of zero is better, for MAE too. "
        f"Accuracies and F1 in points. Lines: {level} intervals over seeds and test utterances (two-level bootstrap); "
        f"dashed, {level} t intervals over seeds, where the spread over seeds outweighs that over utterances. "
        f"Filled: significant over seeds (paired t, Holm over the models, {alpha:g})."
    )
    if drawn["low"].isna().any():
        text += " Points without a line have too few seeds for an interval."
    return text + place.warning


def _draw(data: pd.DataFrame, heading: str, contrast: str) -> Figure:
    metrics = list(dict.fromkeys(data["metric"]))
    models = list(dict.fromkeys(data["model"]))
    rows, _ = shape_of(len(metrics), _COLUMNS)
    figure = sheet(0.75 + rows * (0.55 + 0.17 * len(models)), heading=f"{heading}: {contrast}")
    for axes, metric in zip(grid(figure, len(metrics), _COLUMNS, sharey=True), metrics, strict=True):
        _panel(axes, data[data["metric"] == metric], models)
    colour = look_of(str(data["variant"].iloc[0])).colour
    filled = Line2D([], [], label="significant over seeds", linestyle="none", marker="o", color=colour)
    hollow = Line2D([], [], label="not significant", linestyle="none", marker="o", color=colour, markerfacecolor="none")
    figure.legend(
        handles=[
            filled,
            hollow,
            Line2D([], [], label="over seeds and utterances", color=colour),
            Line2D([], [], label="t over seeds", color=colour, linestyle=(0, (2.0, 1.2))),
        ],
        loc="outside lower right",
        ncols=4,
    )
    return figure


def _panel(axes: Axes, data: pd.DataFrame, models: Sequence[str]) -> None:
    limit = _limit(data)
    gap = 0.028 * limit  # the radius of a marker, roughly: a hollow one must not be crossed by its line
    place = {model: len(models) - 1 - i for i, model in enumerate(models)}
    axes.axvline(0, color=INK, alpha=SOFT, linewidth=0.6, zorder=0)
    for row in data[data["delta"].notna()].to_dict("records"):
        y, colour = place[row["model"]], look_of(row["variant"]).colour
        centre = float(np.clip(row["delta"], -limit, limit))
        for end, side in ((row["low"], -1), (row["high"], 1)):
            stop = float(np.clip(end, -limit, limit))
            if (stop - centre) * side > gap:
                dashes = (0, (2.0, 1.2)) if row["method"] == _T else "solid"
                axes.plot([centre + side * gap, stop], [y, y], color=colour, linestyle=dashes, linewidth=1.2)
            if abs(end) > limit:
                axes.plot(stop, y, marker="<" if end < 0 else ">", markersize=4, color=colour, clip_on=False)
        face = colour if row["significant"] else "none"
        axes.plot(centre, y, marker="o", color=colour, markerfacecolor=face, markersize=4.5)
    axes.set_xlim(-1.04 * limit, 1.04 * limit)
    axes.set_ylim(-0.7, len(models) - 0.3)
    axes.set_yticks(range(len(models)), labels=list(reversed(models)))
    axes.grid(axis="y", color=INK, alpha=HAIR, linewidth=0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=True, steps=[1, 2, 2.5, 5, 10]))
    unit = str(data["unit"].iloc[0])
    axes.set_title(f"{data['metric'].iloc[0]}{' (points)' if unit == 'points' else ''}")


def _limit(data: pd.DataFrame) -> float:
    """Return where the axis ends: at the widest interval, unless a few of them would dwarf all others."""
    means = np.abs(data["delta"].to_numpy(dtype=float))
    ends = np.abs(data[["low", "high"]].to_numpy(dtype=float)).ravel()
    means, ends = means[np.isfinite(means)], ends[np.isfinite(ends)]
    widest = float(np.max(np.concatenate([means, ends]), initial=0.0))
    usual = max(float(np.max(means, initial=0.0)) * 1.5, 4 * float(np.median(ends)) if ends.size else 0.0)
    return min(widest, usual) or 1.0
