"""Whether predictions can be taken at their word: predicted against true scores, residuals, and confusion matrices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.figures.figure import Drawing, Missing
from harness.figures.places import Place, places
from harness.figures.style import HAIR, INK, LOOKS, SOFT, WIDTH, look_of, sheet, slug
from harness.plan import Plan
from harness.results import CELL, Predictions, Results

__all__ = ["reliabilities"]

_KIND = "reliability"
_SCALES = {"mosei": (3.0, 0.5), "sims": (1.0, 0.2)}
"""Largest score and width of a bin, by convention: bins are centred on the scores that annotators give."""
_CLASSES = ("negative", "neutral", "positive")
_FEW = 2
_COUNTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def reliabilities(results: Results, plan: Plan) -> Iterator[Drawing | Missing]:
    """Yield one figure per model, data set and task, with a panel per variant."""
    for place in places(plan):
        cells = place.rows(results.values)[[*CELL, "seed", "run_id"]].drop_duplicates()
        if cells.empty:
            yield Missing(f"{place.heading}: reliability", "there is no finished run", _KIND, place.slug)
        for (model, setting), block in cells.groupby(["model", "setting"], sort=False):
            yield _figure(results, place, place.model(str(model), str(setting)), block)


def _figure(results: Results, place: Place, model: str, cells: pd.DataFrame) -> Drawing | Missing:
    title = f"{place.heading}: predictions of {model}"
    regression = place.task == "regression"
    frames = []
    for variant, block in cells.groupby("variant", sort=False):
        runs = [one for run_id in block["run_id"] if (one := _predictions(results, run_id)) is not None]
        if runs:
            frames.append((_scored(runs) if regression else _confused(runs)).assign(variant=str(variant)))
    if not frames:
        return Missing(title, "no run has predictions that are all finite", _KIND, place.slug)
    data = pd.concat(frames, ignore_index=True)
    return Drawing(
        name=f"{_KIND}-{place.slug}-{slug(model.replace(' ', '-'))}",
        title=title,
        caption=(_scored_caption if regression else _confused_caption)(data) + place.warning,
        draw=partial(_draw_scored if regression else _draw_confused, heading=title),
        data=data,
        kind=_KIND,
        place=place.slug,
    )


def _predictions(results: Results, run_id: str) -> Predictions | None:
    try:
        found = results.predictions[run_id]
    except (HarnessError, OSError, KeyError, ValueError):
        return None
    return found if np.isfinite(found.pred).all() else None


def _scored(runs: Sequence[Predictions]) -> pd.DataFrame:
    """Return utterances per pair of true and predicted bin, and residuals per true bin with their spread over seeds."""
    top, width = _SCALES[runs[0].convention]
    centres = np.round(np.arange(-top, top + width / 2, width), 6)
    counts = np.zeros((len(runs), centres.size, centres.size))
    residuals = np.full((len(runs), centres.size), np.nan)
    for run, one in enumerate(runs):
        true, predicted = (_bins(values, centres, width) for values in (one.label, one.pred))
        np.add.at(counts[run], (true, predicted), 1)
        sums = np.bincount(true, one.pred - one.label, centres.size)
        held = counts[run].sum(axis=1)
        residuals[run, held > 0] = sums[held > 0] / held[held > 0]
    mean = counts.mean(axis=0)
    seen = np.argwhere(mean > 0)
    pairs = pd.DataFrame({"part": "pairs", "true": centres[seen[:, 0]], "predicted": centres[seen[:, 1]]})
    pairs["utterances"] = mean[seen[:, 0], seen[:, 1]]
    held = mean.sum(axis=1)
    there = held > 0
    spread = residuals[:, there].std(axis=0, ddof=1) if len(runs) > 1 else np.full(int(there.sum()), np.nan)
    errors = pd.DataFrame({"part": "residuals", "true": centres[there], "utterances": held[there]})
    errors["residual"], errors["sd"] = residuals[:, there].mean(axis=0), spread
    return pd.concat([pairs, errors], ignore_index=True).assign(seeds=len(runs), width=width)


def _bins(values: NDArray[np.floating], centres: NDArray[np.float64], width: float) -> NDArray[np.intp]:
    """Return the bin of each value; what lies beyond the scale is counted in the outermost bin."""
    places: NDArray[np.intp] = np.rint((values.astype(np.float64) - centres[0]) / width).astype(np.intp)
    return places.clip(0, centres.size - 1)


def _confused(runs: Sequence[Predictions]) -> pd.DataFrame:
    """Return the share of each true class that is predicted as each class, with its spread over seeds."""
    size = len(_CLASSES)
    counts = np.zeros((len(runs), size, size))
    for run, one in enumerate(runs):
        np.add.at(counts[run], (one.label.astype(np.intp), np.argmax(one.pred, axis=-1)), 1)
    held = counts.sum(axis=2, keepdims=True)
    shares = np.divide(counts, held, out=np.full_like(counts, np.nan), where=held > 0)
    true, predicted = np.indices((size, size)).reshape(2, -1)
    spread = shares.std(axis=0, ddof=1) if len(runs) > 1 else np.full((size, size), np.nan)
    return pd.DataFrame(
        {
            "true": [_CLASSES[i] for i in true],
            "predicted": [_CLASSES[i] for i in predicted],
            "utterances": counts.mean(axis=0).ravel(),
            "share": shares.mean(axis=0).ravel(),
            "sd": spread.ravel(),
            "seeds": len(runs),
        }
    )


def _seeds(data: pd.DataFrame) -> str:
    most = int(data["seeds"].max())
    if most == 1:
        return "one seed"
    return f"the mean over {most} seeds{' at most' if data['seeds'].nunique() > 1 else ''}"


def _scored_caption(data: pd.DataFrame) -> str:
    utterances = data.loc[data["part"] == "pairs"].groupby("variant")["utterances"].sum().max()
    return (
        f"Test utterances ({utterances:.0f}) by true and predicted score, {_seeds(data)}; on the "
        "line, a prediction is right. Predictions beyond the scale are counted at its ends. Lines: predicted minus "
        "true score, by true score; bars are one standard deviation over seeds. A line that falls from left to right "
        "says that the model keeps to the middle."
    )


def _confused_caption(data: pd.DataFrame) -> str:
    utterances = data.groupby("variant")["utterances"].sum().max()
    return (
        f"Which class the utterances of each true class are given, in percent of that class, "
        f"{_seeds(data)} (± standard deviation over seeds), of {utterances:.0f} test utterances."
    )


def _draw_scored(data: pd.DataFrame, heading: str) -> Figure:
    variants = list(dict.fromkeys(data["variant"]))
    width = float(data["width"].iloc[0])
    # Few panels leave room for the residuals beside them.
    beside = len(variants) <= _FEW
    figure = sheet(2.45 if beside else 4.0, heading=heading)
    if beside:
        grid = figure.add_gridspec(1, len(variants) + 1, width_ratios=[1.0] * len(variants) + [3.2 - len(variants)])
        last = grid[0, -1]
    else:
        grid = figure.add_gridspec(2, len(variants), height_ratios=[1.25, 1])
        last = grid[1, :]
    pairs, errors = (data[data["part"] == part] for part in ("pairs", "residuals"))
    bounds = [*(count for count in _COUNTS if count < pairs["utterances"].max()), math.inf]
    colours = _shades(len(bounds) - 1)
    top = float(max(errors["true"].abs().max(), pairs["predicted"].abs().max())) + width / 2
    panels: list[Axes] = []
    for column, variant in enumerate(variants):
        axes = figure.add_subplot(grid[0, column], sharey=panels[0] if panels else None)
        _pairs(axes, pairs[pairs["variant"] == variant], bounds, colours, width)
        axes.set(xlim=(-top, top), ylim=(-top, top), aspect="equal", title=variant, xlabel="true")
        if panels:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel("predicted")
        panels.append(axes)
    _key(figure, panels, bounds, colours)
    residuals = figure.add_subplot(last)
    _residuals(residuals, errors, variants, width, ticks=7 if beside else 13)
    figure.legend(*residuals.get_legend_handles_labels(), loc="outside lower right", ncols=len(variants))
    return figure


def _shades(steps: int) -> list[tuple[float, float, float, float]]:
    """Return one colour from pale to full, pale by being transparent, so that it fits light and dark pages."""
    red, green, blue, _ = to_rgba(LOOKS[0].colour)
    return [(red, green, blue, alpha) for alpha in np.linspace(0.14, 1.0, steps).tolist()]


def _pairs(
    axes: Axes, data: pd.DataFrame, bounds: list[float], colours: list[tuple[float, float, float, float]], width: float
) -> None:
    level = np.searchsorted(bounds, data["utterances"], side="right") - 1
    corner = data[["true", "predicted"]].to_numpy(dtype=float)[:, None, :]
    square = width / 2 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    faces = [colours[i] for i in level]
    axes.add_collection(PolyCollection(list(corner + square), facecolors=faces, edgecolors="none"))
    axes.axline((0, 0), slope=1, color=INK, linewidth=0.7, alpha=SOFT)


def _key(
    figure: Figure, panels: list[Axes], bounds: list[float], colours: list[tuple[float, float, float, float]]
) -> None:
    """Say what the shades stand for."""
    steps = range(len(bounds))
    colormap: Colormap = ListedColormap(colours)
    scale = figure.colorbar(
        ScalarMappable(BoundaryNorm(steps, colormap.N), colormap),
        ax=panels,
        ticks=list(steps)[:-1],
        aspect=14,
        pad=0.01,
    )
    scale.ax.set_yticklabels([">0", *(f"{bound:g}" for bound in bounds[1:-1])])
    scale.ax.minorticks_off()
    scale.set_label("utterances, from")


def _residuals(axes: Axes, data: pd.DataFrame, variants: list[str], width: float, *, ticks: int) -> None:
    axes.axhline(0, color=INK, linewidth=0.6, alpha=SOFT)
    for i, variant in enumerate(variants):
        block, look = data[data["variant"] == variant], look_of(variant)
        # Side by side within a bin, so that the bars do not hide each other.
        x = block["true"] + (i - (len(variants) - 1) / 2) * width * 0.14
        axes.errorbar(
            x,
            block["residual"],
            yerr=None if block["sd"].isna().all() else block["sd"],
            color=look.colour,
            marker=look.marker,
            linestyle=look.dashes,
            markersize=3.5,
            linewidth=0.9,
            elinewidth=0.8,
            label=variant,
        )
    bins = data.groupby("true")["utterances"].max()
    skip = max(1, math.ceil(len(bins) / ticks))
    places = bins.index.to_numpy(dtype=float) + 0.0  # without the sign of a negative zero
    named = [f"{true:g}\n{n:.0f}".replace("-", "\N{MINUS SIGN}") for true, n in zip(places, bins, strict=True)]
    axes.set_xticks(places[::skip], labels=named[::skip])
    axes.grid(axis="y", color=INK, alpha=HAIR, linewidth=0.5)
    axes.set(xlabel="true score (below: utterances)", ylabel="predicted − true")


def _draw_confused(data: pd.DataFrame, heading: str) -> Figure:
    variants = list(dict.fromkeys(data["variant"]))
    figure = sheet(2.35, min(WIDTH, 1.0 + 1.6 * len(variants)), heading=heading)
    for axes, variant in zip(figure.subplots(1, len(variants), squeeze=False, sharey=True).flat, variants, strict=True):
        _matrix(axes, data[data["variant"] == variant])
        axes.set_title(variant)
        axes.set_xlabel("predicted")
    figure.axes[0].set_ylabel("true")
    return figure


def _matrix(axes: Axes, data: pd.DataFrame) -> None:
    red, green, blue, _ = to_rgba(LOOKS[0].colour)
    for row in data[data["share"].notna()].to_dict("records"):
        x, y = _CLASSES.index(row["predicted"]), _CLASSES.index(row["true"])
        # Never so full that the page's own text colour could not be read on it, light or dark.
        shade = (red, green, blue, 0.06 + 0.5 * row["share"])
        axes.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=shade, edgecolor="none"))
        sd = "" if math.isnan(row["sd"]) else f"\n±{100 * row['sd']:.0f}"
        axes.text(x, y, f"{100 * row['share']:.0f} %{sd}", ha="center", va="center", fontsize=7)
    axes.set(xlim=(-0.5, 2.5), ylim=(2.5, -0.5), aspect="equal")
    axes.set_xticks(range(3), labels=_CLASSES)
    axes.set_yticks(range(3), labels=_CLASSES)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
