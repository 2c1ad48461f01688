"""The mean over all cells of a gate, and what must be equal since the predictions are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.gate import Judgement, MetricRow, judge
from harness.gate.explain import sights
from harness.gate.numbers import cell_text, row_sentence
from harness.gate.outputs import as_data
from harness.gate.samples import Sample, mean_by_seed, mean_sample
from harness.plan import Cell
from harness.spec import GateOptions
from harness.statistics import detectable_drift, drift
from tests.gate import made

ONE = {"metrics": ["Acc-5"]}
MODELS = ("LF-DNN", "TFN", "LMF", "MFN", "MulT")
EVERY = ("toy", "unaligned", "regression", "*", "*")


def noisy(loss: float = 0.0, spread: float = 0.02) -> made.Value:
    """Noise of its own for every cell, seed and metric; from `loss` on, of other draws."""

    def value(cell: Cell, seed: int, metric: str) -> float:
        key = [seed, *f"{cell.model}/{cell.variant}/{metric}".encode(), round(loss * 1e6)]
        return made.LEVELS.get(metric, 0.8) + float(np.random.default_rng(key).normal(0, spread)) - loss

    return value


def mean_row(found: Judgement) -> MetricRow:
    (row,) = (one for one in found.rows if one.cell == EVERY)
    return row


def test_a_small_loss_everywhere_is_red_in_the_mean_alone() -> None:
    asked = made.plan(models=MODELS, variants=("original", "fg", "a", "v"))
    found = made.judged(noisy(0.025), then=noisy(), asked=asked)
    reds = [row for row in found.rows if row.verdict == "RED"]
    assert {row.cell for row in reds} == {EVERY}
    assert len(reds) >= 5
    assert found.exit_code == 1
    assert found.family == 9 * (len(asked.cells) + 1)
    assert made.judged(noisy(1e-6), then=noisy(), asked=asked).exit_code == 0


def test_the_mean_is_compared_seed_by_seed() -> None:
    asked = made.plan(models=MODELS[:3], gate=ONE)
    row = mean_row(made.judged(noisy(0.01), then=noisy(), asked=asked))
    then, now = (
        np.array([[value(cell, seed, "Acc-5") for seed in made.SEEDS] for cell in asked.cells]).mean(axis=0)
        for value in (noisy(), noisy(0.01))
    )
    expected = drift(then, now, paired=True)
    assert row.found is not None
    assert (row.found.p_worse, row.found.difference) == pytest.approx((expected.p_worse, expected.difference))
    assert (row.reference, row.new) == pytest.approx((then.mean(), now.mean()))
    assert row.sample is not None
    assert row.sample.cells == 3


def test_of_mae_a_rise_of_the_mean_is_a_loss() -> None:
    asked = made.plan(models=MODELS[:2], gate={"metrics": ["MAE"]})
    assert mean_row(made.judged(made.moved(0.02), asked=asked)).verdict == "RED"
    assert mean_row(made.judged(made.moved(-0.02), asked=asked)).verdict == "STALE"


def test_one_cell_has_no_mean() -> None:
    assert len(made.judged(asked=made.plan(gate=ONE)).rows) == 1


def test_settings_and_tasks_have_means_of_their_own() -> None:
    asked = made.plan(models=MODELS[:2], tasks=("regression", "classification"))
    means = [(row.cell[2], row.metric) for row in made.judged(asked=asked).rows if row.cell[3] == "*"]
    assert ("regression", "MAE") in means
    assert {task for task, _ in means} == {"regression", "classification"}
    assert len(means) == len(set(means))


def test_a_cell_that_cannot_be_judged_is_left_out_of_the_mean() -> None:
    asked = made.plan(models=MODELS[:3], gate=ONE)

    def value(cell: Cell, seed: int, metric: str) -> float:
        return math.nan if cell.model == "TFN" else made.typical(cell, seed, metric)

    found = made.judged(value, asked=asked)
    assert found.exit_code == 2
    row = mean_row(found)
    assert row.sample is not None
    assert (row.sample.cells, row.verdict) == (2, "GREEN")


def test_explain_sees_the_means_as_the_gate_judges_them() -> None:
    asked = made.plan(models=MODELS, gate=ONE)
    known = made.baseline(asked, noisy())
    seen = {row.cell: row for row in sights(known, GateOptions(metrics=("Acc-5",)), made.OTHER_SEEDS)}
    mean = seen["/".join(EVERY)]
    values = np.array([[noisy()(cell, seed, "Acc-5") for seed in made.SEEDS] for cell in asked.cells]).mean(axis=0)
    assert (mean.mean, mean.sd) == pytest.approx((values.mean(), values.std(ddof=1)))
    found = made.judged(noisy(1e-6), then=noisy(), asked=asked)
    assert {"/".join(row.cell) for row in found.rows} == set(seen)
    wanted = detectable_drift(5, 5, 0.01 / found.family, paired=False, floor=0.005 / mean.sd)
    assert mean.shift / mean.sd == pytest.approx(wanted, rel=0.02)


def test_the_mean_is_named_in_words() -> None:
    asked = made.plan(models=MODELS[:2], gate=ONE)
    found = made.judged(made.moved(-0.02), asked=asked)
    assert cell_text(EVERY) == "mean of all cells, toy (unaligned), regression"
    assert row_sentence(mean_row(found)).startswith("mean of all cells, toy (unaligned), regression: Acc-5 80.00 in")
    (told,) = [row for row in as_data(found)["rows"] if row["model"] == "*"]
    assert (told["cells"], told["variant"]) == (2, "*")


@given(
    st.lists(
        st.dictionaries(st.integers(0, 9), st.floats(-1, 1, allow_subnormal=False), min_size=1), min_size=2, max_size=6
    )
)
def test_means_are_those_of_the_seeds_that_all_have(cells: list[dict[int, float]]) -> None:
    found = mean_by_seed(cells)
    assert set(found) == set.intersection(*(set(one) for one in cells))
    for seed, value in found.items():
        assert value == pytest.approx(np.mean([one[seed] for one in cells]), abs=1e-12)
    together = mean_sample([Sample(one, one, True) for one in cells])
    assert (together is None) == (not found)


@pytest.mark.parametrize("environment", ["aaaa1111", "another machine"])
def test_predictions_that_are_the_same_must_score_the_same(environment: str) -> None:
    asked = made.plan(gate={"metrics": ["Acc-5", "MAE"]})
    known = made.baseline(asked, predicted="these")

    def judged(value: made.Value, predicted: str = "these") -> Judgement:
        return judge(known, asked, made.results(asked, value, environment=environment, predicted=predicted), None)

    assert judged(made.typical).exit_code == 0
    for by in (-0.001, 0.001):  # within the floor, and for the better
        found = judged(made.moved(by, "Acc-5"))
        assert made.verdicts(found) == {"Acc-5": "RED", "MAE": "GREEN"}
        row = found.rows[0]
        assert row.rescored
        assert "the metric's code has changed" in row_sentence(row)
        assert found.exit_code == 1
        assert judged(made.moved(by, "Acc-5"), predicted="others").exit_code == 0
        assert judged(made.moved(by, "Acc-5"), predicted="").exit_code == 0
    assert judged(made.moved(1e-15, "Acc-5", spread=0)).exit_code == 0


def test_seeds_whose_predictions_moved_say_nothing_of_the_metric() -> None:
    asked = made.plan(gate=ONE)
    known = made.baseline(asked, predicted="these")
    now = made.results(asked, made.moved(-0.001), predicted="others")
    same = {run.run_id for run in asked.runs if run.seed == 1113}
    then = made.results(asked, predicted="these")
    mixed = {run_id: (then if run_id in same else now).hashes[run_id] for run_id in now.hashes}
    now.hashes.clear()  # type: ignore[attr-defined]
    now.hashes.update(mixed)  # type: ignore[attr-defined]
    (row,) = judge(known, asked, now, None).rows
    assert "(seed 1113)" in row.why


def test_a_baseline_without_predictions_judges_as_before() -> None:
    asked = made.plan(gate=ONE)
    found = judge(made.baseline(asked), asked, made.results(asked, made.moved(-0.001), predicted="these"), None)
    assert found.exit_code == 0
