"""Learning curves: losses by epoch, averaged over seeds, with how many seeds are still running."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from harness.errors import HarnessError
from harness.figures.figure import Drawing, Missing
from harness.figures.places import Place, places, shape_of
from harness.figures.style import HAIR, INK, look_of, sheet
from harness.plan import Plan
from harness.results import CELL, Results

__all__ = ["learning_curves"]

_KIND = "learning"
_COLUMNS = (2, 3, 4)
_LOSSES = ("valid", "train")


def learning_curves(results: Results, plan: Plan) -> Iterator[Drawing | Missing]:
    """Yield one figure per data set and task, with a panel per model."""
    for place in places(plan):
        title = f"{place.heading}: learning curves"
        data = _data(results, place)
        if data["valid"].notna().sum() == 0:
            yield Missing(title, "no finished run has a history with finite losses", _KIND, place.slug)
            continue
        yield Drawing(
            name=f"{_KIND}-{place.slug}",
            title=title,
            caption=_caption(data, place),
            draw=partial(_draw, heading=place.heading),
            data=data,
            kind=_KIND,
            place=place.slug,
        )


def _data(results: Results, place: Place) -> pd.DataFrame:
    """Return mean and sd of both losses over the seeds that reach an epoch, by model, variant and epoch."""
    frames = [pd.DataFrame(columns=["model", "variant", "epoch", "running", *_LOSSES, "valid_sd", "train_sd"])]
    cells = place.rows(results.values)[[*CELL, "seed", "run_id"]].drop_duplicates()
    for names, block in cells.groupby(["model", "setting", "variant"], sort=False):
        model, setting, variant = map(str, names)
        runs = [found for run_id in block["run_id"] if (found := _history(results, run_id)) is not None]
        if runs:
            grouped = pd.concat(runs).rename(columns={f"{loss}_loss": loss for loss in _LOSSES}).groupby("epoch")
            frame = grouped[list(_LOSSES)].mean().join(grouped[list(_LOSSES)].std().add_suffix("_sd"))
            frame.insert(0, "running", grouped.size())
            if frame["valid"].notna().any():
                frames.append(frame.reset_index().assign(model=place.model(model, setting), variant=variant))
    columns = list(frames[0].columns)
    return pd.concat(frames[1:], ignore_index=True)[columns] if frames[1:] else frames[0]


def _history(results: Results, run_id: str) -> pd.DataFrame | None:
    try:
        found = results.histories[run_id][["epoch", "train_loss", "valid_loss"]]
    except (HarnessError, OSError, KeyError, ValueError):
        return None
    return found.replace([np.inf, -np.inf], np.nan)


def _caption(data: pd.DataFrame, place: Place) -> str:
    text = (
        "Loss by epoch of one seed: validation as a bold line, training as a thin one."
        if data["running"].max() == 1
        else f"Loss by epoch, the mean over up to {data['running'].max():.0f} seeds: validation with a band of one "
        "standard deviation, training as a thin line."
    )
    if _some_stop(data):
        text += (
            " Below, the seeds still running: from where the first one stops, the curve is pale, since it is the mean "
            "of fewer seeds and may jump."
        )
    if any(_top(block)[1] for _, block in data.groupby("model")):
        text += " A few far larger losses lie above the panels."
    return text + place.warning


def _some_stop(data: pd.DataFrame) -> bool:
    return bool((data.groupby(["model", "variant"])["running"].nunique() > 1).any())


def _draw(data: pd.DataFrame, heading: str) -> Figure:
    models = list(dict.fromkeys(data["model"]))
    variants = list(dict.fromkeys(data["variant"]))
    rows, columns = shape_of(len(models), _COLUMNS)
    strips = _some_stop(data)
    figure = sheet(0.75 + rows * (2.05 if strips else 1.65), heading=f"{heading}: learning curves")
    parts = 2 if strips else 1
    panels = figure.subplots(rows * parts, columns, squeeze=False, height_ratios=([4, 1][:parts]) * rows)
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        pair = [panels[row * parts + part, column] for part in range(parts)]
        if place >= len(models):
            for axes in pair:
                axes.remove()
            continue
        block = data[data["model"] == models[place]]
        _curves(pair[0], block)
        pair[0].set_title(models[place])
        if strips:
            _running(pair[1], pair[0], block)
            pair[1].set_ylabel("seeds" if column == 0 else "")
        pair[-1].set_xlabel("epoch" if place + columns >= len(models) else "")
        pair[0].set_ylabel("loss" if column == 0 else "")
    handles = [Line2D([], [], color=look_of(v).colour, linestyle=look_of(v).dashes, label=v) for v in variants]
    handles += [
        Line2D([], [], color=INK, linewidth=1.3, label="validation"),
        Line2D([], [], color=INK, linewidth=0.6, label="training"),
    ]
    figure.legend(handles=handles, loc="outside lower right", ncols=len(handles))
    return figure


def _curves(axes: Axes, data: pd.DataFrame) -> None:
    for variant, block in data.groupby("variant", sort=False):
        look = look_of(str(variant))
        epochs = block["epoch"].to_numpy(dtype=float)
        mean, sd = (block[name].to_numpy(dtype=float) for name in ("valid", "valid_sd"))
        running = block["running"].to_numpy()
        # Both parts hold the last epoch of all seeds, so that the line does not break.
        whole = running == running.max()
        pale = np.append(~whole[1:], False) | ~whole
        train = block["train"].to_numpy(dtype=float)
        style: dict[str, Any] = {"color": look.colour, "linestyle": look.dashes}
        for part, strength in ((whole, 1.0), (pale, 0.45)):
            axes.plot(epochs[part], mean[part], alpha=strength, linewidth=1.3, **style)
            axes.plot(epochs[part], train[part], alpha=strength, linewidth=0.6, **style)
        axes.fill_between(epochs, mean - sd, mean + sd, color=look.colour, alpha=0.13, linewidth=0)
        if whole.sum() == 1:
            axes.plot(epochs[whole], mean[whole], marker=look.marker, markersize=3, color=look.colour)
    axes.set_ylim(*_limits(data))
    axes.grid(axis="y", color=INK, alpha=HAIR, linewidth=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))


def _running(axes: Axes, above: Axes, data: pd.DataFrame) -> None:
    """Draw how many seeds reach each epoch."""
    most = int(data["running"].max())
    variants = list(dict.fromkeys(data["variant"]))
    for i, variant in enumerate(variants):
        block = data[data["variant"] == variant]
        look = look_of(variant)
        # A little apart, or equal numbers would hide each other.
        shift = (i - (len(variants) - 1) / 2) * 0.07 * most
        ends = [*block["epoch"], block["epoch"].iloc[-1] + 1]
        steps = [*block["running"], 0]
        axes.step(ends, np.array(steps) + shift, where="post", color=look.colour, linestyle=look.dashes, linewidth=0.9)
    axes.set_ylim(-0.3 * most, 1.3 * most)
    axes.set_yticks([0, most])
    axes.sharex(above)
    above.tick_params(labelbottom=False)


def _limits(data: pd.DataFrame) -> tuple[float, float]:
    top, _ = _top(data)
    low = float(np.nanmin(data[list(_LOSSES)].to_numpy(dtype=float)))
    room = 0.06 * (top - low) or 0.5
    return low - room, top + room


def _top(data: pd.DataFrame) -> tuple[float, bool]:
    """Return up to where a panel goes, and whether that cuts its curves: a few spikes must not flatten the rest."""
    values = data[list(_LOSSES)].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    highest = float(values.max())
    low, usual = np.percentile(values, [0, 95]).tolist()
    cut = low + 2.5 * (usual - low)
    return (cut, True) if highest > cut and math.isfinite(cut) and cut > low else (highest, False)
