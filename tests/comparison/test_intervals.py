"""Intervals over seeds and utterances, against a slow loop that scores every resample with the metric functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from harness.comparison import Contrast, Side, contrasts, intervals
from harness.comparison.intervals import INTERVAL
from harness.comparison.seeds import CONTRAST_KEY
from harness.metrics import compute
from harness.results import CELL, Predictions, Results, collect
from harness.spec import Convention, RunSpec, Task
from tests.comparison import made
from tests.reports import fakes

RESAMPLES = 120


def score(one: Predictions, rows: NDArray[np.int64]) -> Mapping[str, float]:
    return {name: got.value for name, got in compute(one.task, one.convention, one.label[rows], one.pred[rows]).items()}


def loop(arms: Sequence[Sequence[Predictions]], metric: str, alpha: float) -> tuple[float, float, float]:
    """Bootstrap the last arm minus the first (or the only one) in a loop, with the documented draws.

    Returns the ends of the percentile interval and the seeds' share of the variance.
    """
    items, seeds = arms[0][0].label.size, len(arms[0])
    drawn = np.random.default_rng([0, 0]).integers(0, items, size=(RESAMPLES, items))
    weights = np.random.default_rng([0, 1, seeds]).multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES)

    def per_seed(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        first, *second = ([score(run, rows)[metric] for run in one] for one in arms)
        return np.subtract(second[0], first) if second else np.array(first)

    sampled = np.array([per_seed(rows) for rows in drawn])
    both = (sampled * weights).sum(axis=1) / seeds
    low, high = np.quantile(both, [alpha / 2, 1 - alpha / 2])
    from_seeds = per_seed(np.arange(items)).var() / seeds
    return float(low), float(high), float(from_seeds / (from_seeds + sampled.mean(axis=1).var()))


SCORED: list[tuple[Task, Convention]] = [("regression", "mosei"), ("regression", "sims"), ("classification", "mosei")]


@pytest.mark.parametrize(("task", "convention"), SCORED)
def test_a_slow_loop_over_resamples_gives_the_same(task: Task, convention: Convention) -> None:
    data = fakes.dataset(convention=convention, hyperparameters=convention, label_range=(-3.0, 3.0))
    plan = fakes.plan([data], tasks=(task,), models=("LMF",), variants=("original", "fg"), seeds=(1, 2, 3))
    results, _ = made.results(plan, items=40)
    cells, differences = intervals(results, [Contrast()], resamples=RESAMPLES, alpha=0.1)
    arms = [made.arm(results, "LMF", variant) for variant in ("original", "fg")]
    metrics = results.values.drop_duplicates("metric")[["metric", "higher_is_better"]].to_records(index=False)
    assert len(metrics) in (6, 8, 9)
    for metric, higher in metrics:
        row = made.only(cells, variant="original", metric=metric)
        low, high, share = loop(arms[:1], metric, 0.1)
        assert (row["bootstrap_low"], row["bootstrap_high"]) == pytest.approx((low, high), nan_ok=True)
        assert row["seed_share"] == pytest.approx(share, nan_ok=True)
        delta = made.only(differences, metric=metric)
        low, high, share = loop(arms, metric, 0.1)
        wanted = (low, high) if higher else (-high, -low)
        assert (delta["bootstrap_low"], delta["bootstrap_high"]) == pytest.approx(wanted, abs=1e-12)
        assert delta["seed_share"] == pytest.approx(share)


@pytest.fixture(scope="module")
def whole() -> tuple[Results, pd.DataFrame, pd.DataFrame]:
    """Three models in all variants, with what is found for them."""
    results, _ = made.results(fakes.plan())
    return (results, *intervals(results, [Contrast()], resamples=RESAMPLES))


def test_every_cell_and_pair_has_one_row(whole: tuple[Results, pd.DataFrame, pd.DataFrame]) -> None:
    results, cells, differences = whole
    assert list(cells.columns) == [*CELL, "metric", *INTERVAL]
    assert list(differences.columns) == [*CONTRAST_KEY, *INTERVAL]
    assert len(cells) == len(cells.drop_duplicates([*CELL, "metric"])) == 3 * 4 * 9
    assert len(differences) == len(differences.drop_duplicates(CONTRAST_KEY)) == 3 * 3 * 9
    for found in (cells, differences):
        assert (found["low"] <= found["high"]).all()
        assert (found["bootstrap_low"] <= found["bootstrap_high"]).all()
        assert set(found["items"]) == {60}
        assert set(found["undefined_resamples"]) == {0}
    inside = cells.merge(results.values.groupby([*CELL, "metric"])["value"].mean().reset_index())
    assert ((inside["low"] <= inside["value"]) & (inside["value"] <= inside["high"])).all()


def test_what_else_is_computed_changes_nothing(whole: tuple[Results, pd.DataFrame, pd.DataFrame]) -> None:
    results, cells, differences = whole
    values = results.values
    kept = values[(values["model"] == "TFN") & values["variant"].isin(["original", "v"]) & (values["metric"] == "MAE")]
    part = Results(kept, results.runs, results.skipped, {}, predictions=results.predictions)
    some, fewer = intervals(part, [Contrast(b=Side("v"))], resamples=RESAMPLES)
    made.alike(some, cells.merge(some[[*CELL, "metric"]]), ["variant"])
    made.alike(fewer, differences.merge(fewer[CONTRAST_KEY]), ["variant"])
    assert len(fewer) == 1
    alone, none = intervals(results, resamples=RESAMPLES)
    made.alike(alone, cells, [*CELL, "metric"])
    assert none.empty
    both = intervals(results, [Contrast(Side("a")), Contrast()], resamples=RESAMPLES)[1]
    made.alike(both.merge(differences[CONTRAST_KEY]), differences, CONTRAST_KEY)


def test_the_order_of_seeds_changes_nothing() -> None:
    seeds = (5, 3, 8, 1)
    found = [
        intervals(made.results(fakes.plan(models=("LMF",), seeds=order))[0], [Contrast()], resamples=RESAMPLES)
        for order in (seeds, seeds[::-1])
    ]
    made.alike(found[0][0], found[1][0], [*CELL, "metric"])
    made.alike(found[0][1], found[1][1], CONTRAST_KEY)


def changed(change: Callable[[RunSpec, pd.DataFrame], pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the intervals of LMF in two variants after a change of stored predictions."""
    plan = fakes.plan(models=("LMF",), variants=("original", "fg"), seeds=(1, 2, 3, 4))
    _, store = made.results(plan)
    for run in plan.runs:
        record = store.records[run.run_id]
        record.frame = change(run, record.frame)

    return intervals(collect(plan, store.as_store), [Contrast()], resamples=RESAMPLES)


