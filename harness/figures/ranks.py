"""Critical-difference diagrams: how the variants rank when every model is a judge (Demsar 2006).

Drawn from `harness.comparison.Ranking`, which already holds the groups and the critical difference; scikit-posthocs
would compute them again from its own p values, and draws by way of pyplot and seaborn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.comparison import Comparison, Ranking
from harness.figures.figure import Drawing, Missing
from harness.figures.places import Place, grid, places, shape_of
from harness.figures.style import INK, SOFT, look_of, sheet
from harness.plan import Plan

__all__ = ["critical_differences"]

_KIND = "ranks"
_COLUMNS = (2, 3)
_BAR = 0.32  # from one bar of a group to the next
_STEP = 0.62  # from one label to the next


def critical_differences(comparison: Comparison, plan: Plan) -> Iterator[Drawing | Missing]:
    """Yield one figure per data set and task, with a diagram per metric."""
    for place in places(plan):
        if not place.metrics:
            continue  # the suite shows none of this task
        shown = {metric.name for metric in place.metrics}
        found = [
            ranking
            for ranking in comparison.rankings
            if (ranking.dataset, ranking.task) == (place.dataset, place.task) and ranking.metric in shown
        ]
        title = f"{place.heading}: variants ranked"
        if not found:
            if len(plan.suite.variants) > 2:
                why = "ranks need three variants, none the other under a second name, in two models or more"
                yield Missing(title, why, _KIND, place.slug)
            continue
        yield Drawing(
            name=f"{_KIND}-{place.slug}",
            title=title,
            caption=_caption(found, place),
            draw=partial(_draw, heading=place.heading),
            data=_data(found),
            kind=_KIND,
            place=place.slug,
        )


def _data(rankings: list[Ranking]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "metric": ranking.metric,
            "variant": variant,
            "mean_rank": ranking.nemenyi.mean_ranks[i],
            "models": ranking.nemenyi.n,
            "critical_difference": ranking.nemenyi.critical_difference,
            "groups": " ".join(str(g) for g, members in enumerate(ranking.nemenyi.groups, 1) if i in members),
            "friedman_p": ranking.friedman.p,
        }
        for ranking in rankings
        for i, variant in enumerate(ranking.variants)
    )


def _caption(rankings: list[Ranking], place: Place) -> str:
    first = rankings[0].nemenyi
    same = len({ranking.nemenyi.n for ranking in rankings}) == 1
    models = f"{first.n} models" if same else "the models that have all of them"
    return (
        f"Mean rank of each variant over {models}, 1 the best. Variants under one bar do not differ by Nemenyi's test "
        f"at {first.alpha:g}, for all pairs together; CD is the critical difference in mean rank, and p that of "
        "Friedman's test, a chi-square approximation that is good from about ten models." + place.warning
    )


def _draw(data: pd.DataFrame, heading: str) -> Figure:
    metrics = list(dict.fromkeys(data["metric"]))
    variants = data["variant"].nunique()
    rows, _ = shape_of(len(metrics), _COLUMNS)
    figure = sheet(0.35 + rows * (0.85 + 0.16 * math.ceil(variants / 2)), heading=f"{heading}: variants ranked")
    for axes, metric in zip(grid(figure, len(metrics), _COLUMNS), metrics, strict=True):
        _panel(axes, data[data["metric"] == metric])
        p = data.loc[data["metric"] == metric, "friedman_p"].iloc[0]
        axes.set_title(f"{metric} ({_p_text(p)})")
    return figure


def _p_text(p: float) -> str:
    if math.isnan(p):
        return "p not defined"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _panel(axes: Axes, data: pd.DataFrame) -> None:
    k = len(data)
    ordered = data.sort_values("mean_rank", kind="stable")
    groups = sorted({int(g) for text in data["groups"] for g in text.split()})
    depth = 0.45 + _BAR * len(groups)
    axes.plot([1, k], [0, 0], color=INK, linewidth=0.8)
    for rank in range(1, k + 1):
        axes.plot([rank, rank], [0, 0.16], color=INK, linewidth=0.6)
        axes.text(rank, 0.24, str(rank), ha="center", va="bottom", fontsize=7.5)
    _critical(axes, float(data["critical_difference"].iloc[0]), k)
    for level, group in enumerate(groups):
        inside = ordered[[str(group) in text.split() for text in ordered["groups"]]]["mean_rank"]
        y = -0.3 - _BAR * level
        axes.plot([inside.min() - 0.05, inside.max() + 0.05], [y, y], color=INK, linewidth=2.4, solid_capstyle="round")
    best = math.ceil(k / 2)
    for place, row in enumerate(ordered.to_dict("records")):
        left = place < best
        line = place if left else k - 1 - place
        y, end = -depth - _STEP * line - 0.2, 0.75 if left else k + 0.25
        look = look_of(row["variant"])
        axes.plot([row["mean_rank"]] * 2 + [end], [0, y, y], color=look.colour, linewidth=0.9, zorder=0)
        axes.plot(row["mean_rank"], 0, marker=look.marker, color=look.colour, markersize=4.5, clip_on=False)
        label = f"{row['variant']} {row['mean_rank']:.2f}"
        axes.text(end + (-0.08 if left else 0.08), y, label, ha="right" if left else "left", va="center", fontsize=7.5)
    axes.set_xlim(0.75 - 0.42 * k, k + 0.25 + 0.42 * k)
    axes.set_ylim(-depth - _STEP * best, 1.7)
    axes.set_axis_off()


def _critical(axes: Axes, difference: float, k: int) -> None:
    """Draw the critical difference above the axis; one that no pair can reach ends in an arrow."""
    if math.isnan(difference):
        return
    end = min(1 + difference, k + 0.6)
    axes.plot([1, end], [1.05, 1.05], color=INK, alpha=SOFT, linewidth=1.0)
    axes.plot(1, 1.05, marker="|", color=INK, alpha=SOFT, markersize=5)
    beyond = end < 1 + difference
    axes.plot(end, 1.05, marker=">" if beyond else "|", color=INK, alpha=SOFT, markersize=4 if beyond else 5)
    reach = " (no pair can differ by it)" if difference > k - 1 else ""
    axes.text((1 + end) / 2, 1.2, f"CD {difference:.2f}{reach}", ha="center", va="bottom", fontsize=7)
