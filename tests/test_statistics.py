from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from harness.statistics import (
    hedges_d,
    holm,
    mean_interval,
    minimum_detectable_effect,
    paired_t,
    paired_t_power,
    sign_flip,
)

# Student's sleep data: extra hours of sleep of ten patients under two drugs, as printed in R's `sleep`.
DRUG_1 = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
DRUG_2 = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])

DELTAS = st.lists(st.floats(-100, 100, allow_subnormal=False).map(lambda x: round(x, 3)), min_size=2, max_size=10)


def test_paired_t_gives_the_printed_figures_of_the_sleep_data() -> None:
    test = paired_t(DRUG_1 - DRUG_2)
    assert test.n == 10
    assert test.df == 9
    assert test.t == pytest.approx(-4.0621, abs=5e-5)
    assert test.p == pytest.approx(0.002833, abs=5e-7)
    assert test.low == pytest.approx(-2.4598858, abs=5e-8)
    assert test.high == pytest.approx(-0.7001142, abs=5e-8)
    assert test.note == ""


@given(DELTAS.filter(lambda d: np.ptp(d) > 0.001))
def test_paired_t_equals_scipy(deltas: list[float]) -> None:
    ours, theirs = paired_t(deltas, alpha=0.1), stats.ttest_1samp(deltas, 0.0)
    interval = theirs.confidence_interval(0.9)
    assert ours.t == pytest.approx(theirs.statistic, rel=1e-9, abs=1e-9)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert ours.low == pytest.approx(interval.low)
    assert ours.high == pytest.approx(interval.high)


def test_without_pairs_there_is_no_p() -> None:
    nothing = paired_t([math.nan, math.inf])
    assert (nothing.n, nothing.note) == (0, "no pairs")
    assert math.isnan(nothing.mean)
    assert math.isnan(nothing.p)


def test_one_pair_has_a_mean_and_no_p() -> None:
    test = paired_t([0.25])
    assert (test.n, test.mean, test.df, test.note) == (1, 0.25, 0, "one pair")
    assert all(math.isnan(x) for x in (test.sd, test.t, test.p, test.low, test.high))


def test_equal_arms_have_p_one() -> None:
    test = paired_t([0.0, 0.0, 0.0])
    assert (test.mean, test.sd, test.t, test.p, test.low, test.high) == (0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    assert test.note == "no difference"


@pytest.mark.parametrize("deltas", [[0.5, 0.5, 0.5], [0.85 - 0.84, 0.75 - 0.74, 0.35 - 0.34]])
def test_constant_deltas_have_no_p_even_when_rounding_makes_them_differ(deltas: list[float]) -> None:
    test = paired_t(deltas)
    assert math.isnan(test.p)
    assert test.note == "constant"
    assert test.mean == pytest.approx(deltas[0])


def test_values_that_are_not_finite_are_left_out_of_a_test() -> None:
    with_gaps, without = paired_t([1.0, math.nan, 2.0, math.inf, 4.0]), paired_t([1.0, 2.0, 4.0])
    assert with_gaps == without


def test_mean_interval_covers_what_scipy_says_and_is_nan_for_one_value() -> None:
    values = [0.8, 0.82, 0.79, 0.85]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    got = mean_interval(values)
    assert got.n == 4
    assert got.sd == pytest.approx(np.std(values, ddof=1))
    assert got.low == pytest.approx(low)
    assert got.high == pytest.approx(high)
    single = mean_interval([0.8])
    assert (single.n, single.mean) == (1, 0.8)
    assert math.isnan(single.sd)
    assert math.isnan(single.low)


@given(DELTAS)
def test_sign_flip_equals_plain_enumeration(deltas: list[float]) -> None:
    sums = [
        abs(sum(s * d for s, d in zip(signs, deltas, strict=True))) for signs in product((1, -1), repeat=len(deltas))
    ]
    expected = np.mean(np.array(sums) >= abs(sum(deltas)) - 1e-7)
    got = sign_flip(deltas)
    assert got.p == pytest.approx(expected)
    assert got.p >= got.floor - 1e-15


def test_sign_flip_reaches_its_floor_when_all_deltas_agree() -> None:
    assert sign_flip([0.1, 0.2, 0.3, 0.4, 0.5]).p == 0.0625 == sign_flip([1, 2, 3, 4, 5]).floor
    assert sign_flip([1, 2, 3, 4, 5, 6]).p == 0.03125


def test_sign_flip_equals_scipys_exact_permutation_test() -> None:
    deltas = DRUG_1 - DRUG_2
    theirs = stats.permutation_test((deltas,), np.mean, permutation_type="samples", n_resamples=2**10)
    assert sign_flip(deltas).p == pytest.approx(theirs.pvalue)


def test_sign_flip_at_its_edges() -> None:
    assert sign_flip([0.0, 0.0]).p == 1.0
    assert sign_flip([3.0]).p == 1.0
    assert sign_flip([1.0] * 30).p == 2.0**-29
    assert math.isnan(sign_flip([]).p)
    many = sign_flip(np.arange(1, 60))
    assert math.isnan(many.p)
    assert many.n == 59


def test_holm_on_a_worked_example_with_a_gap() -> None:
    got = holm([0.01, math.nan, 0.04, 0.03, 0.005])
    assert got[[0, 2, 3, 4]] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert math.isnan(got[1])


def test_holm_of_nothing_is_nothing() -> None:
    assert holm([]).shape == (0,)
    assert np.isnan(holm([math.nan, math.nan])).all()


@pytest.mark.parametrize("m", [1, 2, 5, 14])
def test_holm_equals_statsmodels(m: int) -> None:
    p = np.random.default_rng(m).uniform(0, 0.2, m)
    p[-1] = p[0]  # a tie
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    raw, adjusted = np.array(p), holm(p)
    assert (adjusted >= raw).all()
    assert (adjusted <= np.minimum(1, raw * len(p)) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(raw, kind="stable")]) >= 0).all()


