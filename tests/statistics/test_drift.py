from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.statistics import detectable_drift, drift, drift_margin, holm, two_sample_p
from harness.statistics.arrays import FloatArray

# The package has a function of the same name.
MODULE: Any = importlib.import_module("harness.statistics.drift")

LEVEL = 0.01
NUMBERS = st.floats(-10, 10).map(lambda value: round(value, 6))
SHIFTS = [-2.5, -1.0, -0.3, 0.0, 0.8, 2.0]


@pytest.fixture(scope="module", autouse=True)
def fewer_draws() -> Iterator[None]:
    """A tenth of the draws: a Monte Carlo table of unequal numbers then takes 0.3 s, not 4 s; .01 is good to 3 %."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "DRIFT_DRAWS", 100_000)
        MODULE._skewed_table.cache_clear()
        yield
    MODULE._skewed_table.cache_clear()


def sample(n: int, seed: int, scale: float = 1.0) -> FloatArray:
    return np.random.default_rng([seed, n]).normal(0.8, 0.01 * scale, n)


def as_wide_as(old: FloatArray, new: FloatArray) -> FloatArray:
    """Scale the new values about their mean to a spread that leaves no choice but the pooled t."""
    return np.asarray((new - new.mean()) * (old.std() / new.std()) + new.mean())


def scipys_p(old: FloatArray, new: FloatArray, *, better: bool = False, equal_var: bool = True) -> float:
    side = "greater" if better else "less"
    return float(stats.ttest_ind(new, old, equal_var=equal_var, alternative=side).pvalue)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("n", [2, 5, 10])
def test_as_many_strangers_on_both_sides_get_scipys_one_sided_pooled_t(n: int, shift: float) -> None:
    old = sample(n, 1)
    new = as_wide_as(old, sample(n, 2)) + 0.01 * shift
    got = drift(old, new, paired=False)
    assert (got.method, got.n_reference, got.n_new) == ("pooled t", n, n)
    assert got.difference == pytest.approx(new.mean() - old.mean())
    assert got.p_worse == pytest.approx(scipys_p(old, new), rel=1e-9)
    assert got.p_better == pytest.approx(scipys_p(old, new, better=True), rel=1e-9)
    assert got.p_worse == two_sample_p(old, new)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize(("n", "m"), [(10, 5), (5, 3)])
def test_unequal_numbers_get_a_p_that_is_scipys_or_up_to_six_times_it(n: int, m: int, shift: float) -> None:
    old = sample(n, 3)
    new = as_wide_as(old, sample(m, 4)) + 0.01 * shift
    got = drift(old, new, paired=False)
    assert got.method == "pooled t"
    for p, normal in ((got.p_worse, scipys_p(old, new)), (got.p_better, scipys_p(old, new, better=True))):
        assert p >= normal * (1 - 1e-9)
        assert p <= 6 * normal or normal < 1e-3


@pytest.mark.parametrize("n", [5, 8])
def test_very_different_spreads_get_scipys_welch_t_where_its_p_is_larger(n: int) -> None:
    old, new = sample(n, 5), sample(n, 6, scale=5) - 0.04
    got = drift(old, new, paired=False)
    assert got.method == "Welch t"
    assert got.p_worse == pytest.approx(scipys_p(old, new, equal_var=False), rel=1e-9)
    assert got.p_worse > scipys_p(old, new)
    # On the other side the pooled p is the larger one.
    assert got.p_better == pytest.approx(scipys_p(old, new, better=True), rel=1e-9)


@pytest.mark.parametrize("t", [-1.0, -2.0, -3.0, -4.0])
def test_one_new_run_is_held_against_the_textbook_prediction_limit(t: float) -> None:
    old = np.array([0.81, 0.79, 0.80, 0.82, 0.775])
    new = old.mean() + t * old.std(ddof=1) * math.sqrt(1 + 1 / 5)
    got = drift(old, [new], paired=False)
    assert got.method == "prediction limit"
    ((part,),) = got.tests
    assert part == pytest.approx((old.std(ddof=1) * math.sqrt(6 / 5), 4))
    normal = float(stats.t.cdf(t, 4))
    assert normal <= got.p_worse <= 10 * normal


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=8))
def test_pairs_get_twice_the_smaller_of_scipys_paired_and_pooled_p(pairs: list[tuple[float, float]]) -> None:
    old, new = np.array(pairs).T
    assume(min(np.std(new - old), np.std(old), np.std(new)) > 1e-3)
    assume(max(old.var(), new.var()) < 4 * min(old.var(), new.var()))
    got = drift(old, new, paired=True)
    wanted = min(float(stats.ttest_rel(new, old, alternative="less").pvalue), scipys_p(old, new))
    assert got.p_worse == pytest.approx(min(1.0, 2 * wanted), rel=1e-6, abs=1e-14)
    assert got.method in {"paired t", "pooled t"}


def test_pairs_see_what_strangers_do_not_and_the_other_way_round() -> None:
    old = np.array([0.70, 0.75, 0.80, 0.85, 0.90])
    alike = drift(old, old - [0.010, 0.011, 0.009, 0.010, 0.0105], paired=True)
    assert alike.method == "paired t"
    assert alike.p_worse < 1e-4 < scipys_p(old, old - 0.01)
    crossed = drift(old, old[::-1] - 0.3, paired=True)
    assert crossed.method == "pooled t"
    assert len(crossed.tests) == 2


@pytest.mark.parametrize("paired", [False, True])
def test_without_a_spread_the_sign_of_the_difference_is_all_there_is(paired: bool) -> None:
    same, less = [0.5] * 5, [0.4] * 5
    equal, lost, won = (drift(a, b, paired=paired) for a, b in ((same, same), (same, less), (less, same)))
    assert (equal.method, equal.difference, equal.p_worse, equal.p_better) == ("identical", 0.0, 1.0, 1.0)
    assert (lost.method, lost.p_worse, lost.p_better) == ("constant", 0.0, 1.0)
    assert (won.method, won.p_worse, won.p_better) == ("constant", 1.0, 0.0)
    assert drift_margin(lost, LEVEL) == drift_margin(equal, LEVEL) == 0.0


def test_equal_deltas_of_pairs_are_constant_but_for_rounding() -> None:
    old = np.array([0.1, 0.2, 0.3, 0.7, 0.9])
    assert drift(old, old, paired=True).method == "identical"
    assert drift(old, old - 0.1, paired=True).method == "constant"
    assert drift(old, old + 1e-12, paired=True).method == "identical"


def test_values_that_are_not_finite_are_left_out_with_their_partner() -> None:
    old, new = [0.8, 0.81, math.nan, 0.79, 0.82], [0.7, math.inf, 0.75, 0.72, 0.71]
    pairs = drift(old, new, paired=True)
    assert (pairs.n_reference, pairs.n_new) == (3, 3)
    assert pairs == drift([0.8, 0.79, 0.82], [0.7, 0.72, 0.71], paired=True)
    strangers = drift(old, new, paired=False)
    assert strangers == drift([0.8, 0.81, 0.79, 0.82], [0.7, 0.75, 0.72, 0.71], paired=False)


@pytest.mark.parametrize(
    ("old", "new", "paired"),
    [
        *(([], [], True), ([1.0], [2.0], True), ([1.0, math.nan], [1.5, 2.0], True)),
        *(([1.0], [2.0, 3.0], False), ([1.0, 2.0], [], False), ([], [1.0], False), ([1.0, 2.0], [math.nan], False)),
    ],
)
def test_too_few_values_give_no_p(old: list[float], new: list[float], paired: bool) -> None:
    got = drift(old, new, paired=paired)
    assert got.method == "none"
    assert math.isnan(got.p_worse)
    assert math.isnan(got.p_better)
    assert math.isnan(drift_margin(got, LEVEL))


def test_one_pair_without_a_difference_is_identical() -> None:
    assert drift([0.5], [0.5], paired=True).method == "identical"


def test_pairs_must_be_as_many_on_both_sides() -> None:
    with pytest.raises(ValueError, match="5 and 4"):
        drift([1.0] * 5, [1.0] * 4, paired=True)


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=5, max_size=5), st.lists(NUMBERS, min_size=3, max_size=5), st.booleans())
def test_turning_all_signs_swaps_worse_and_better(old: list[float], new: list[float], paired: bool) -> None:
    old = old[: len(new)] if paired else old
    plain, turned = drift(old, new, paired=paired), drift(-np.array(old), -np.array(new), paired=paired)
    assert turned.p_worse == pytest.approx(plain.p_better, rel=1e-9)
    assert turned.p_better == pytest.approx(plain.p_worse, rel=1e-9)
    assert turned.difference == pytest.approx(-plain.difference)
    if plain.tests:
        assert plain.p_worse + plain.p_better >= 1 - 1e-9
        assert max(plain.p_worse, plain.p_better) <= 1


@settings(deadline=None)
@given(
    st.lists(st.integers(-50, 50), min_size=5, max_size=5),
    st.lists(st.integers(-50, 50), min_size=3, max_size=5),
    st.integers(-1000, 1000),
    st.sampled_from([0.01, 0.5, 3.0, 100.0]),
    st.booleans(),
)
def test_neither_a_shift_nor_a_scale_of_all_values_changes_p(
    old: list[int], new: list[int], by: int, scale: float, paired: bool
) -> None:
    old = old[: len(new)] if paired else old
    plain = drift(old, new, paired=paired)
    moved = drift(scale * (np.array(old) + by), scale * (np.array(new) + by), paired=paired)
    # At the edge between the pooled and Welch's t rounding decides, where the variances differ by just 4.
    ratio = sorted(np.var(one, ddof=1) for one in (old, new))
    assume(abs(ratio[1] - 4 * ratio[0]) > 1e-6)
    assert moved.p_worse == pytest.approx(plain.p_worse, rel=1e-6, abs=1e-12)
    assert moved.p_better == pytest.approx(plain.p_better, rel=1e-6, abs=1e-12)
    assert moved.difference == pytest.approx(scale * plain.difference, abs=1e-9)


@pytest.mark.parametrize(("n", "m"), [(5, 1), (10, 5)])
@pytest.mark.parametrize("turned", [False, True])
def test_noise_with_tails_raises_no_more_alarms_than_the_level_says(n: int, m: int, turned: bool) -> None:
    rng = np.random.default_rng([11, n, m])
    draws = 4_000
    noise = rng.standard_exponential((draws, n + m)) * (-1 if turned else 1)
    found = [drift(row[:n], row[n:], paired=False) for row in noise]
    assert np.mean([one.p_worse < LEVEL for one in found]) < 0.014
    assert np.mean([one.p_better < LEVEL for one in found]) < 0.014


def test_the_normal_theory_alone_would_raise_several_times_as_many() -> None:
    noise = np.random.default_rng(12).standard_exponential((20_000, 6))
    old, new = noise[:, :5], noise[:, 5]
    limit = (new - old.mean(1)) / (old.std(1, ddof=1) * math.sqrt(6 / 5))
    assert np.mean(stats.t.sf(limit, 4) < LEVEL) > 0.03


@pytest.mark.parametrize("level", [0.01, 0.001])
@pytest.mark.parametrize(
    ("n", "m", "paired", "rtol"),
    [(5, 5, False, 1e-6), (5, 5, True, 1e-6), (10, 5, False, 5e-3), (5, 1, False, 5e-3), (10, 10, False, 1e-6)],
)
def test_a_loss_of_just_the_margin_has_the_p_that_was_asked_for(
    n: int, m: int, paired: bool, rtol: float, level: float
) -> None:
    old, new = sample(n, 7), sample(m, 8)
    if m > 1:
        new = as_wide_as(old, new)
    margin = drift_margin(drift(old, new, paired=paired), level)
    assert margin > 0
    at = drift(old, new - new.mean() + old.mean() - margin, paired=paired)
    assert at.p_worse == pytest.approx(level, rel=rtol)


def test_the_margin_of_welchs_t_is_that_of_scipy() -> None:
    old, new = sample(6, 9), sample(6, 10, scale=6) - 0.1
    found = drift(old, new, paired=False)
    assert found.method == "Welch t"
    at = new - new.mean() + old.mean() - drift_margin(found, LEVEL)
    assert scipys_p(old, at, equal_var=False) == pytest.approx(LEVEL, rel=1e-6)


@pytest.mark.parametrize("paired", [False, True])
def test_the_margin_does_not_hang_on_whether_the_new_runs_are_better(paired: bool) -> None:
    old, new = np.sort(sample(5, 9)), -np.sort(-sample(5, 10, scale=6))
    better = new - new.mean() + old.mean() + 0.01
    worse = better - 0.05
    margins = [drift_margin(drift(old, one, paired=paired), LEVEL) for one in (better, worse)]
    assert margins[0] == pytest.approx(margins[1], rel=1e-9)
    assert drift(old, better - 0.01 - margins[0], paired=paired).p_worse == pytest.approx(LEVEL, rel=1e-6)


def power_of_the_pooled_t(shift: float, n: int, level: float) -> float:
    df = 2 * n - 2
    power = float(stats.nct.sf(stats.t.isf(level, df), df, shift * math.sqrt(n / 2)))
    assert math.isfinite(power)
    return power


@pytest.mark.parametrize("level", [0.01, 0.01 / 7])
@pytest.mark.parametrize("power", [0.8, 0.5])
@pytest.mark.parametrize("n", [5, 10, 20])
def test_what_strangers_can_see_agrees_with_the_noncentral_t(n: int, power: float, level: float) -> None:
    low, high = 0.0, 40.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if power_of_the_pooled_t(middle, n, level) < power else (low, middle)
    # Where the spreads differ by chance Welch's t asks for more than the pooled one: with five runs, in one of five.
    got = detectable_drift(n, n, level, paired=False, power=power)
    assert 0.98 <= got / low <= (1.08 if n == 5 else 1.03)


def simulated_power(n: int, m: int, level: float, shift: float, *, paired: bool) -> float:
    """How often `drift` finds a loss of so many standard deviations."""
    rng = np.random.default_rng([14, n, m])
    noise = rng.standard_normal((3_000, n + m))
    found = [drift(row[:n], row[n:] - shift, paired=paired).p_worse < level for row in noise]
    return float(np.mean(found))


@pytest.mark.parametrize(("n", "m", "paired"), [(10, 10, False), (10, 5, False), (5, 1, False), (20, 20, True)])
def test_drift_finds_what_is_called_detectable_as_often_as_promised(n: int, m: int, paired: bool) -> None:
    shift = detectable_drift(n, m, LEVEL, paired=paired)
    assert simulated_power(n, m, LEVEL, shift, paired=paired) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("n", "m", "paired", "level"),
    [(3, 3, False, 0.01), (3, 3, True, 0.01), (5, 5, False, 0.01 / 7), (5, 5, True, 0.01 / 7), (10, 2, False, 0.01)],
)
def test_drift_finds_what_is_called_detectable_with_few_runs(n: int, m: int, paired: bool, level: float) -> None:
    shift = detectable_drift(n, m, level, paired=paired)
    assert simulated_power(n, m, level, shift, paired=paired) >= 0.785


def test_the_projects_aims_are_met() -> None:
    assert 2.35 <= detectable_drift(5, 5, LEVEL, paired=False) <= 2.55
    assert 1.85 <= detectable_drift(10, 5, LEVEL, paired=False) <= 2.05


def test_one_new_run_and_a_larger_family_see_less() -> None:
    five = detectable_drift(5, 5, LEVEL, paired=False)
    assert detectable_drift(5, 1, LEVEL, paired=False) > 2 * five
    assert detectable_drift(5, 5, LEVEL / 84, paired=False) > 1.5 * five
    assert detectable_drift(5, 5, LEVEL, paired=False, power=0.95) > five
    assert detectable_drift(5, 5, LEVEL, paired=True) > 0.9 * five


@pytest.mark.parametrize("paired", [False, True])
def test_a_floor_beyond_everything_is_what_a_loss_must_pass(paired: bool) -> None:
    # The mean of the difference passes the floor, 80 times in 100: by the quantile of a normal distribution.
    wanted = 50 + stats.norm.ppf(0.8) * math.sqrt(2 / 5)
    assert detectable_drift(5, 5, LEVEL, paired=paired, floor=50.0) == pytest.approx(wanted, rel=1e-3)
    assert detectable_drift(5, 5, LEVEL, paired=paired, floor=0.01) == detectable_drift(5, 5, LEVEL, paired=paired)


@pytest.mark.parametrize(("n", "m"), [(1, 5), (0, 0), (5, 0)])
def test_too_few_runs_can_see_nothing(n: int, m: int) -> None:
    assert math.isnan(detectable_drift(n, m, LEVEL, paired=False))


@pytest.mark.parametrize(("level", "power"), [(0.0, 0.8), (0.5, 0.8), (0.1, 0.05), (0.1, 1.0)])
def test_levels_and_powers_that_make_no_sense_are_refused(level: float, power: float) -> None:
    with pytest.raises(ValueError, match="level and power"):
        detectable_drift(5, 5, level, paired=False, power=power)


def test_pairs_of_unequal_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="5 and 4"):
        detectable_drift(5, 4, LEVEL, paired=True)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.2, 8), st.integers(2, 84))
def test_a_loss_beyond_its_share_of_the_margin_survives_holm_beside_anything(beyond: float, family: int) -> None:
    old = sample(5, 13)
    new = sample(5, 14)
    margin = drift_margin(drift(old, new, paired=True), LEVEL / family)
    at = drift(old, new - new.mean() + old.mean() - margin * (1 + beyond), paired=True)
    assert holm([at.p_worse, *[1.0] * (family - 1)])[0] < LEVEL
