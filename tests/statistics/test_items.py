from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from harness.statistics import (
    SECOND_LEVEL,
    accuracy_sums,
    approximate_randomization,
    approximate_randomizations,
    correlation_sums,
    f1_sums,
    mcnemar,
    mean_sums,
    williams_t,
    williams_t_from_correlations,
)


def arms(both: int, only_first: int, only_second: int, neither: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    counts = [both, only_first, only_second, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def test_mcnemar_gives_rs_printed_figures() -> None:
    test = mcnemar(*arms(101, 121, 59, 33), method="chi2")
    assert test.statistic == pytest.approx(20.67222, abs=5e-6)
    assert test.p == pytest.approx(5.450095e-06, rel=1e-6)
    assert (test.n, test.only_first, test.only_second) == (314, 121, 59)


@given(*[st.integers(0, 12)] * 4)
def test_mcnemar_equals_statsmodels(both: int, b: int, c: int, neither: int) -> None:
    exact, chi2 = (mcnemar(*arms(both, b, c, neither), method=method) for method in ("exact", "chi2"))
    if both + b + c + neither == 0:
        assert math.isnan(exact.p)
        return
    assert exact.p == pytest.approx(statsmodels_mcnemar([[both, b], [c, neither]], exact=True).pvalue)
    assert exact.p >= exact.floor * (1 - 1e-9)
    assert exact.level == chi2.level == "items"
    assert exact.note == chi2.note == SECOND_LEVEL
    if b + c and b != c:  # where they are equal, statsmodels' correction overshoots
        theirs = statsmodels_mcnemar([[both, b], [c, neither]], exact=False, correction=True)
        assert (chi2.statistic, chi2.p) == pytest.approx((theirs.statistic, theirs.pvalue))
        assert chi2.p >= chi2.floor * (1 - 1e-9)
        assert (exact.low, exact.high) == pytest.approx(tuple(stats.binomtest(c, b + c).proportion_ci()))


@pytest.mark.parametrize("m", [1, 5, 6, 20])
def test_mcnemars_floor_is_that_of_the_items_on_which_the_arms_disagree(m: int) -> None:
    test = mcnemar(*arms(50, 0, m, 50))
    assert test.p == pytest.approx(test.floor) == pytest.approx(2.0 ** (1 - m))
    assert (test.verdict() == "cannot tell") == (m < 6)


def test_arms_that_never_disagree_do_not_differ() -> None:
    test = mcnemar([1, 0, 1], [1, 0, 1])
    assert (test.p, test.floor) == (1.0, 1.0)
    assert math.isnan(test.low)


def test_mcnemar_refuses_what_are_not_paired_hits() -> None:
    with pytest.raises(ValueError, match="same items"):
        mcnemar([True], [True, False])
    for scores in ([0.3, 1.0], [math.nan, 1.0]):
        with pytest.raises(ValueError, match="booleans"):
            mcnemar(scores, [1, 0])
    with pytest.raises(ValueError, match="method"):
        mcnemar([True], [True], method="mid-p")  # type: ignore[arg-type]


def test_approximate_randomization_approaches_the_enumeration() -> None:
    rng = np.random.default_rng(3)
    label = rng.normal(size=9)
    first, second = label + rng.normal(0, 1.5, 9), label + rng.normal(0, 0.4, 9)
    values = []
    for swap in product((False, True), repeat=9):
        a, b = np.where(swap, second, first), np.where(swap, first, second)
        values.append(np.corrcoef(label, b)[0, 1] - np.corrcoef(label, a)[0, 1])
    exact = np.mean(np.abs(values) >= abs(values[0]) - 1e-12)
    test = approximate_randomization(correlation_sums(label, first), correlation_sums(label, second), resamples=20_000)
    assert test.statistic == pytest.approx(values[0])
    assert test.p == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000))
    assert test.note == SECOND_LEVEL


def test_randomization_of_accuracy_is_mcnemars_exact_test() -> None:
    first, second = arms(30, 14, 4, 10)
    truth = np.ones(first.size)
    test = approximate_randomization(accuracy_sums(truth, first), accuracy_sums(truth, second), resamples=20_000)
    assert test.statistic == pytest.approx(-10 / 58)
    assert test.p == pytest.approx(mcnemar(first, second).p, abs=0.006)


