from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.statistics import friedman, nemenyi

# Demsar (2006), Table 6: AUC of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on 14 data sets. The paper's ranks were taken
# before rounding: its mean ranks need the third column ahead of the fourth in the thirteenth row, hence 0.9751 there.
AUC = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)

TABLES = st.integers(2, 8).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=n, max_size=n)
)


def test_friedman_on_demsars_table_is_corrected_for_ties() -> None:
    test = friedman(AUC, blocks="UCI data sets")
    assert test.mean_ranks == pytest.approx((3.143, 2.000, 2.893, 1.964), abs=5e-4)
    assert (test.n, test.treatments, test.blocks) == (14, 4, "UCI data sets")
    assert test.statistic == pytest.approx(10.23, abs=5e-3)
    # What the paper prints is the formula without the correction: 9.28, and F = 3.69 made from it.
    untied = 12 * 14 / (4 * 5) * (np.square(test.mean_ranks).sum() - 4 * 25 / 4)
    assert untied == pytest.approx(9.28, abs=5e-3)
    assert 13 * untied / (14 * 3 - untied) == pytest.approx(3.69, abs=5e-3)


def test_nemenyi_on_demsars_table() -> None:
    at_5, at_10 = (nemenyi(AUC, alpha, blocks="UCI data sets") for alpha in (0.05, 0.10))
    assert at_5.critical_difference == pytest.approx(1.25, abs=5e-3)
    assert at_10.critical_difference == pytest.approx(1.12, abs=5e-3)
    # Section 3.2.2: at .10 C4.5 is worse than C4.5+m and C4.5+m+cf, C4.5+cf belongs to either; at .05 no pair differs
    # by the critical difference.
    assert at_5.groups == ((3, 1, 2, 0),)
    assert at_10.groups == ((3, 1, 2), (2, 0))
    assert at_5.family == 6


@pytest.mark.parametrize(
    ("k", "q_05", "q_10"), [(3, 2.343, 2.052), (4, 2.569, 2.291), (6, 2.850, 2.589), (10, 3.164, 2.920)]
)
def test_critical_values_are_those_of_demsars_table_5(k: int, q_05: float, q_10: float) -> None:
    scores = np.arange(6.0 * k).reshape(6, k)
    for alpha, q in ((0.05, q_05), (0.10, q_10)):
        got = nemenyi(scores, alpha, blocks="rows").critical_difference / math.sqrt(k * (k + 1) / (6 * 6))
        assert got == pytest.approx(q, abs=1e-3)


@given(TABLES)
def test_friedman_equals_scipy_and_ignores_what_does_not_change_ranks(table: list[list[int]]) -> None:
    scores = np.array(table, dtype=float)
    test = friedman(scores, blocks="rows")
    if np.ptp(scores, axis=1).max() == 0:
        assert (test.p, test.statistic, test.note) == (1.0, 0.0, "no difference")
        return
    theirs = stats.friedmanchisquare(*scores.T)
    assert test.statistic == pytest.approx(theirs.statistic, abs=1e-9)
    assert test.p == pytest.approx(theirs.pvalue)
    assert test.p >= test.floor * (1 - 1e-9)
    shifted = scores * 3 + np.arange(len(table))[:, None]
    assert friedman(shifted, blocks="rows").statistic == pytest.approx(test.statistic)
    assert friedman(-scores, blocks="rows", higher_is_better=False).mean_ranks == pytest.approx(test.mean_ranks)
    assert sum(test.mean_ranks) == pytest.approx(10)


@pytest.mark.parametrize(("n", "k"), [(2, 3), (5, 4), (14, 4)])
def test_friedmans_floor_is_reached_by_unanimous_blocks(n: int, k: int) -> None:
    test = friedman(np.tile(np.arange(float(k)), (n, 1)), blocks="rows")
    assert test.statistic == pytest.approx(n * (k - 1))
    assert test.p == pytest.approx(test.floor) == pytest.approx(stats.chi2.sf(n * (k - 1), k - 1))
    assert (test.f, test.f_p) == (math.inf, 0.0)
    assert test.mean_ranks == tuple(range(k, 0, -1))


@given(TABLES)
def test_nemenyis_p_and_critical_difference_agree(table: list[list[int]]) -> None:
    test = nemenyi(table, blocks="rows")
    p, ranks = np.array(test.p), np.array(test.mean_ranks)
    assert (p == p.T).all()
    assert ((p >= 0) & (p <= 1)).all()
    gaps = np.abs(ranks[:, None] - ranks)
    clear = np.abs(gaps - test.critical_difference) > 1e-6
    assert ((p < 0.05) == (gaps > test.critical_difference))[clear].all()
    for group in test.groups:
        assert max(ranks[list(group)]) - min(ranks[list(group)]) < test.critical_difference


def test_nemenyis_p_equals_the_studentised_range() -> None:
    test = nemenyi(AUC, blocks="rows")
    gap = abs(test.mean_ranks[0] - test.mean_ranks[3]) / math.sqrt(4 * 5 / (6 * 14)) * math.sqrt(2)
    assert test.p[0][3] == test.p[3][0] == pytest.approx(stats.studentized_range.sf(gap, 4, 1e9), abs=1e-6)


def test_a_treatment_far_from_all_others_is_in_no_group() -> None:
    rng = np.random.default_rng(0)
    scores = np.column_stack([rng.normal(size=(40, 3)), np.full(40, 99.0)])
    assert 3 not in {i for group in nemenyi(scores, blocks="rows").groups for i in group}


def test_incomplete_blocks_are_left_out() -> None:
    gaps = np.vstack([AUC, [0.9, math.nan, 0.8, 0.7]])
    assert friedman(gaps, blocks="rows") == friedman(AUC, blocks="rows")


def test_without_two_blocks_there_is_no_p() -> None:
    none, one = friedman(np.empty((0, 3)), blocks="rows"), friedman([[1, 2, 3]], blocks="rows")
    assert (none.n, none.note, one.n, one.note) == (0, "no blocks", 1, "one block")
    assert math.isnan(none.p)
    assert math.isnan(one.p)
    assert math.isnan(nemenyi(np.empty((0, 3)), blocks="rows").critical_difference)
    assert nemenyi(np.empty((0, 3)), blocks="rows").groups == ()


@pytest.mark.parametrize("scores", [[1, 2, 3], [[1, 2], [3, 4]]])
def test_a_table_that_is_none_is_refused(scores: list[object]) -> None:
    with pytest.raises(ValueError, match="three or more columns"):
        friedman(scores, blocks="rows")  # type: ignore[arg-type]
