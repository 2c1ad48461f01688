from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.metrics import compute
from harness.spec import Convention, Task
from harness.statistics import (
    ItemSums,
    TwoLevel,
    accuracy_sums,
    correlation_sums,
    f1_sums,
    mean_interval,
    mean_sums,
    paired_t,
    two_level_bootstrap,
    two_level_bootstraps,
)
from harness.statistics.bootstrap import _item_counts, _seed_draws
from harness.tallies import tallies

KINDS: tuple[tuple[Task, Convention], ...] = (
    ("regression", "mosei"),
    ("regression", "sims"),
    ("classification", "sims"),
)


def drawn(
    task: Task, convention: Convention, seeds: int, items: int, seed: int = 0
) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng([seed, items])
    if task == "classification":
        return rng.integers(0, 3, items), rng.normal(size=(seeds, items, 3)).astype(np.float32)
    label: NDArray[Any] = np.round(rng.normal(0, 1.2, items), 1).clip(-3, 3).astype(np.float32)
    if convention == "sims":
        label = label / 3
    return label, (label + rng.normal(0, 0.7, (seeds, items))).astype(np.float32)


@pytest.mark.parametrize(("task", "convention"), KINDS)
def test_every_metric_of_the_harness_is_a_function_of_sums(task: Task, convention: Convention) -> None:
    label, pred = drawn(task, convention, 3, 211)
    sums = tallies(task, convention, label, pred)
    wanted = [compute(task, convention, label, one) for one in pred]
    assert set(sums) == set(wanted[0])
    for name, metric in sums.items():
        assert metric.values() == pytest.approx([one[name].value for one in wanted], rel=1e-6), name


@pytest.mark.parametrize(("task", "convention"), KINDS)
def test_the_bootstrap_equals_a_loop_over_the_metric_functions(task: Task, convention: Convention) -> None:
    label, baseline = drawn(task, convention, 4, 61)
    variant: NDArray[Any] = baseline[::-1] * np.float32(0.8)
    sums, others = (tallies(task, convention, label, pred) for pred in (baseline, variant))
    got = two_level_bootstraps([(sums[name], others[name]) for name in sums], resamples=300)
    looped: dict[str, list[float]] = {name: [] for name in sums}
    for rows, counts in _item_counts(61, 300, 0):
        for count, weights in zip(counts, _seed_draws({4}, 300, 0)[4][rows], strict=True):
            items = np.repeat(np.arange(61), count.astype(int))
            scores = [[compute(task, convention, label[items], p[items]) for p in arm] for arm in (baseline, variant)]
            for name, deltas in looped.items():
                before, after = (np.array([one[name].value for one in arm]) for arm in scores)
                deltas.append(float(weights @ (after - before)))
    for result, deltas in zip(got, looped.values(), strict=True):
        kept = np.array(deltas)[np.isfinite(deltas)]
        assert result.undefined == 300 - kept.size
        bounds = (result.bootstrap_low, result.bootstrap_high)
        assert bounds == pytest.approx(tuple(np.quantile(kept, [0.025, 0.975])), rel=1e-5, abs=1e-6)


def test_intervals_do_not_depend_on_what_else_is_in_the_call() -> None:
    label, pred = drawn("regression", "mosei", 4, 300)
    sums = list(tallies("regression", "mosei", label, pred).values())
    together = two_level_bootstraps([(one, None) for one in sums], resamples=400)
    assert together[3] == two_level_bootstrap(sums[3], resamples=400)
    assert together[3] != two_level_bootstrap(sums[3], resamples=400, seed=1)
    assert two_level_bootstraps([]) == ()


def test_item_counts_are_resamples_and_seed_draws_weights() -> None:
    counts = np.concatenate([block for _, block in _item_counts(50, 600, 0)])
    assert counts.shape == (600, 50)
    assert (counts.sum(axis=1) == 50).all()
    assert counts.var() == pytest.approx(1 - 1 / 50, rel=0.05)
    weights = _seed_draws({5}, 600, 0)[5]
    assert weights.sum(axis=1) == pytest.approx(np.ones(600))


def test_with_item_noise_alone_the_interval_is_the_plain_bootstrap() -> None:
    hits = np.random.default_rng(0).random(400) < 0.8
    got = two_level_bootstrap(mean_sums(np.tile(hits, (5, 1))), resamples=5000)
    error = hits.std() / 20
    assert (got.seed_share, got.method) == (0.0, "two-level bootstrap")
    assert (got.low, got.high) == pytest.approx((hits.mean() - 1.96 * error, hits.mean() + 1.96 * error), abs=0.004)


def test_where_seeds_dominate_the_t_interval_takes_over_and_says_so() -> None:
    rng = np.random.default_rng(0)
    level = np.array([0.2, 0.4, 0.6, 0.8, 0.9])
    sums = mean_sums(rng.random((5, 4000)) < level[:, None])
    got = two_level_bootstrap(sums, resamples=500)
    student = mean_interval(sums.values())
    assert got.method == "t over seeds"
    assert "t interval over seeds" in got.note
    assert got.seed_share > 0.95
    assert (got.low, got.high) == (got.t_low, got.t_high) == (student.low, student.high)
    assert got.bootstrap_low > got.low


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(2, 6))
def test_swapping_the_arms_mirrors_the_interval(seed: int, seeds: int) -> None:
    label, pred = drawn("regression", "mosei", 2 * seeds, 40, seed)
    first, second = (mean_sums(np.abs(label - arm)) for arm in (pred[:seeds], pred[seeds:]))
    there, back = (two_level_bootstrap(*pair, resamples=99) for pair in ((first, second), (second, first)))
    assert there.mean == pytest.approx(-back.mean)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.low <= there.high
    test = paired_t(second.values() - first.values())
    assert (there.t_low, there.t_high) == pytest.approx((test.low, test.high))


