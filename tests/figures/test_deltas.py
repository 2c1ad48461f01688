"""Forest plots, heat maps and critical-difference diagrams show the numbers of the comparison."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from harness.comparison import Comparison, compare
from harness.figures import Drawing
from harness.figures.forest import forests
from harness.figures.heatmap import heatmaps
from harness.figures.ranks import critical_differences
from harness.metrics import metrics_for
from harness.plan import Plan
from harness.results import Results
from tests.figures.made import drawn, frame_of, only, path_of, suite, why_not
from tests.reports import fakes

Made = tuple[Results, Comparison, Plan]


@pytest.fixture(scope="module")
def made() -> Made:
    return suite()


def panel(figure: Figure, title: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title() == title)


def points(axes: Axes) -> list[tuple[float, float, bool]]:
    """Return x, y and whether it is filled, of every marker."""
    found = [line for line in axes.lines if line.get_marker() == "o"]
    return [(*path_of(line)[0].tolist(), line.get_markerfacecolor() != "none") for line in found]


def test_a_forest_has_a_panel_per_metric_and_a_point_per_model(made: Made) -> None:
    _, comparison, plan = made
    found = list(forests(comparison, plan))
    assert [one.name for one in found if isinstance(one, Drawing)] == [
        f"forest-synthetic-toy-regression-{variant}-against-original" for variant in ("fg", "a", "v")
    ]
    assert isinstance(found[0], Drawing)
    figure = drawn(found[0])
    rows = comparison.contrasts[comparison.contrasts["variant"] == "fg"]
    titles = [f"{m.name}{' (points)' if m.percent else ''}" for m in metrics_for("regression", "mosei")]
    assert [axes.get_title() for axes in figure.axes] == titles
    for metric, title in zip(metrics_for("regression", "mosei"), titles, strict=True):
        block = rows[rows["metric"] == metric.name].set_index("model")
        axes = panel(figure, title)
        shown = {fakes.MODELS[-1 - round(y)]: (x, filled) for x, y, filled in points(axes)}
        for model, (x, filled) in shown.items():
            assert x == pytest.approx(block["mean"][model] * (100 if metric.percent else 1))
            assert filled == block["significant"][model]
        assert set(shown) == set(fakes.MODELS)
    # The one effect that was put in is found, and MAE points the same way as accuracy.
    mae = {y: x for x, y, _ in points(panel(figure, "MAE"))}
    assert mae[0.0] > 0.2  # LMF is the lowest row


def test_the_lines_of_a_forest_are_the_intervals(made: Made) -> None:
    _, comparison, plan = made
    drawing = next(one for one in forests(comparison, plan) if isinstance(one, Drawing))
    data = frame_of(drawing).query("metric == 'MAE' and model == 'LMF'").iloc[0]
    axes = panel(drawn(drawing), "MAE")
    paths = [path_of(line) for line in axes.lines]
    ends = np.concatenate([path[:, 0] for path in paths if len(path) == 2 and not path[:, 1].any()])
    assert (ends.min(), ends.max()) == pytest.approx((data["low"], data["high"]))
    row = comparison.contrasts.query("metric == 'MAE' and model == 'LMF' and variant == 'fg'").iloc[0]
    assert (data["low"], data["high"], data["method"]) == (row["low"], row["high"], row["method"])


def test_one_enormous_interval_does_not_flatten_the_others() -> None:
    _, comparison, plan = suite(variants=("original", "fg"))
    wide = comparison.contrasts["model"] == "TFN"
    comparison.contrasts.loc[wide, "low"] = -50.0
    comparison.contrasts.loc[wide, "high"] = 50.0
    axes = panel(drawn(only(forests(comparison, plan))), "MAE")
    assert axes.get_xlim()[1] < 5
    assert {line.get_marker() for line in axes.lines} >= {"<", ">"}


def test_a_forest_without_intervals_is_points_alone() -> None:
    results, _, plan = suite(seeds=(1111,), variants=("original", "fg"))
    comparison = compare(results, resamples=50, items=False)
    drawing = only(forests(comparison, plan))
    assert "over 1 seed," in drawing.caption
    assert len(points(panel(drawn(drawing), "MAE"))) == 3


def test_captions_call_synthetic_data_synthetic() -> None:
    for synthetic in (True, False):
        _, comparison, plan = suite(datasets=[fakes.dataset(synthetic=synthetic)], variants=("original", "fg"))
        for drawing in (only(forests(comparison, plan)), only(heatmaps(comparison, plan))):
            assert ("Synthetic" in drawing.caption) == synthetic
            assert ("synthetic" in drawing.title) == synthetic


def test_a_variant_under_a_second_name_is_not_drawn_twice() -> None:
    _, comparison, plan = suite(datasets=[fakes.dataset(vision_groups=False)])
    assert len([one for one in forests(comparison, plan) if isinstance(one, Drawing)]) == 1
    assert "three variants" in why_not(critical_differences(comparison, plan)).reason


def test_a_suite_without_pairs_says_so() -> None:
    _, comparison, plan = suite(keep=lambda run: run.variant == "original")
    assert "beside one of the original" in why_not(forests(comparison, plan)).reason
    assert "no difference" in why_not(heatmaps(comparison, plan)).reason
    _, comparison, plan = suite(variants=("original",))
    assert not list(forests(comparison, plan))
    assert not list(heatmaps(comparison, plan))
    assert not list(critical_differences(comparison, plan))


def test_a_heat_map_writes_every_delta_and_hatches_what_is_missing() -> None:
    _, comparison, plan = suite(keep=lambda run: (run.model, run.variant) != ("TFN", "fg"))
    drawing = only(heatmaps(comparison, plan))
    figure = drawn(drawing)
    data = frame_of(drawing)
    top = figure.axes[0]
    block = data[(data["contrast"] == "fg against original")]
    texts = [text.get_text().rstrip("†") for text in top.texts]
    assert sorted(texts) == sorted(text for text in block["text"] if text)
    assert sum("†" in text.get_text() for text in top.texts) == int(block["significant"].sum())
    (hatched,) = {patch.get_y() + 0.47 for patch in top.patches if patch.get_hatch() and isinstance(patch, Rectangle)}
    assert top.get_yticklabels()[round(hatched)].get_text() == "TFN"


def test_colours_of_a_heat_map_are_symmetric_and_share_a_unit(made: Made) -> None:
    _, comparison, plan = made
    data = frame_of(only(heatmaps(comparison, plan)))
    for _, block in data.groupby("unit"):
        assert block["colour"].abs().max() == pytest.approx(1)
        assert np.allclose(block["colour"] * block["delta"].abs().max(), block["delta"])
    assert set(data["unit"]) == {"points", "MAE", "Corr"}


def test_a_diagram_places_variants_at_their_mean_ranks(made: Made) -> None:
    _, comparison, plan = made
    drawing = only(critical_differences(comparison, plan))
    figure = drawn(drawing)
    for ranking, axes in zip(comparison.rankings, figure.axes, strict=True):
        marks = [path_of(line)[0, 0] for line in axes.lines if line.get_marker() in {"o", "s", "^", "D"}]
        assert sorted(marks) == pytest.approx(sorted(ranking.nemenyi.mean_ranks))
        bars = [line for line in axes.lines if line.get_linewidth() == 2.4]
        assert len(bars) == len(ranking.nemenyi.groups)
        (critical,) = [t.get_text() for t in axes.texts if t.get_text().startswith("CD")]
        assert critical.startswith(f"CD {ranking.nemenyi.critical_difference:.2f}")
        # With three models, 4 variants cannot be 2.71 ranks apart unless unanimous: said where none can.
        assert ("no pair" in critical) == (ranking.nemenyi.critical_difference > 3)


def test_undefined_metrics_leave_no_hole_in_the_figures() -> None:
    results, _, plan = suite(variants=("original", "fg"))
    results.values.loc[results.values["metric"] == "Corr", "value"] = math.nan
    comparison = compare(results, resamples=50, items=False)
    comparison.contrasts.loc[comparison.contrasts["metric"] == "Corr", ["low", "high"]] = math.nan
    assert not points(panel(drawn(only(forests(comparison, plan))), "Corr"))
    drawn(only(heatmaps(comparison, plan)))