def test_utterances_are_paired_by_id_and_not_by_row() -> None:
    straight = changed(lambda _, frame: frame)
    mixed = changed(lambda run, frame: frame.sample(frac=1, random_state=run.seed) if run.variant == "fg" else frame)
    pd.testing.assert_frame_equal(mixed[0], straight[0])
    pd.testing.assert_frame_equal(mixed[1], straight[1])


def renamed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(id=["another", *frame["id"].iloc[1:]])


def relabelled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(label=[2.5, *frame["label"].iloc[1:]])


CHANGES = [renamed, relabelled, lambda frame: frame.iloc[1:]]


@pytest.mark.parametrize("change", CHANGES)
def test_arms_on_different_utterances_have_no_difference(change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    cells, differences = changed(lambda run, frame: change(frame) if run.variant == "fg" else frame)
    assert set(cells["variant"]) == {"original", "fg"}
    assert differences.empty


@pytest.mark.parametrize("change", CHANGES)
def test_seeds_on_different_utterances_have_no_interval(change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    # The last seed differs: comparing the first ones alone would not show it.
    cells, differences = changed(lambda run, frame: change(frame) if (run.variant, run.seed) == ("fg", 4) else frame)
    assert set(cells["variant"]) == {"original"}
    assert differences.empty


def test_a_seed_that_is_not_finite_is_left_out() -> None:
    def broken(run: RunSpec, frame: pd.DataFrame) -> pd.DataFrame:
        return (
            frame.assign(pred=frame["pred"].where(frame.index > 0)) if (run.variant, run.seed) == ("fg", 2) else frame
        )

    cells, differences = changed(broken)
    three = fakes.plan(models=("LMF",), variants=("original", "fg"), seeds=(1, 3, 4))
    some, fewer = intervals(made.results(three)[0], [Contrast()], resamples=RESAMPLES)
    made.alike(cells[cells["variant"] == "fg"], some[some["variant"] == "fg"], ["metric"])
    made.alike(differences, fewer, ["metric"])


def test_a_metric_that_is_not_defined_has_no_interval() -> None:
    cells, differences = changed(lambda run, frame: frame.assign(pred=0.5) if run.variant == "fg" else frame)
    row, delta = made.only(cells, variant="fg", metric="Corr"), made.only(differences, metric="Corr")
    for one in (row, delta):
        assert all(math.isnan(one[name]) for name in ("low", "high", "bootstrap_low", "bootstrap_high", "seed_share"))
        assert (one["method"], one["undefined_resamples"]) == ("none", RESAMPLES)
    assert not math.isnan(made.only(differences, metric="MAE")["low"])


def test_one_seed_speaks_about_no_other() -> None:
    results, _ = made.results(fakes.plan(models=("LMF",), seeds=(1,)))
    for found in intervals(results, [Contrast()], resamples=RESAMPLES):
        assert set(found["method"]) == {"none"}
        assert found["low"].isna().all()


def test_where_seeds_dominate_the_t_interval_of_the_first_level_is_shown() -> None:
    def wild(run: RunSpec) -> float:
        return {1: 0.2, 2: 4.0, 3: 0.4, 4: 2.5}[run.seed] if run.variant == "fg" else 1.0

    plan = fakes.plan(models=("LMF",), variants=("original", "fg"), seeds=(1, 2, 3, 4))
    results, _ = made.results(plan, wild, items=200)
    found = intervals(results, [Contrast()], resamples=RESAMPLES)[1]
    first = contrasts(results.values)
    for metric in ("MAE", "Acc-7"):
        row, test = made.only(found, metric=metric), made.only(first, metric=metric)
        assert row["method"] == "t over seeds"
        assert row["seed_share"] > 0.6
        assert (row["low"], row["high"]) == pytest.approx((test["low"], test["high"]))
        assert (row["bootstrap_low"], row["bootstrap_high"]) != pytest.approx((row["low"], row["high"]))


def test_models_with_each_other(whole: tuple[Results, pd.DataFrame, pd.DataFrame]) -> None:
    results, _, _ = whole
    forth, back = (
        intervals(results, [Contrast(Side("original", a), Side("fg", b))], resamples=RESAMPLES)[1]
        for a, b in (("LMF", "TFN"), ("TFN", "LMF"))
    )
    assert set(forth["contrast"]) == {"TFN-fg against LMF"}
    assert set(forth["baseline_model"]) == {"LMF"}
    row = made.only(forth, metric="MAE")
    low, high, _ = loop([made.arm(results, "LMF", "original"), made.arm(results, "TFN", "fg")], "MAE", 0.05)
    assert (row["bootstrap_low"], row["bootstrap_high"]) == pytest.approx((-high, -low))
    assert set(back["contrast"]) == {"LMF-fg against TFN"}


def test_an_alias_has_the_interval_of_what_it_stands_for() -> None:
    results, _ = made.results(fakes.plan([fakes.dataset(vision_groups=False)], models=("LMF",)))
    cells, _ = intervals(results, resamples=RESAMPLES)
    fg, a = (cells[cells["variant"] == name].reset_index(drop=True) for name in ("fg", "a"))
    assert fg[INTERVAL].equals(a[INTERVAL])
    assert len(a) == 9


def test_nothing_run_gives_empty_frames() -> None:
    results = Results(made.frame(), pd.DataFrame(), pd.DataFrame(), {})
    cells, differences = intervals(results, [Contrast()], resamples=RESAMPLES)
    assert cells.empty
    assert differences.empty
