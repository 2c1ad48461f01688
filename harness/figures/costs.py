"""What accuracy costs: metrics against trainable parameters, every model joined to its variant."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from harness.comparison import Comparison
from harness.figures.figure import Drawing, Missing
from harness.figures.labels import beside
from harness.figures.places import Place, in_units, mean_over, places, unit_of
from harness.figures.style import HAIR, INK, look_of, settle, sheet
from harness.metrics import Metric
from harness.plan import Plan
from harness.results import CELL, Results

__all__ = ["trade_offs"]

_KIND = "costs"
_X = "trainable parameters"


def trade_offs(results: Results, comparison: Comparison, plan: Plan) -> Iterator[Drawing | Missing]:
    """Yield one figure per data set and task: a row of panels per variant, a column per metric."""
    parameters = _parameters(results)
    for place in places(plan):
        title = f"{place.heading}: accuracy against cost"
        metrics = _metrics(place)
        cells = place.rows(comparison.cells).merge(parameters, on=CELL, how="inner")
        data = _data(cells, place, metrics)
        if data.empty:
            yield Missing(title, "no finished run has both a score and a count of its parameters", _KIND, place.slug)
            continue
        yield Drawing(
            name=f"{_KIND}-{place.slug}",
            title=title,
            caption=_caption(data, place, comparison.alpha),
            draw=partial(_draw, heading=place.heading, baseline=place.baseline),
            data=data,
            kind=_KIND,
            place=place.slug,
        )


def _metrics(place: Place) -> list[Metric]:
    """Return the first accuracy that the report shows, and MAE."""
    accuracies = [metric for metric in place.metrics if metric.group.startswith("Acc")]
    return accuracies[:1] + [metric for metric in place.metrics if metric.name == "MAE"]


def _parameters(results: Results) -> pd.DataFrame:
    """Return the trainable parameters of every cell; they do not depend on the seed."""
    counted = results.runs[["run_id", "params_trainable"]].dropna()
    runs = results.values[[*CELL, "run_id"]].drop_duplicates()
    joined = runs.merge(counted, on="run_id").astype({"params_trainable": "float64"})
    counted = joined[joined["params_trainable"] > 0]
    return counted.drop_duplicates(CELL).drop(columns="run_id")


def _data(cells: pd.DataFrame, place: Place, metrics: list[Metric]) -> pd.DataFrame:
    frames = []
    for metric in metrics:
        rows = cells[(cells["metric"] == metric.name) & cells["mean"].notna()]
        frames.append(
            pd.DataFrame(
                {
                    "model": [place.model(*pair) for pair in zip(rows["model"], rows["setting"], strict=True)],
                    "variant": rows["variant"].to_list(),
                    "parameters": rows["params_trainable"].astype("int64").to_list(),
                    "metric": metric.name,
                    "unit": unit_of(metric),
                    **{name: in_units(rows[name], metric).to_list() for name in ("mean", "low", "high")},
                    "seeds": rows["n"].to_list(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _caption(data: pd.DataFrame, place: Place, alpha: float) -> str:
    text = (
        f"{mean_over(data['seeds'].max())}, against {_X} (log scale); vertical lines: "
        f"{100 * (1 - alpha):g} % intervals over seeds and test utterances, or by Student's t over seeds where seeds "
        "are most of the variance."
    )
    others = [variant for variant in dict.fromkeys(data["variant"]) if variant != place.baseline]
    if others:
        text += f" Arrows lead from {place.baseline} to the variant of the same model."
    return text + place.warning


def _draw(data: pd.DataFrame, heading: str, baseline: str) -> Figure:
    metrics = list(dict.fromkeys(data["metric"]))
    variants = [name for name in dict.fromkeys(data["variant"]) if name != baseline] or [baseline]
    figure = sheet(0.6 + 2.3 * len(variants), heading=f"{heading}: accuracy against cost")
    panels = figure.subplots(len(variants), len(metrics), squeeze=False, sharex=True, sharey="col")
    for row, variant in zip(panels, variants, strict=True):
        for axes, metric in zip(row, metrics, strict=True):
            both = data[(data["metric"] == metric) & data["variant"].isin([baseline, variant])]
            _panel(axes, both, baseline)
            axes.set_ylabel(f"{metric} ({'%, higher' if both['unit'].eq('points').any() else 'lower'} is better)")
    _scale(panels[-1, 0], data)
    for axes in panels[-1]:
        axes.set_xlabel(_X)
    shown = [baseline, *variants] if variants != [baseline] else variants
    handles = [
        Line2D([], [], linestyle="none", marker=look_of(v).marker, color=look_of(v).colour, label=v) for v in shown
    ]
    figure.legend(handles=handles, loc="outside lower right", ncols=len(shown))
    # Names can only be placed once the panels have their size.
    settle(figure)
    for row, variant in zip(panels, variants, strict=True):
        for axes, metric in zip(row, metrics, strict=True):
            _name(axes, data[(data["metric"] == metric) & data["variant"].isin([baseline, variant])], baseline)
    return figure


def _panel(axes: Axes, data: pd.DataFrame, baseline: str) -> None:
    start = {row["model"]: row for row in data[data["variant"] == baseline].to_dict("records")}
    for row in data.to_dict("records"):
        look = look_of(row["variant"])
        x, y = row["parameters"], row["mean"]
        if not math.isnan(row["low"]):
            axes.plot([x, x], [row["low"], row["high"]], color=look.colour, alpha=0.4, linewidth=0.9)
        axes.plot(x, y, marker=look.marker, color=look.colour, markersize=4.5)
        if row["variant"] != baseline and row["model"] in start:
            origin = start[row["model"]]
            arrow = {"arrowstyle": "-|>", "color": look.colour, "linewidth": 0.9, "shrinkA": 3, "shrinkB": 3}
            arrow["mutation_scale"] = 6
            axes.annotate("", (x, y), (origin["parameters"], origin["mean"]), arrowprops=arrow)
    axes.grid(color=INK, alpha=HAIR, linewidth=0.5)
    axes.set_xscale("log")


def _scale(axes: Axes, data: pd.DataFrame) -> None:
    """Give the shared axis ticks that people read: 100 k, 1 M; more of them where it spans little."""
    low, high = data["parameters"].min(), data["parameters"].max()
    decades = math.log10(high / low)
    axes.set_xlim(low / 10 ** (0.08 * decades + 0.06), high * 10 ** (0.08 * decades + 0.06))
    axes.xaxis.set_major_locator(
        LogLocator(subs=(1.0,) if decades > 3 else (1.0, 3.0) if decades > 1.2 else (1.0, 2.0, 5.0))
    )
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _name(axes: Axes, data: pd.DataFrame, baseline: str) -> None:
    """Name every model once, at its baseline where that was run."""
    first = data.sort_values("variant", key=lambda variant: variant != baseline, kind="stable")
    named = first.drop_duplicates("model").sort_values("mean", ascending=False, kind="stable")
    points, others = (
        list(frame[["parameters", "mean"]].itertuples(index=False, name=None))
        for frame in (named, first[first.duplicated("model")])
    )
    beside(axes, named["model"].to_list(), points, [*others, *_along_arrows(first, baseline)])


def _along_arrows(data: pd.DataFrame, baseline: str) -> Iterator[tuple[float, float]]:
    """Yield points on the arrows, which names should not hide either; straight on the log axis."""
    for _, block in data.groupby("model", sort=False):
        start = block[block["variant"] == baseline]
        for row in block[block["variant"] != baseline].to_dict("records") if len(start) else []:
            x, y = float(start["parameters"].iloc[0]), float(start["mean"].iloc[0])
            for share in (0.25, 0.5, 0.75):
                yield x * (row["parameters"] / x) ** share, y + (row["mean"] - y) * share
