from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from harness.statistics import (
    MIN_BCA,
    adjust,
    bca_interval,
    benjamini_hochberg,
    holm,
    mean_interval,
    minimum_detectable_effect,
    paired_t,
    paired_t_power,
    seeds_needed,
    sign_flip,
)

# Benjamini and Hochberg (1995), section 4.1: p values of the thrombolysis trial's fifteen comparisons.
TRIAL = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
    *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
]


def test_the_trial_of_benjamini_and_hochberg_has_three_and_four_findings() -> None:
    assert np.count_nonzero(holm(TRIAL) < 0.05) == 3
    assert np.count_nonzero(benjamini_hochberg(TRIAL) < 0.05) == 4


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_benjamini_hochberg_equals_scipy_and_statsmodels(p: list[float]) -> None:
    q = benjamini_hochberg(p)
    assert q == pytest.approx(stats.false_discovery_control(p))
    assert q == pytest.approx(multipletests(p, method="fdr_bh")[1])
    assert (q <= holm(p) + 1e-12).all()


def test_gaps_stay_gaps_and_do_not_count() -> None:
    got = benjamini_hochberg([0.01, math.nan, 0.04])
    assert got[[0, 2]] == pytest.approx([0.02, 0.04])
    assert math.isnan(got[1])
    assert benjamini_hochberg([]).shape == (0,)


@pytest.mark.parametrize("function", [holm, benjamini_hochberg])
@pytest.mark.parametrize("p", [-0.1, 1.1, math.inf])
def test_what_is_no_p_is_refused(function: object, p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        function([0.5, p])  # type: ignore[operator]


def test_a_family_is_adjusted_together_and_says_its_size() -> None:
    tests = [paired_t(d) for d in ([1.0, 1.1, 0.9, 1.2, 1.0], [0.1, -0.3, 0.4, 0.2, 0.1], [1.0], [2.0, 2.0])]
    family = adjust(tests)
    assert [one.family for one in family] == [2, 2, 2, 2]
    assert [one.p for one in family] == pytest.approx([one.p for one in tests], nan_ok=True)
    assert [one.adjusted for one in family] == pytest.approx(holm([one.p for one in tests]), nan_ok=True)
    assert [one.q for one in family] == pytest.approx(benjamini_hochberg([one.p for one in tests]), nan_ok=True)
    assert [one.verdict() for one in family] == ["rejected", "not rejected", "cannot tell", "cannot tell"]
    assert (tests[0].adjusted, tests[0].q, tests[0].family) == (None, None, 0)
    assert adjust([]) == ()


def test_an_exact_test_below_its_floor_cannot_tell_and_a_family_raises_the_floor() -> None:
    five, six = sign_flip([1, 2, 3, 4, 5]), sign_flip([1, 2, 3, 4, 5, 6])
    assert five.verdict() == "cannot tell"
    assert five.verdict(alpha=0.1) == "rejected"
    assert six.verdict() == "rejected"
    assert [one.verdict() for one in adjust([six, six])] == ["cannot tell", "cannot tell"]
    assert sign_flip([1, -2, 3, 4, 5, -6]).verdict() == "not rejected"


@given(st.lists(st.floats(-10, 10).map(lambda x: round(x, 2)), min_size=2, max_size=8), st.integers(1, 50))
def test_tests_over_seeds_do_not_mind_sign_and_scale(deltas: list[float], scale: int) -> None:
    turned = [-scale * d for d in deltas]
    assert sign_flip(turned).p == pytest.approx(sign_flip(deltas).p)
    assert paired_t(turned).p == pytest.approx(paired_t(deltas).p, nan_ok=True, rel=1e-6)
    assert sign_flip(turned).statistic == pytest.approx(-scale * sign_flip(deltas).statistic, abs=1e-9)


@pytest.mark.parametrize(("effect", "alpha", "power"), [(0.5, 0.05, 0.8), (1.7, 0.05, 0.8), (0.2, 0.01, 0.95)])
def test_seeds_needed_are_statsmodels_rounded_up(effect: float, alpha: float, power: float) -> None:
    theirs = TTestPower().solve_power(effect_size=effect, alpha=alpha, power=power)
    assert seeds_needed(effect, alpha, power) == seeds_needed(-effect, alpha, power) == math.ceil(theirs)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 20, 41])
def test_seeds_needed_invert_the_minimum_detectable_effect(n: int) -> None:
    assert seeds_needed(minimum_detectable_effect(n) + 1e-4) == n


@given(st.floats(0.1, 30))
def test_seeds_needed_are_enough_and_one_fewer_is_not(effect: float) -> None:
    n = seeds_needed(effect)
    assert paired_t_power(effect, n) >= 0.8
    assert n == 2 or paired_t_power(effect, n - 1) < 0.8


def test_power_grows_with_seeds_and_effect() -> None:
    table = np.array([[paired_t_power(d, n) for n in (2, 3, 5, 10, 20)] for d in (0.0, 0.5, 1.0, 2.0, 200.0)])
    assert (np.diff(table, axis=0) > 0).all()
    assert (np.diff(table[1:-1], axis=1) > 0).all()
    assert table[0] == pytest.approx(0.05)


@pytest.mark.parametrize("effect", [0.0, math.nan, math.inf, 1e-6])
def test_an_effect_that_no_number_of_seeds_finds_is_refused(effect: float) -> None:
    with pytest.raises(ValueError, match="effect"):
        seeds_needed(effect)


def test_bca_is_given_from_ten_values_only() -> None:
    values = np.random.default_rng(1).normal(size=200)
    few, many = bca_interval(values[: MIN_BCA - 1]), bca_interval(values)
    assert math.isnan(few.low)
    assert few.n == 9
    assert few.mean == pytest.approx(values[:9].mean())
    student = mean_interval(values)
    assert (many.low, many.high) == pytest.approx((student.low, student.high), abs=0.02)
    assert many == bca_interval(values)
    assert many != bca_interval(values, seed=1)
    constant = bca_interval(np.full(12, 3.0))
    assert (constant.low, constant.high) == (3.0, 3.0)