def test_randomization_at_its_edges() -> None:
    rng = np.random.default_rng(0)
    truth, pred = rng.integers(0, 2, 40), rng.integers(0, 2, (3, 40))
    same = approximate_randomization(f1_sums(truth, pred), f1_sums(truth, pred), resamples=99)
    assert (same.statistic, same.p, same.floor) == (0.0, 1.0, 0.01)
    best = approximate_randomization(accuracy_sums(truth, 1 - truth), accuracy_sums(truth, truth), resamples=999)
    assert (best.statistic, best.p) == (1.0, best.floor)
    assert best == approximate_randomization(
        accuracy_sums(truth, 1 - truth), accuracy_sums(truth, truth), resamples=999
    )
    nothing = approximate_randomization(mean_sums([math.nan, 1.0]), mean_sums([0.0, 1.0]), resamples=9)
    assert math.isnan(nothing.p)
    with pytest.raises(ValueError, match="same shape"):
        approximate_randomization(mean_sums([1.0]), mean_sums([1.0, 2.0]))
    with pytest.raises(ValueError, match="resample"):
        approximate_randomization(mean_sums([1.0]), mean_sums([1.0]), resamples=0)


def test_williams_t_gives_the_printed_figures_of_depcor() -> None:
    # Silver, Hittner and May (2006), also in the tests of R's cocor.
    test = williams_t_from_correlations(0.3, 0.4, 0.5, 100)
    assert test.statistic == pytest.approx(-1.0767, abs=5e-5)
    assert test.p == pytest.approx(0.2843, abs=5e-5)
    assert (test.df, test.n, test.level, test.note) == (97, 100, "items", SECOND_LEVEL)


@given(st.integers(0, 10_000), st.floats(0.1, 10), st.floats(-5, 5))
def test_williams_t_is_antisymmetric_and_does_not_mind_units(seed: int, scale: float, shift: float) -> None:
    label, first, second = np.random.default_rng(seed).normal(size=(3, 12))
    test, turned = williams_t(label, first, second), williams_t(label, second, first)
    assert turned.statistic == pytest.approx(-test.statistic)
    assert turned.p == pytest.approx(test.p)
    moved = williams_t(label * scale + shift, first, second * scale - shift)
    assert moved.statistic == pytest.approx(test.statistic, rel=1e-6, abs=1e-9)
    assert test.r_first == pytest.approx(stats.pearsonr(label, first).statistic)
    assert 0 <= test.p <= 1


def test_williams_t_holds_its_level_under_a_true_null() -> None:
    rng = np.random.default_rng(11)
    chol = np.linalg.cholesky(np.array([[1, 0.6, 0.6], [0.6, 1, 0.7], [0.6, 0.7, 1]]))
    p = [williams_t(*(chol @ rng.normal(size=(3, 40)))).p for _ in range(2000)]
    assert 0.035 < np.mean(np.array(p) < 0.05) < 0.065


def test_williams_t_at_its_edges() -> None:
    x = np.array([1.0, 2.0, 4.0, 3.0, 6.0])
    assert williams_t(x, x[::-1], x[::-1] * 2 + 1).p == 1.0
    for bad in (np.full(5, 2.0), np.array([1.0, math.nan, 2.0, 3.0, 4.0])):
        assert math.isnan(williams_t(x, bad, x).p)
    assert math.isnan(williams_t(x[:3], x[:3] ** 2, x[2::-1]).p)
    assert math.isnan(williams_t([], [], []).p)
    with pytest.raises(ValueError, match="equally long"):
        williams_t(x, x[:4], x)
    with pytest.raises(ValueError, match="lie between"):
        williams_t_from_correlations(1.2, 0.5, 0.5, 10)
    with pytest.raises(ValueError, match="no three variables"):
        williams_t_from_correlations(0.9, -0.9, 0.9, 10)


def test_a_randomization_is_the_same_alone_and_beside_others() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, 90)
    arms = [np.where(rng.random((3, 90)) < right, truth, 1 - truth) for right in (0.6, 0.7, 0.8)]
    pairs = [
        (accuracy_sums(truth, arms[0]), accuracy_sums(truth, arms[1])),
        (f1_sums(truth, arms[0]), f1_sums(truth, arms[2])),
        (accuracy_sums(truth[:50], arms[0][:, :50]), accuracy_sums(truth[:50], arms[1][:, :50])),
    ]
    together = approximate_randomizations(pairs, resamples=300, seed=3)
    assert together == tuple(approximate_randomization(*pair, resamples=300, seed=3) for pair in pairs)
    assert len({one.p for one in together}) == 3
