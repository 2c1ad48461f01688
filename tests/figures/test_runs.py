"""Costs, learning curves and reliability show what the runs did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.text import Annotation

from harness.figures import Drawing, Missing, drawings, save
from harness.figures.costs import trade_offs
from harness.figures.learning import learning_curves
from harness.figures.reliability import reliabilities
from harness.results import Predictions
from harness.spec import RunSpec
from tests.figures.made import drawn, frame_of, history, only, path_of, suite, why_not
from tests.reports import fakes

LMF = ("LMF",)
BOTH = ("original", "fg")


def test_costs_show_means_against_parameters_and_join_variants() -> None:
    results, comparison, plan = suite(variants=BOTH)
    runs = results.runs.assign(params_trainable=np.where(results.runs["variant"] == "fg", 2e6, 1e5))
    drawing = only(trade_offs(replace(results, runs=runs), comparison, plan))
    data = frame_of(drawing)
    assert set(data["metric"]) == {"Acc-2/has-0", "MAE"}
    assert set(zip(data["variant"], data["parameters"], strict=True)) == {("original", 100_000), ("fg", 2_000_000)}
    cells = comparison.cells[comparison.cells["metric"] == "MAE"]
    assert sorted(data.loc[data["metric"] == "MAE", "mean"]) == pytest.approx(sorted(cells["mean"]))
    axes = drawn(drawing).axes[1]
    assert axes.get_xscale() == "log"
    arrows = [child for child in axes.get_children() if isinstance(child, Annotation) and not child.get_text()]
    assert {(arrow.xyann[0], arrow.xy[0]) for arrow in arrows} == {(100_000, 2_000_000)}
    assert len(arrows) == len(fakes.MODELS)
    assert {text.get_text() for text in axes.texts} >= set(fakes.MODELS)


def test_costs_of_originals_alone_and_of_nothing() -> None:
    results, comparison, plan = suite(variants=("original",))
    assert len(drawn(only(trade_offs(results, comparison, plan))).axes) == 2
    unknown = replace(results, runs=results.runs.assign(params_trainable=None))
    assert "count of its parameters" in why_not(trade_offs(unknown, comparison, plan)).reason


def test_learning_curves_average_over_the_seeds_that_are_still_running() -> None:
    results, _, plan = suite(models=LMF, variants=("original",), epochs=lambda run: 3 if run.seed == 1111 else 5)
    drawing = only(learning_curves(results, plan))
    data = frame_of(drawing)
    assert data["running"].to_list() == [5, 5, 5, 4, 4]
    above = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    assert data["valid"].iloc[0] == pytest.approx(1 + above.mean())
    assert data["valid"].iloc[4] == pytest.approx(1 / 5 + above[1:].mean())
    assert data["valid_sd"].iloc[0] == pytest.approx(above.std(ddof=1))
    assert "seeds still running" in drawing.caption
    curves, strip = drawn(drawing).axes
    whole, *_ = (line for line in curves.lines if line.get_alpha() == 1.0 and line.get_linewidth() == 1.3)
    pale, *_ = (line for line in curves.lines if line.get_alpha() != 1.0 and line.get_linewidth() == 1.3)
    assert path_of(whole)[:, 0].tolist() == [1, 2, 3]
    assert path_of(pale)[:, 0].tolist() == [3, 4, 5]
    assert path_of(strip.lines[0])[:, 1].tolist() == [5, 5, 5, 4, 4, 0]


def test_learning_curves_of_equal_length_need_no_strip() -> None:
    results, _, plan = suite(models=LMF, variants=BOTH)
    drawing = only(learning_curves(results, plan))
    assert "running" not in drawing.caption
    assert len(drawn(drawing).axes) == 1


def test_a_spike_does_not_flatten_a_learning_curve() -> None:
    results, _, plan = suite(models=LMF, variants=("original",), seeds=(1111,), epochs=lambda _: 40)
    spiked = history(40)
    spiked.loc[0, "valid_loss"] = 1e6
    drawing = only(learning_curves(replace(results, histories=dict.fromkeys(results.histories, spiked)), plan))
    assert "far larger losses" in drawing.caption
    assert drawn(drawing).axes[0].get_ylim()[1] < 10


def test_losses_that_are_not_finite_are_left_out_or_said() -> None:
    results, _, plan = suite(models=LMF, variants=("original",), seeds=(1111,))
    odd = history(3)
    odd.loc[1, "valid_loss"] = np.inf
    drawn(only(learning_curves(replace(results, histories=dict.fromkeys(results.histories, odd)), plan)))
    odd["valid_loss"] = np.nan
    results, _, plan = suite(models=("TFN", "LMF"), variants=("original",), seeds=(1111,))
    _, fine = (run.run_id for run in plan.runs)
    half = replace(results, histories=dict.fromkeys(results.histories, odd) | {fine: history(3)})
    assert [axes.get_title() for axes in drawn(only(learning_curves(half, plan))).axes] == ["LMF"]
    nothing = replace(results, histories=dict.fromkeys(results.histories, odd))
    assert "finite losses" in why_not(learning_curves(nothing, plan)).reason
    assert "history" in why_not(learning_curves(replace(results, histories={}), plan)).reason


def scores(label: list[float], pred: list[float]) -> Predictions:
    ids = np.array([f"v{i}" for i in range(len(label))], dtype=object)
    return Predictions("regression", "mosei", ids, np.array(label), np.array(pred))


def test_reliability_counts_utterances_and_averages_residuals_by_true_score() -> None:
    results, _, plan = suite(models=LMF, variants=("original",), seeds=(1111, 1112))
    one, two = (run.run_id for run in plan.runs)
    given = {one: scores([-1, -1, 2], [0, 0.1, 9]), two: scores([-1, -1, 2], [-1, -1, 1])}
    drawing = only(reliabilities(replace(results, predictions=given), plan))
    data = frame_of(drawing)
    pairs = data[data["part"] == "pairs"].set_index(["true", "predicted"])["utterances"]
    # 9 lies beyond the scale and is counted at its end; the two seeds average.
    assert pairs.to_dict() == {(-1.0, -1.0): 1.0, (-1.0, 0.0): 1.0, (2.0, 1.0): 0.5, (2.0, 3.0): 0.5}
    errors = data[data["part"] == "residuals"].set_index("true")
    assert errors["residual"][-1.0] == pytest.approx((1.05 + 0) / 2)
    assert errors["sd"][-1.0] == pytest.approx(np.std([1.05, 0], ddof=1))
    assert errors["residual"][2.0] == pytest.approx((7 - 1) / 2)
    assert errors["utterances"].to_dict() == {-1.0: 2.0, 2.0: 1.0}
    (squares,) = [child for child in drawn(drawing).axes[0].get_children() if isinstance(child, PolyCollection)]
    middles = {tuple(path.vertices[:4].mean(axis=0).round(6)) for path in squares.get_paths()}  # type: ignore[index,union-attr]
    assert middles == set(pairs.index)


def test_classification_has_a_confusion_matrix_whose_rows_are_shares() -> None:
    results, _, plan = suite(models=LMF, variants=("original",), seeds=(1111, 1112), tasks=("classification",))
    logits = np.eye(3)

    def classes(label: list[int], pred: list[int]) -> Predictions:
        ids = np.array([f"v{i}" for i in range(len(label))], dtype=object)
        return Predictions("classification", "mosei", ids, np.array(label), logits[pred])

    one, two = (run.run_id for run in plan.runs)
    given = {one: classes([0, 0, 2], [0, 1, 2]), two: classes([0, 0, 2], [0, 0, 2])}
    drawing = only(reliabilities(replace(results, predictions=given), plan))
    shares = frame_of(drawing).set_index(["true", "predicted"])
    assert shares["share"]["negative", "negative"] == pytest.approx(0.75)
    assert shares["sd"]["negative", "neutral"] == pytest.approx(np.std([0.5, 0], ddof=1))
    assert shares["share"]["positive", "positive"] == 1
    assert np.isnan(shares["share"]["neutral", "neutral"])
    texts = [text.get_text() for text in drawn(drawing).axes[0].texts]
    assert "75 %\n±35" in texts
    assert len(texts) == 6  # no row for a class that no utterance has


def test_runs_with_predictions_that_are_not_finite_are_left_out() -> None:
    results, _, plan = suite(models=LMF, variants=("original",), seeds=(1111, 1112))
    one, two = (run.run_id for run in plan.runs)
    broken, fine = scores([-1, 1], [np.nan, 0]), scores([-1, 1], [0, 0])
    drawing = only(reliabilities(replace(results, predictions={one: broken, two: fine}), plan))
    assert set(frame_of(drawing)["seeds"]) == {1}
    assert "one seed" in drawing.caption
    assert "finite" in why_not(reliabilities(replace(results, predictions={one: broken}), plan)).reason


def test_every_figure_of_a_suite_with_gaps_is_drawn_or_said_to_be_missing() -> None:
    def there(run: RunSpec) -> bool:
        return run.model != "TFN" and not (run.variant == "v" and run.seed > 1111)

    title = "数据 $x_1$ & 100 % #1"
    data = [fakes.dataset("toy", title=title), fakes.dataset("other", synthetic=False, vision_groups=False)]
    results, comparison, plan = suite(keep=there, datasets=data, tasks=("regression", "classification"))
    found = list(drawings(results, comparison, plan))
    kinds = pd.Series([one.kind for one in found if isinstance(one, Drawing)]).value_counts()
    assert {"forest", "heatmap", "ranks", "costs", "learning", "reliability"} == set(kinds.index)
    assert {one.kind for one in found if isinstance(one, Missing)} == {"ranks", "embedding"}
    assert all(one.place and one.reason for one in found if isinstance(one, Missing))
    for one in found:
        if isinstance(one, Drawing):
            drawn(one)
            assert one.name.isascii()


def test_a_task_of_which_no_metric_is_shown_has_the_figures_that_need_none() -> None:
    results, comparison, plan = suite(tasks=("classification",), report={"metrics": ["MAE"]})
    found = list(drawings(results, comparison, plan))
    assert {one.kind for one in found if isinstance(one, Drawing)} == {"learning", "reliability"}


def test_a_suite_without_runs_draws_nothing_and_says_why() -> None:
    results, comparison, plan = suite(keep=lambda _: False)
    found = list(drawings(results, comparison, plan))
    assert all(isinstance(one, Missing) for one in found)
    assert {one.kind for one in found} >= {"forest", "heatmap", "costs", "learning", "reliability"}


def test_a_changed_prediction_redraws_the_figures_that_show_it(tmp_path: Path) -> None:
    results, _, plan = suite(variants=("original",), seeds=(1111,))
    before = [one for one in reliabilities(results, plan) if isinstance(one, Drawing)]
    assert all(saved.drawn for saved in save(before, tmp_path))
    run = next(run for run in plan.runs if run.model == "TFN")
    old = results.predictions[run.run_id]
    changed = dict(results.predictions) | {run.run_id: replace(old, pred=old.pred + 0.01)}
    after = [one for one in reliabilities(replace(results, predictions=changed), plan) if isinstance(one, Drawing)]
    assert [saved.drawn for saved in save(after, tmp_path)] == [name == "TFN" for name in fakes.MODELS]
