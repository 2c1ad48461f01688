"""The second level: each seed's test against direct calls, swaps against a loop over the metric functions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from statsmodels.stats import contingency_tables

from harness.comparison import Contrast, Side, second_level
from harness.comparison.items import SECOND
from harness.comparison.seeds import CONTRAST_KEY
from harness.metrics import compute
from harness.results import Predictions, Results, collect
from harness.spec import Task
from harness.statistics import mcnemar, williams_t
from tests.comparison import made
from tests.reports import fakes

SWAPS = 120
TASKS: list[Task] = ["regression", "classification"]


def two(task: Task = "regression", items: int = 50) -> tuple[Results, list[Predictions], list[Predictions]]:
    plan = fakes.plan(tasks=(task,), models=("LMF",), variants=("original", "fg"), seeds=(1, 2, 3))
    results, _ = made.results(plan, lambda run: 1.0 if run.variant == "fg" else 1.4, items=items)
    return results, made.arm(results, "LMF", "original"), made.arm(results, "LMF", "fg")


def exact(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Make McNemar's exact test with statsmodels."""
    table = [[np.sum(first & second), np.sum(first & ~second)], [np.sum(~first & second), np.sum(~first & ~second)]]
    return float(contingency_tables.mcnemar(table, exact=True).pvalue)


def test_accuracies_are_tested_by_mcnemar_on_what_counts() -> None:
    results, base, other = two()
    assert (base[0].label == 0).any()
    found = second_level(results, resamples=SWAPS)

    def has_0(one: Predictions) -> NDArray[np.bool_]:
        return np.asarray((one.pred >= 0) == (one.label >= 0))

    def non_0(one: Predictions) -> NDArray[np.bool_]:
        kept = one.label != 0
        return np.asarray((one.pred[kept] > 0) == (one.label[kept] > 0))

    def acc_7(one: Predictions) -> NDArray[np.bool_]:
        return np.asarray(np.round(np.clip(one.pred, -3, 3)) == np.round(one.label))

    for metric, right in (("Acc-2/has-0", has_0), ("Acc-2/non-0", non_0), ("Acc-7", acc_7)):
        row = made.only(found, metric=metric)
        hits = [(right(first), right(second)) for first, second in zip(base, other, strict=True)]
        assert row["per_seed_p"] == pytest.approx([exact(*pair) for pair in hits])
        assert row["per_seed_p"] == [mcnemar(*pair).p for pair in hits]
        assert row["per_seed"] == "exact McNemar"
        assert row["below_alpha"] == sum(p < 0.05 for p in row["per_seed_p"])
    # Utterances labelled 0 must be able to make a difference for that to say anything.
    kept = [
        exact(*(np.asarray((one.pred > 0) == (one.label > 0)) for one in pair))
        for pair in zip(base, other, strict=True)
    ]
    assert made.only(found, metric="Acc-2/non-0")["per_seed_p"] != pytest.approx(kept)


def test_classes_that_do_not_count_are_dropped() -> None:
    results, base, other = two("classification")
    row = made.only(second_level(results, resamples=SWAPS), metric="Acc-2/non-0/corrected")

    def right(one: Predictions) -> NDArray[np.bool_]:
        polar = one.label != 1
        return np.asarray((one.pred[polar, 2] > one.pred[polar, 0]) == (one.label[polar] == 2))

    assert row["per_seed_p"] == pytest.approx([exact(right(a), right(b)) for a, b in zip(base, other, strict=True)])


def test_corr_is_tested_by_williams() -> None:
    results, base, other = two()
    row = made.only(second_level(results, resamples=SWAPS), metric="Corr")
    wanted = [williams_t(a.label, a.pred, b.pred).p for a, b in zip(base, other, strict=True)]
    assert row["per_seed_p"] == pytest.approx(wanted)
    assert row["per_seed"] == "Williams' t"


@pytest.mark.parametrize("task", TASKS)
def test_f1_and_mae_have_no_test_by_seed(task: Task) -> None:
    found = second_level(two(task)[0], resamples=SWAPS)
    without = found[found["metric"].str.startswith("F1") | (found["metric"] == "MAE")]
    assert len(without) == {"regression": 3, "classification": 4}[task]
    assert set(without["per_seed"]) == {""}
    assert without["per_seed_p"].to_list() == [[]] * len(without)
    assert set(without["below_alpha"]) == {0}
    assert without["randomization"].notna().all()
    assert (found.drop(without.index)["per_seed_p"].map(len) == 3).all()


