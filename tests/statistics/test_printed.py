from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from harness.statistics import Reading, against_printed, prediction_interval, tost

VALUES = np.array([80.1, 80.9, 79.8, 80.4, 80.6])
LISTS = st.lists(st.integers(7000, 9000).map(lambda x: x / 100), min_size=2, max_size=8, unique=True)


@given(LISTS, st.floats(70, 90), st.floats(0.1, 10))
def test_tost_equals_statsmodels(values: list[float], target: float, margin: float) -> None:
    ours = tost(values, target, margin)
    p, low, high = DescrStatsW(values).ttost_mean(target - margin, target + margin)
    assert ours.p == pytest.approx(p, abs=1e-9)
    assert (ours.p_above_lower, ours.p_below_upper) == pytest.approx((low[1], high[1]), abs=1e-9)


@given(LISTS, st.floats(70, 90), st.floats(0.1, 10))
def test_equivalence_is_the_ninety_percent_interval_within_the_margin(
    values: list[float], target: float, margin: float
) -> None:
    test = tost(values, target, margin, behind=5)
    within = -margin < test.low and test.high < margin
    if min(abs(test.low + margin), abs(test.high - margin)) > 1e-9:
        assert (test.p < 0.05) == within
    assert tost(values, target, margin * 2, behind=5).p <= test.p + 1e-12


def test_one_more_run_is_predicted_by_the_textbook_formula() -> None:
    interval = prediction_interval(VALUES)
    half = stats.t.ppf(0.975, 4) * VALUES.std(ddof=1) * math.sqrt(1 + 1 / 5)
    assert (interval.low, interval.high) == pytest.approx((VALUES.mean() - half, VALUES.mean() + half))
    assert (interval.n, interval.future) == (5, 1)


def test_the_mean_of_infinitely_many_runs_is_predicted_by_the_t_interval() -> None:
    low, high = stats.t.interval(0.95, 4, loc=VALUES.mean(), scale=stats.sem(VALUES))
    interval = prediction_interval(VALUES, math.inf)
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_predictions_hold_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    inside = 0
    for ours, theirs in zip(rng.normal(size=(2000, 5)), rng.normal(size=(2000, 5)).mean(axis=1), strict=True):
        interval = prediction_interval(ours, 5)
        inside += interval.low <= theirs <= interval.high
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("printed", "margin", "rounding", "reading"),
    [
        (80.4, 2.0, 0.005, "equivalent"),
        (80.4, 0.3, 0.005, "cannot tell"),
        (85.0, 2.0, 0.005, "differs"),
        (81.0, 2.0, 0.0, "differs within the margin"),
        (81.0, 2.0, 0.5, "equivalent"),  # coarse print: 80.5 would not differ
    ],
)
def test_a_printed_mean_is_read_in_one_of_four_ways(
    printed: float, margin: float, rounding: float, reading: Reading
) -> None:
    got = against_printed(VALUES if printed != 81.0 else VALUES * 0.1 + 72.4, printed, margin, rounding=rounding)
    assert got.reading == reading


@pytest.mark.parametrize(("values", "note"), [([], "no pairs"), ([80.0], "one pair"), ([80.1, 80.1, 80.1], "constant")])
def test_without_spread_nothing_can_be_told(values: list[float], note: str) -> None:
    got = against_printed(values, 80.0, 1.0)
    assert got.reading == "cannot tell"
    assert math.isnan(got.equivalence.p)
    assert got.equivalence.note == note
    assert got.equivalence.verdict() == "cannot tell"
    assert math.isnan(got.prediction.low)


@pytest.mark.parametrize(
    ("margin", "options", "match"),
    [
        (0.0, {}, "rounding"),
        (math.nan, {}, "rounding"),
        (math.inf, {}, "margin"),
        (0.5, {"rounding": 0.5}, "rounding"),
        (1.0, {"behind": 0}, "number of runs"),
        (1.0, {"alpha": 1.0}, "alpha"),
    ],
)
def test_questions_without_sense_are_refused(margin: float, options: dict[str, float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        against_printed(VALUES, 80.0, margin, **options)


def test_a_target_and_a_margin_must_be_numbers() -> None:
    with pytest.raises(ValueError, match="target"):
        tost(VALUES, math.nan, 1.0)
    with pytest.raises(ValueError, match="margin"):
        tost(VALUES, 80.0, -1.0)
