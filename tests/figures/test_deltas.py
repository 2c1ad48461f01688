"""Forests, heat maps and ranks by their numbers, and what is said where they cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from harness.comparison import Comparison
from harness.figures import style
from harness.figures.figure import Drawing, Missing, save
from harness.figures.forest import forests
from harness.figures.heatmap import heatmaps
from harness.figures.ranks import critical_differences
from harness.plan import Plan
from tests.reports import fakes

MODELS = ("LF-DNN", "LMF", "TFN")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return fakes.plan([fakes.dataset()], models=MODELS, seeds=(1, 2, 3, 4))


@pytest.fixture(scope="module")
def comparison(plan: Plan) -> Comparison:
    return fakes.compared(plan, fakes.filled(plan, fakes.typical_error))


def numbers(drawing: Drawing) -> pd.DataFrame:
    assert isinstance(drawing.data, pd.DataFrame)
    return drawing.data


def picture(drawing: Drawing) -> Figure:
    with style.applied(drawing.name):
        return drawing.draw(numbers(drawing))


def only(found: list[Drawing | Missing]) -> list[Drawing]:
    return [one for one in found if isinstance(one, Drawing)]


def test_a_forest_has_the_deltas_and_intervals_of_the_comparison(plan: Plan, comparison: Comparison) -> None:
    drawn = only(list(forests(comparison, plan)))
    assert [one.title.rsplit(": ", maxsplit=1)[1] for one in drawn] == [
        f"{variant} against original" for variant in ("fg", "a", "v")
    ]
    data = numbers(drawn[0])
    row = data[(data["model"] == "LMF") & (data["metric"] == "Acc-2/has-0")].iloc[0]
    frame = comparison.contrasts
    want = frame[(frame["model"] == "LMF") & (frame["metric"] == "Acc-2/has-0") & (frame["variant"] == "fg")].iloc[0]
    assert [row["delta"], row["low"], row["high"]] == pytest.approx(
        [100 * want[key] for key in ("mean", "low", "high")]
    )
    assert row["significant"] == want["significant"]
    mae = data[(data["model"] == "LMF") & (data["metric"] == "MAE")].iloc[0]
    assert mae["delta"] > 0  # less error is better
    assert "4 seeds" in drawn[0].caption
    assert "Synthetic" in drawn[0].caption


def test_the_points_of_a_forest_stand_where_the_numbers_are(plan: Plan, comparison: Comparison) -> None:
    drawing = only(list(forests(comparison, plan)))[0]
    data = numbers(drawing)
    axes = picture(drawing).axes[0]
    metric = data["metric"].iloc[0]
    wanted = set(data[data["metric"] == metric]["delta"].round(9))
    assert wanted <= {round(float(x), 9) for line in axes.lines for x in np.asarray(line.get_xdata()).ravel()}


def test_a_heat_map_prints_every_delta(plan: Plan, comparison: Comparison) -> None:
    (drawing,) = only(list(heatmaps(comparison, plan)))
    data = numbers(drawing)
    assert data["colour"].abs().max() == pytest.approx(1.0)
    printed = [text.get_text().rstrip("†") for axes in picture(drawing).axes for text in axes.texts]
    assert set(data["text"]) - {""} <= set(printed)


def test_ranks_are_those_of_the_comparison(plan: Plan, comparison: Comparison) -> None:
    (drawing,) = only(list(critical_differences(comparison, plan)))
    ranking = comparison.rankings[0]
    said = " ".join(text.get_text() for text in picture(drawing).axes[0].texts)
    for variant, rank in zip(ranking.variants, ranking.nemenyi.mean_ranks, strict=True):
        assert f"{variant} {rank:.2f}" in said
    assert f"{ranking.nemenyi.critical_difference:.2f}" in said


def test_every_figure_can_be_saved(plan: Plan, comparison: Comparison, tmp_path: Path) -> None:
    makers = (forests, heatmaps, critical_differences)
    saved = save([one for maker in makers for one in only(list(maker(comparison, plan)))], tmp_path)
    assert len(saved) == 5
    assert all(one.svg.stat().st_size > 1000 for one in saved)


@pytest.mark.parametrize("maker", [forests, heatmaps, critical_differences])
def test_without_runs_it_is_said_why_there_is_no_figure(maker: object) -> None:
    assert callable(maker)
    plan = fakes.plan([fakes.dataset()], models=MODELS)
    found = list(maker(fakes.compared(plan, fakes.FakeStore()), plan))
    assert found
    assert all(isinstance(one, Missing) and one.reason for one in found)


def test_one_seed_has_points_without_lines() -> None:
    plan = fakes.plan([fakes.dataset()], models=MODELS, seeds=(1,))
    drawing = only(list(forests(fakes.compared(plan, fakes.filled(plan, fakes.typical_error)), plan)))[0]
    assert numbers(drawing)["low"].isna().all()
    assert "too few seeds" in drawing.caption
    assert picture(drawing).axes
