from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from harness.statistics import adjust_rows, over_rows

# Student's sleep data (1908): additional hours of sleep of ten patients under two drugs, the example of R's t.test.
SLEEP = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]) - np.array(
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
)
DISTINCT = st.lists(st.integers(1, 99), min_size=2, max_size=9, unique=True).flatmap(
    lambda sizes: st.tuples(*(st.sampled_from([size, -size]) for size in sizes))
)


def test_rs_printed_figures_of_the_sleep_data() -> None:
    found = over_rows(SLEEP)
    assert found.mean.n == 10
    assert found.mean.mean == pytest.approx(-1.58)
    assert (found.mean.low, found.mean.high) == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)
    assert (found.better, found.worse, found.equal) == (0, 9, 1)
    # All nine that differ have one sign: both tests are at their floor.
    assert found.wilcoxon.p == found.wilcoxon.floor == found.sign.p == found.sign.floor == 2.0**-8


@given(DISTINCT)
def test_each_part_is_what_scipy_says(deltas: tuple[int, ...]) -> None:
    found = over_rows(deltas)
    positive = sum(delta > 0 for delta in deltas)
    assert found.wilcoxon.p == pytest.approx(min(1.0, stats.wilcoxon(deltas, method="exact").pvalue))
    assert found.sign.p == pytest.approx(stats.binomtest(positive, len(deltas)).pvalue)
    assert (found.better, found.worse, found.equal) == (positive, len(deltas) - positive, 0)
    interval = stats.ttest_1samp(deltas, 0).confidence_interval(0.95)
    assert (found.mean.low, found.mean.high) == pytest.approx((interval.low, interval.high))
    assert found.wilcoxon.level == found.sign.level == "models"


@given(st.lists(st.integers(-3, 3), max_size=9))
def test_every_row_is_better_worse_or_equal(deltas: list[int]) -> None:
    found = over_rows([*deltas, math.nan, math.inf])
    assert found.better + found.worse + found.equal == len(deltas) == found.mean.n == found.wilcoxon.n == found.sign.n
    turned = over_rows([-delta for delta in deltas])
    assert (turned.better, turned.worse, turned.equal) == (found.worse, found.better, found.equal)
    assert turned.wilcoxon.p == pytest.approx(found.wilcoxon.p, nan_ok=True)


def test_rounding_is_no_difference() -> None:
    found = over_rows([0.3 - 0.2 - 0.1, 0.02, -0.01])
    assert (found.better, found.worse, found.equal) == (1, 1, 1)


def test_the_level_is_that_of_the_intervals() -> None:
    wide, narrow = over_rows(SLEEP, 0.01), over_rows(SLEEP, 0.2)
    for part in ("mean", "wilcoxon", "sign"):
        outer, inner = getattr(wide, part), getattr(narrow, part)
        assert (outer.alpha, inner.alpha) == (0.01, 0.2)
        assert outer.high - outer.low > inner.high - inner.low


@pytest.mark.parametrize(("deltas", "p"), [([], math.nan), ([0.4], 1.0), ([0.0, 0.0], 1.0)])
def test_few_rows_show_nothing(deltas: list[float], p: float) -> None:
    found = over_rows(deltas)
    assert (found.wilcoxon.p, found.sign.p) == pytest.approx((p, p), nan_ok=True)
    assert found.wilcoxon.verdict() == "cannot tell"
    assert found.mean.n == len(deltas)


def test_the_two_tests_are_families_of_their_own() -> None:
    tables = [SLEEP, [0.1, 0.2, -0.3, 0.5, 0.9, 1.1], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], []]
    raw = [over_rows(deltas) for deltas in tables]
    found = adjust_rows(raw)
    for part in ("wilcoxon", "sign"):
        p = [getattr(one, part).p for one in raw[:3]]
        adjusted = [getattr(one, part) for one in found]
        assert [one.adjusted for one in adjusted[:3]] == pytest.approx(multipletests(p, method="holm")[1])
        assert [one.q for one in adjusted[:3]] == pytest.approx(multipletests(p, method="fdr_bh")[1])
        assert {one.family for one in adjusted} == {3}, "a test that was not made does not count"
        assert math.isnan(adjusted[3].adjusted)
    assert [one.mean for one in found[:3]] == [one.mean for one in raw[:3]]
    assert adjust_rows([]) == ()


@given(st.lists(st.lists(st.integers(-4, 4), min_size=2, max_size=12), min_size=1, max_size=8))
def test_what_holm_rejects_is_never_untold(tables: list[list[int]]) -> None:
    for one in adjust_rows([over_rows(deltas) for deltas in tables]):
        test = one.wilcoxon
        assert test.adjusted is not None
        assert (test.verdict() == "rejected") == (test.adjusted < 0.05)
        assert test.reach is not None
        assert test.adjusted >= test.reach - 1e-12
        assert (test.verdict() == "cannot tell") == (test.adjusted >= 0.05 and not test.reach < 0.05)


def test_a_small_table_beside_large_ones_can_be_told() -> None:
    large = [over_rows([0.01 * i for i in range(1, 13)]) for _ in range(7)]
    small = adjust_rows([*large, over_rows([0.01 * i for i in range(1, 9)])])[-1]
    assert small.wilcoxon.adjusted == small.wilcoxon.p == 2.0**-7  # the last of eight in Holm's order
    assert small.wilcoxon.verdict() == "rejected"


def test_equal_questions_count_once() -> None:
    one, other = over_rows([0.1, 0.2, 0.3]), over_rows([0.1, -0.2, 0.3])
    first, again, last = adjust_rows([one, one, other], ["a", "a", "b"])
    assert (first.wilcoxon.family, last.wilcoxon.family) == (2, 2)
    assert first == again