@pytest.mark.parametrize("task", TASKS)
def test_a_loop_over_swaps_gives_the_same(task: Task) -> None:
    results, base, other = two(task)
    found = second_level(results, resamples=SWAPS)
    swapped = np.random.default_rng([0, 2]).integers(0, 2, size=(SWAPS, 50)).astype(bool)

    def gaps(swap: NDArray[np.bool_]) -> dict[str, float]:
        """Mean difference over the seeds after the utterances of `swap` have changed sides in all of them."""
        at = swap if task == "regression" else swap[:, None]
        summed: dict[str, float] = {}
        for a, b in zip(base, other, strict=True):
            arms = np.where(at, b.pred, a.pred), np.where(at, a.pred, b.pred)
            first, second = (compute(task, "mosei", a.label, pred) for pred in arms)
            for metric in first:
                summed[metric] = summed.get(metric, 0.0) + (second[metric].value - first[metric].value) / 3
        return summed

    observed, shuffled = gaps(np.zeros(50, bool)), [gaps(swap) for swap in swapped]
    for row in found.to_dict("records"):
        metric = row["metric"]
        reached = sum(abs(one[metric]) >= abs(observed[metric]) - 1e-9 for one in shuffled)
        assert row["randomization"] == pytest.approx((1 + reached) / (1 + SWAPS))
        assert row["randomization_floor"] == 1 / (1 + SWAPS)
    assert len(found) == len(observed)
    assert found["randomization"].nunique() > 3


def test_what_else_is_tested_changes_nothing() -> None:
    results, _ = made.results(fakes.plan())
    whole = second_level(results, resamples=SWAPS)
    assert len(whole) == 3 * 3 * 9
    values = results.values
    kept = values[(values["model"] == "TFN") & values["metric"].isin(["MAE", "Acc-7"])]
    part = Results(kept, results.runs, results.skipped, {}, predictions=results.predictions)
    some = second_level(part, Contrast(b=Side("v")), resamples=SWAPS)
    assert len(some) == 2
    made.alike(some, whole.merge(some[CONTRAST_KEY]), ["metric"])


def test_the_order_of_seeds_and_rows_changes_nothing() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original", "fg"), seeds=(1, 2, 3))
    straight = second_level(made.results(plan)[0], resamples=SWAPS)
    turned = fakes.plan(models=("LMF",), variants=("original", "fg"), seeds=(3, 1, 2))
    _, store = made.results(turned)
    for run in turned.runs:
        record = store.records[run.run_id]
        record.frame = record.frame.sample(frac=1, random_state=run.seed)
    made.alike(second_level(collect(turned, store.as_store), resamples=SWAPS), straight, ["metric"])


def test_seeds_without_a_difference_are_not_counted() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original", "fg"), seeds=(1, 2, 3, 4))
    _, store = made.results(plan)
    broken, constant = (run for run in plan.runs if run.variant == "fg" and run.seed in (2, 3))
    store.records[broken.run_id].frame["pred"] = np.inf
    store.records[constant.run_id].frame["pred"] = 0.25
    found = second_level(collect(plan, store.as_store), resamples=SWAPS)
    for metric, seeds in (("Acc-7", 3), ("MAE", 3), ("Corr", 2)):
        row = made.only(found, metric=metric)
        assert row["seeds"] == seeds
        assert len(row["per_seed_p"]) == (0 if metric == "MAE" else seeds)
        assert all(math.isfinite(p) for p in row["per_seed_p"])
        assert row["items"] == 60


def test_no_row_where_nothing_can_be_paired() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original", "fg"))
    _, store = made.results(plan)
    for run in plan.runs:
        frame = store.records[run.run_id].frame
        store.records[run.run_id].frame = frame if run.variant == "fg" else frame.iloc[1:]
    found = second_level(collect(plan, store.as_store), resamples=SWAPS)
    assert found.empty
    assert list(found.columns) == [*CONTRAST_KEY, *SECOND]


def test_the_level_is_what_seeds_are_counted_against() -> None:
    results, _, _ = two()
    strict, loose = (second_level(results, alpha=alpha, resamples=SWAPS) for alpha in (0.05, 0.5))
    for before, after in zip(strict.to_dict("records"), loose.to_dict("records"), strict=True):
        assert before["per_seed_p"] == after["per_seed_p"]
        assert after["below_alpha"] == sum(p < 0.5 for p in after["per_seed_p"])
    assert loose["below_alpha"].sum() > strict["below_alpha"].sum()