def test_hedges_d_of_the_sleep_data() -> None:
    deltas = DRUG_1 - DRUG_2
    cohen = deltas.mean() / deltas.std(ddof=1)
    # The usual approximation 1 - 3 / (4 df - 1) agrees with the exact factor to about a thousandth here.
    assert hedges_d(deltas) == pytest.approx(cohen * (1 - 3 / 35), rel=2e-3)
    assert hedges_d(deltas) == pytest.approx(-1.1741, abs=1e-3)


@pytest.mark.parametrize("deltas", [[], [1.0], [1.0, 2.0], [0.0, 0.0, 0.0], [2.0, 2.0, 2.0]])
def test_hedges_d_is_nan_where_it_is_not_defined(deltas: list[float]) -> None:
    assert math.isnan(hedges_d(deltas))


@pytest.mark.parametrize(("n", "effect"), [(3, 3.26), (5, 1.68), (10, 1.00), (20, 0.66)])
def test_minimum_detectable_effect_has_the_known_values(n: int, effect: float) -> None:
    assert minimum_detectable_effect(n) == pytest.approx(effect, abs=0.005)


def test_minimum_detectable_effect_of_two_pairs_is_large_and_finite_and_of_one_unknown() -> None:
    two = minimum_detectable_effect(2)
    assert 10 < two < 30
    assert paired_t_power(two, 2) == pytest.approx(0.8, abs=1e-5)
    assert math.isnan(minimum_detectable_effect(1))


@pytest.mark.parametrize("n", [2, 3, 5, 12])
@pytest.mark.parametrize("effect", [0.0, 0.3, 1.0, 2.5])
def test_power_equals_the_noncentral_t_where_scipy_can_compute_it(n: int, effect: float) -> None:
    critical, shift = stats.t.isf(0.025, n - 1), effect * math.sqrt(n)
    expected = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    assert paired_t_power(effect, n) == pytest.approx(expected, abs=1e-6)


def test_power_of_a_huge_effect_is_one() -> None:
    assert paired_t_power(1e4, 5) == pytest.approx(1.0)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, math.nan])
def test_an_impossible_level_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        mean_interval([1.0, 2.0], alpha)
    with pytest.raises(ValueError, match="alpha"):
        minimum_detectable_effect(5, alpha)


def test_an_impossible_power_is_refused() -> None:
    with pytest.raises(ValueError, match="power"):
        minimum_detectable_effect(5, power=0.01)
    with pytest.raises(ValueError, match="two pairs"):
        paired_t_power(1.0, 1)


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.05 / 14])
def test_power_is_that_of_the_noncentral_t_at_every_number_of_seeds(alpha: float) -> None:
    for n in range(2, 60):
        detected = minimum_detectable_effect(n, alpha)  # warned of its own quadrature at 13 seeds
        critical, shift = stats.t.isf(alpha / 2, n - 1), detected * math.sqrt(n)
        exact = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
        if math.isfinite(exact) and n > 3:  # scipy's own figures are NaN or rough at large arguments
            assert paired_t_power(detected, n, alpha) == pytest.approx(exact, abs=1e-8), n
        assert paired_t_power(detected, n, alpha) == pytest.approx(0.8, abs=1e-5), n
