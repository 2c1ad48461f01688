"""The chart of one run's losses: its points against its axes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.reports.loss_chart import LossChart, loss_chart

LOSSES = st.one_of(st.none(), st.just(math.nan), st.just(math.inf), st.floats(1e-6, 1e6), st.just(0.0))


def epochs(*losses: tuple[float | None, float | None], best: int = 1) -> list[dict[str, Any]]:
    return [{"train_loss": t, "valid_loss": v, "best": i == best} for i, (t, v) in enumerate(losses, 1)]


def points(chart: LossChart, kind: str) -> list[tuple[float, float]]:
    curve = next(one for one in chart.curves if one.kind == kind)
    pairs = [pair.split(",") for segment in curve.segments for pair in segment.split()]
    return [(float(x), float(y)) for x, y in pairs]


def read_off(chart: LossChart, y: float) -> float:
    """A loss as a reader takes it from the axis: between two labelled lines."""
    low, high = chart.losses[0], chart.losses[-1]
    share = (y - low.at) / (high.at - low.at)
    return float(low.text) + share * (float(high.text) - float(low.text))


def test_the_points_stand_at_their_losses_and_epochs() -> None:
    chart = loss_chart(epochs((1.0, 0.8), (0.5, 0.6), (0.25, 0.7), best=2))
    assert chart is not None
    for kind, losses in {"train": (1.0, 0.5, 0.25), "valid": (0.8, 0.6, 0.7)}.items():
        found = points(chart, kind)
        assert [read_off(chart, y) for _, y in found] == pytest.approx(losses, abs=0.003)
        assert [x for x, _ in found] == [tick.at for tick in chart.epochs]
    assert [tick.text for tick in chart.epochs] == ["1", "2", "3"]
    assert chart.best == chart.epochs[1].at


def test_a_line_breaks_where_a_loss_is_not_finite() -> None:
    chart = loss_chart(epochs((1.0, None), (math.nan, None), (0.5, None), (0.4, None)))
    assert chart is not None
    (curve,) = chart.curves
    assert [len(segment.split()) for segment in curve.segments] == [2, 2], "a lone point is joined with itself"


def test_a_history_without_a_finite_loss_has_no_chart() -> None:
    assert loss_chart([]) is None
    assert loss_chart(epochs((None, math.inf), (math.nan, None))) is None


def test_names_of_lines_that_end_together_do_not_cover_each_other() -> None:
    chart = loss_chart(epochs((1.0, 0.9), (0.5, 0.5)))
    assert chart is not None
    train, valid = (curve.end for curve in chart.curves)
    assert abs(train - valid) >= 12


@pytest.mark.parametrize("loss", [0.1, 1.0986123, 3e-7, 25000.0, -2.5])
@pytest.mark.parametrize("change", [0.0, 1e-12, 1e-8, 1e-5, 1e-3])
def test_the_labels_of_nearly_constant_losses_differ_and_stay_short(loss: float, change: float) -> None:
    chart = loss_chart(epochs((loss, loss * (1 + change)), (loss, loss)))
    assert chart is not None
    labels = [tick.text for tick in chart.losses]
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) <= 10
    assert [float(label) for label in labels] == sorted(map(float, labels))


def test_longer_labels_have_more_room() -> None:
    short, long = (loss_chart(epochs((loss, None), (2 * loss, None))) for loss in (1.0, 1e-5))
    assert short is not None
    assert long is not None
    assert long.x[0] > short.x[0]
    assert long.x[1] == short.x[1]


@given(st.lists(st.tuples(LOSSES, LOSSES), min_size=1, max_size=300))
def test_everything_stays_within_the_frame(losses: list[tuple[float | None, float | None]]) -> None:
    chart = loss_chart(epochs(*losses))
    if chart is None:
        return
    for curve in chart.curves:
        for x, y in points(chart, curve.kind):
            assert chart.x[0] <= x <= chart.x[1]
            assert chart.y[0] <= y <= chart.y[1]
        assert 0 < curve.end < chart.height
    assert 2 <= len({tick.text for tick in chart.losses}) == len(chart.losses) <= 7
    assert len({tick.text for tick in chart.epochs}) == len(chart.epochs) <= 12
