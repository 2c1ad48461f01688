from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.statistics import MAX_WILCOXON, Alternative, sign_flip, sign_test, wilcoxon
from harness.statistics.arrays import tied_ranks

# Hollander and Wolfe (1973), p. 29: depression scores of nine patients at two visits, the example of R's wilcox.test.
FIRST = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
SECOND = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])

ALTERNATIVES: tuple[Alternative, ...] = ("two-sided", "greater", "less")
DELTAS = st.lists(st.integers(-6, 6), min_size=1, max_size=10)


def enumerated_p(deltas: list[int], alternative: str) -> float:
    """Wilcoxon's p by writing down every sign pattern of the observed mid-ranks."""
    kept = np.array([d for d in deltas if d])
    if kept.size == 0:
        return 1.0
    ranks = stats.rankdata(np.abs(kept))
    sums = np.array([ranks[np.array(pattern)].sum() for pattern in product((False, True), repeat=kept.size)])
    observed = ranks[kept > 0].sum()
    above, below = np.mean(sums >= observed), np.mean(sums <= observed)
    return float({"greater": above, "less": below, "two-sided": min(1.0, 2 * min(above, below))}[alternative])


def test_wilcoxon_gives_rs_printed_figures_of_the_depression_data() -> None:
    test = wilcoxon(FIRST - SECOND, alternative="greater")
    assert test.statistic == test.w_plus == 40
    assert test.w_minus == 5
    assert test.p == pytest.approx(0.01953, abs=5e-6)
    assert test.floor == 2.0**-9
    # In the book, with the sign turned: estimate -0.46, and the 96.1 % interval (-0.786, -0.010).
    assert test.estimate == pytest.approx(0.46, abs=5e-3)
    assert wilcoxon(FIRST - SECOND, alpha=0.04).low == pytest.approx(0.010, abs=5e-4)
    assert wilcoxon(FIRST - SECOND, alpha=0.04).high == pytest.approx(0.786, abs=5e-4)


def test_scipy_reports_the_smaller_rank_sum_two_sided_and_the_same_p() -> None:
    ours, theirs = wilcoxon(FIRST - SECOND), stats.wilcoxon(FIRST - SECOND, method="exact")
    assert theirs.statistic == min(ours.w_plus, ours.w_minus) != ours.statistic
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-12)


@given(DELTAS, st.sampled_from(ALTERNATIVES))
def test_wilcoxon_is_exact_with_ties_and_zeros(deltas: list[int], alternative: Alternative) -> None:
    test = wilcoxon(deltas, alternative=alternative)
    assert test.p == pytest.approx(enumerated_p(deltas, alternative), rel=1e-12)
    assert test.p >= test.floor * (1 - 1e-12)
    assert test.zeros == deltas.count(0)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 14, 60])
def test_floors_are_reached_when_all_deltas_agree_and_known_in_closed_form(n: int) -> None:
    same_sign = np.arange(1, n + 1)
    for test in (wilcoxon(same_sign), sign_test(same_sign), sign_test(-same_sign), sign_flip(same_sign)):
        assert test.floor == min(1.0, 2 / 2**n)
        assert math.isnan(test.p) or test.p == pytest.approx(test.floor, rel=1e-12)
    for one_sided in (wilcoxon(same_sign, alternative="greater"), sign_test(same_sign, alternative="greater")):
        assert one_sided.p == pytest.approx(one_sided.floor, rel=1e-12) == 2.0**-n


@pytest.mark.parametrize("n", [30, 120])
def test_wilcoxon_equals_scipys_exact_test_for_many(n: int) -> None:
    deltas = np.random.default_rng(n).normal(0.1, 1, n)
    for alternative in ALTERNATIVES:
        theirs = stats.wilcoxon(deltas, method="exact", alternative=alternative)
        assert wilcoxon(deltas, alternative=alternative).p == pytest.approx(theirs.pvalue, rel=1e-9)


@given(DELTAS)
def test_turning_all_signs_keeps_the_two_sided_p_and_mirrors_the_interval(deltas: list[int]) -> None:
    for function in (wilcoxon, sign_test):
        plain, turned = function(deltas), function([-d for d in deltas])
        assert plain.p == pytest.approx(turned.p)
    ours, mirrored = wilcoxon(deltas), wilcoxon([-d for d in deltas])
    assert [ours.estimate, ours.low, ours.high] == pytest.approx(
        [-mirrored.estimate, -mirrored.high, -mirrored.low], nan_ok=True
    )


@given(st.lists(st.integers(-10_000, 10_000), min_size=6, max_size=9, unique_by=abs), st.integers(0, 20))
def test_the_hodges_lehmann_interval_holds_the_shifts_that_are_not_rejected(deltas: list[int], step: int) -> None:
    test = wilcoxon(deltas)
    inside = test.low + (test.high - test.low) * (step + 0.5) / 21.013
    assert wilcoxon(np.array(deltas) - inside).p > 0.05
    for outside in (test.low - 0.01, test.high + 0.01):
        assert wilcoxon(np.array(deltas) - outside).p <= 0.05


def test_few_deltas_have_no_interval_and_no_verdict() -> None:
    test = wilcoxon([1.0, 2.0, 3.0, 4.0, 5.0])
    assert math.isnan(test.low)
    assert test.estimate == 3.0
    assert test.verdict() == "cannot tell"
    assert wilcoxon([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).verdict() == "rejected"
    assert wilcoxon([1.0, -2.0, 3.0, -4.0, 5.0, 6.0]).verdict() == "not rejected"


def test_deltas_of_printed_numbers_tie_as_on_paper() -> None:
    deltas = np.array([0.3 - 0.1, 0.9 - 0.7, 0.3 - 0.5, 0.2 - 0.1])
    assert len(set(np.abs(deltas))) == 4  # in binary none of them tie
    assert tied_ranks(np.abs(deltas)).tolist() == [3, 3, 3, 1]
    assert wilcoxon(deltas).w_minus == 3
    assert wilcoxon([*deltas, 85.3 - 85.2 - 0.1]).zeros == 1


@given(st.lists(st.integers(-5, 5)))
def test_tied_ranks_are_scipys(values: list[int]) -> None:
    assert tied_ranks(np.array(values, dtype=float)) == pytest.approx(stats.rankdata(values))


def test_sign_test_equals_the_binomial() -> None:
    test = sign_test([1, 2, 3, -1, 0, 5, 7, math.nan])
    theirs = stats.binomtest(5, 6)
    assert (test.n, test.zeros, test.positive, test.statistic) == (7, 1, 5, 5)
    assert test.p == pytest.approx(theirs.pvalue) == pytest.approx(0.21875)
    assert (test.low, test.high) == pytest.approx(tuple(theirs.proportion_ci()))


@pytest.mark.parametrize("function", [wilcoxon, sign_test])
def test_the_edges_are_defined(function: Any) -> None:
    nothing, equal = function([math.nan]), function([0.0, 0.0])
    assert (nothing.n, nothing.note) == (0, "no pairs")
    assert math.isnan(nothing.p)
    assert math.isnan(nothing.floor)
    assert (equal.n, equal.p, equal.floor, equal.note) == (2, 1.0, 1.0, "no difference")
    assert function([1.0], level="seeds").level == "seeds"
    with pytest.raises(ValueError, match="alternative"):
        function([1.0], alternative="both")
    with pytest.raises(ValueError, match="alpha"):
        function([1.0], alpha=0.0)


def test_too_many_deltas_have_no_exact_wilcoxon() -> None:
    test = wilcoxon(np.arange(1.0, MAX_WILCOXON + 2))
    assert math.isnan(test.p)
    assert "too many" in test.note