def test_equal_arms_have_an_interval_of_zero() -> None:
    label, pred = drawn("regression", "mosei", 3, 50)
    got = two_level_bootstrap(correlation_sums(label, pred), correlation_sums(label, pred.copy()), resamples=50)
    assert (got.mean, got.low, got.high) == (0.0, 0.0, 0.0)
    assert math.isnan(got.seed_share)


def test_a_seed_without_a_value_is_left_out() -> None:
    label, pred = drawn("regression", "mosei", 4, 80)
    broken = pred.copy()
    broken[1, 7] = np.nan
    for make in (correlation_sums, lambda x, y: mean_sums(np.abs(x - y)), accuracy_sums, f1_sums):
        got, without = (two_level_bootstrap(make(label, arm), resamples=50) for arm in (broken, pred[[0, 2, 3]]))
        assert got.n == 3
        assert got == without


def test_one_seed_or_none_has_no_interval() -> None:
    one = two_level_bootstrap(mean_sums([0.0, 1.0, 1.0]), resamples=50)
    assert (one.n, one.method) == (1, "none")
    assert one.mean == pytest.approx(2 / 3)
    assert "one seed" in one.note
    none = two_level_bootstrap(mean_sums([[math.nan, 1.0], [math.nan, 0.0]]), resamples=50)
    assert none.n == 0
    for got in (one, none):
        assert math.isnan(got.low)
        assert math.isnan(got.bootstrap_low)


def test_resamples_without_a_value_are_counted_and_left_out() -> None:
    # One of three items is kept: about (2/3)^3 of the resamples hold none of it.
    got = two_level_bootstrap(mean_sums([[5.0, 1.0, 1.0]] * 2, keep=[True, False, False]), resamples=2000)
    assert got.undefined / 2000 == pytest.approx(8 / 27, abs=0.04)
    assert (got.low, got.high) == (5.0, 5.0)


def test_metrics_that_are_not_defined_are_nan() -> None:
    assert np.isnan(mean_sums([1.0, 2.0], keep=[False, False]).values()).all()
    assert np.isnan(f1_sums([0, 1], [0, 1], keep=[False, False]).values()).all()
    assert np.isnan(correlation_sums([1.0, 2.0, 3.0], [0.1, 0.1, 0.1]).values()).all()
    assert np.isnan(correlation_sums([0.1, 0.1, 0.1], [1.0, 2.0, 3.0]).values()).all()
    assert f1_sums([0, 0], [1, 1]).values() == [0.0]


def test_correlation_does_not_cancel_far_from_zero() -> None:
    label, pred = drawn("regression", "mosei", 2, 100)
    far = correlation_sums(label.astype(float) + 1e7, pred.astype(float) + 1e7)
    assert far.values() == pytest.approx(correlation_sums(label, pred).values(), rel=1e-6)


@pytest.mark.parametrize(("seed_sd", "method"), [(0.5, "bootstrap"), (2.5, "bootstrap"), (6.0, "shown")])
def test_intervals_cover_the_truth(seed_sd: float, method: str) -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(150):
        skill = rng.normal(0, seed_sd / 100, (2, 5, 1))
        difficulty = rng.beta(4, 1.1, 457)
        baseline, variant = (rng.random((5, 457)) < (difficulty + s).clip(0, 1) for s in skill)
        got = two_level_bootstrap(mean_sums(baseline), mean_sums(variant), resamples=300)
        low, high = (got.bootstrap_low, got.bootstrap_high) if method == "bootstrap" else (got.low, got.high)
        covered += low <= 0 <= high
    assert covered / 150 > 0.90


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: two_level_bootstrap(mean_sums([[1.0, 2.0]]), mean_sums([[1.0, 2.0, 3.0]])), "same test items"),
        (lambda: two_level_bootstrap(mean_sums([[1.0, 2.0]]), mean_sums([[1.0, 2.0]] * 2)), "paired by seed"),
        (lambda: two_level_bootstrap(mean_sums([1.0]), resamples=0), "resample"),
        (lambda: two_level_bootstrap(mean_sums([1.0]), alpha=2.0), "alpha"),
        (lambda: accuracy_sums([1, 2], [1, 2, 3]), "does not fit"),
        (lambda: mean_sums([1.0, 2.0], keep=[True]), "does not fit"),
        (lambda: mean_sums([]), "not empty"),
        (lambda: ItemSums(np.zeros((2, 3)), np.sum), "shape"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        call()


def test_results_are_frozen_and_replaceable() -> None:
    got = two_level_bootstrap(mean_sums([[1.0, 2.0]] * 2), resamples=9)
    assert isinstance(replace(got, note="x"), TwoLevel)
    with pytest.raises(AttributeError):
        got.n = 3  # type: ignore[misc]
