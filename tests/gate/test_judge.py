from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from harness.gate import Baseline, Judgement, judge
from harness.gate.rows import floor_of
from harness.spec import GateOptions
from tests.gate import made
from tests.gate.made import judged, moved, typical, verdicts
from tests.reports import fakes

ONE = {"metrics": ["Acc-5"]}
TWO = {"metrics": ["Acc-5", "MAE"]}


def changed(known: Baseline, metric: str, **fields: Any) -> Baseline:
    """A baseline with one metric of its cells changed, as another version of the harness could have left it."""
    cells = {}
    for name, cell in known.cells.items():
        metrics = {**cell.metrics, metric: cell.metrics[metric].model_copy(update=fields)}
        cells[name] = cell.model_copy(update={"metrics": metrics})
    return known.model_copy(update={"cells": cells})


def told(judgement: Judgement, *words: str) -> None:
    """Assert that one problem says all of this, and that nothing is judged to pass or drift."""
    assert judgement.exit_code == 2
    assert [one for one in judgement.problems if all(word in one for word in words)], judgement.problems


def test_the_same_numbers_are_green_and_pass() -> None:
    found = judged()
    assert set(verdicts(found).values()) == {"GREEN"}
    assert (found.exit_code, found.problems, found.family) == (0, (), 9)
    assert found.summary == "pass: 9 green"


def test_a_loss_beyond_floor_and_noise_is_red_and_drift() -> None:
    found = judged(moved(-0.02, "Acc-5"))
    assert verdicts(found)["Acc-5"] == "RED"
    assert found.count("RED") == 1
    assert found.exit_code == 1
    assert found.summary.startswith("drift: 1 red")


def test_a_loss_that_is_sure_but_below_the_floor_is_amber() -> None:
    found = judged(moved(-0.004, "Acc-5", spread=1e-5), asked=made.plan(gate=ONE))
    assert found.rows[0].p < 0.01
    assert found.rows[0].verdict == "AMBER"
    assert found.exit_code == 0


def test_a_loss_beyond_the_floor_that_noise_may_explain_is_amber() -> None:
    found = judged(moved(-0.008, "Acc-5", spread=0.01), asked=made.plan(gate=ONE))
    assert found.rows[0].p > 0.01
    assert found.rows[0].verdict == "AMBER"
    assert found.exit_code == 0


def test_a_sure_gain_makes_the_baseline_stale_and_passes() -> None:
    found = judged(moved(+0.02, "Acc-5"))
    assert verdicts(found)["Acc-5"] == "STALE"
    assert (found.count("STALE"), found.exit_code) == (1, 0)


def test_a_gain_below_the_floor_is_green() -> None:
    (row,) = judged(moved(+0.004, spread=1e-5), asked=made.plan(gate=ONE)).rows
    assert row.p_better < 0.01
    assert row.verdict == "GREEN"


def test_of_mae_the_smaller_is_better() -> None:
    asked = made.plan(gate=TWO)
    more, less = judged(moved(0.02), asked=asked), judged(moved(-0.02), asked=asked)
    assert verdicts(more) == {"Acc-5": "STALE", "MAE": "RED"}
    assert verdicts(less) == {"Acc-5": "RED", "MAE": "STALE"}
    mae = more.rows[1]
    assert mae.difference == pytest.approx(0.02) == pytest.approx(mae.new - mae.reference)
    assert mae.found is not None
    assert mae.found.difference == pytest.approx(-0.02)


def test_cannot_judge_wins_over_drift() -> None:
    asked = made.plan(models=("LF-DNN", "TFN"), gate=ONE)
    lost = moved(-0.02, cell="TFN/original")
    assert judged(lost, asked=asked).exit_code == 1
    found = judged(lost, asked=asked, undone={asked.runs[0].label: "failed"})
    assert [row.cell[-2] for row in found.rows if row.verdict == "RED"] == ["TFN", "*"]
    assert found.exit_code == 2
    assert found.summary.startswith("cannot judge: 2 red")


def test_the_numbers_are_scipys_and_the_adjustment_is_statsmodels() -> None:
    asked = made.plan(seeds=made.OTHER_SEEDS)

    def value(cell: object, seed: int, metric: str) -> float:
        rng = np.random.default_rng([seed, len(metric), ord(metric[-1])])
        return 0.8 + float(rng.normal(0, 0.01))

    found = judged(value, then=value, asked=asked, reference=made.plan())
    raw, back = [], []
    for row in found.rows:
        sign = -1 if row.metric == "MAE" else 1
        old, new = (
            sign * np.array([value(None, s, row.metric) for s in seeds]) for seeds in (made.SEEDS, asked.suite.seeds)
        )
        wide = max(old.var(), new.var()) > 4 * min(old.var(), new.var())
        tests = [stats.ttest_ind(new, old, equal_var=equal, alternative="less").pvalue for equal in (True, not wide)]
        raw.append(max(tests))
        tests = [stats.ttest_ind(new, old, equal_var=equal, alternative="greater").pvalue for equal in (True, not wide)]
        back.append(max(tests))
        assert row.difference == pytest.approx(sign * (new.mean() - old.mean()))
    assert [row.p for row in found.rows] == pytest.approx(multipletests(raw, method="holm")[1])
    assert [row.p_better for row in found.rows] == pytest.approx(multipletests(back, method="holm")[1])


def test_shared_seeds_are_pairs_and_others_strangers() -> None:
    def method(seeds: tuple[int, ...]) -> tuple[str, int, int]:
        (row,) = judged(moved(-0.001), asked=made.plan(seeds=seeds, gate=ONE), reference=made.plan()).rows
        assert row.found is not None
        return row.found.method, row.found.n_reference, row.found.n_new

    assert method(made.SEEDS) == ("paired t", 5, 5)
    assert method(made.OTHER_SEEDS) == ("pooled t", 5, 5)
    assert method(made.SEEDS[:2]) == ("paired t", 2, 2)
    # Some shared seeds among others are no pairs.
    assert method((*made.SEEDS[:3], 1, 2)) == ("pooled t", 5, 5)


def test_one_new_run_is_judged_by_the_prediction_limit_and_sees_little() -> None:
    for seed in (7, made.SEEDS[0]):  # one shared seed is no pair
        asked = made.plan(seeds=[seed], gate=ONE)
        with made.few_draws():
            small, large = (judged(moved(by), asked=asked, reference=made.plan()).rows[0] for by in (-0.02, -0.3))
        assert small.found is not None
        assert (small.found.method, small.found.n_new) == ("prediction limit", 1)
        assert (small.verdict, large.verdict) == ("AMBER", "RED")
        assert small.margin > 0.02


def test_the_larger_family_needs_the_larger_loss() -> None:
    lost = moved(-0.011, "Acc-5", spread=0.0028)
    alone, crowd = judged(lost, asked=made.plan(gate=ONE)), judged(lost)
    assert (alone.family, crowd.family) == (1, 9)
    assert alone.rows[0].verdict == "RED"
    assert verdicts(crowd)["Acc-5"] == "AMBER"
    margin = next(row.margin for row in crowd.rows if row.metric == "Acc-5")
    assert margin > alone.rows[0].margin


def test_rows_without_a_test_do_not_count_in_the_family() -> None:
    known = changed(made.baseline(), "MAE", signature="MAE|older|v0")
    asked = made.plan()
    found = judge(known, asked, made.results(asked), None)
    assert found.family == 8
    assert verdicts(found)["MAE"] == "CANNOT JUDGE"
    row = next(row for row in found.rows if row.metric == "MAE")
    assert "MAE|older|v0" in row.why
    assert "MAE|clip:none|v1" in row.why
    assert math.isnan(row.p)
    assert found.exit_code == 2


def test_a_loss_beyond_the_margin_is_red_whatever_else_happens() -> None:
    margin = next(row.margin for row in judged().rows if row.metric == "Acc-5")
    for others in (0.0, -0.1, +0.1):

        def value(cell: Any, seed: int, metric: str, others: float = others) -> float:
            by = -1.01 * margin if metric == "Acc-5" else (-others if metric == "MAE" else others)
            return typical(cell, seed, metric) + by

        assert verdicts(judged(value))["Acc-5"] == "RED"


def test_another_suite_is_not_compared_at_all() -> None:
    found = judged(asked=made.plan(name="mine"), reference=made.plan(name="theirs"))
    told(found, "theirs", "mine")
    assert found.rows == ()


def test_other_data_are_told_with_both_hashes() -> None:
    known = made.baseline()
    data = {name: one.model_copy(update={"sha256": "f" * 64}) for name, one in known.data.items()}
    asked = made.plan()
    found = judge(known.model_copy(update={"data": data}), asked, made.results(asked), None)
    told(found, "toy/unaligned", "f" * 12, "0" * 12)


def test_data_that_the_baseline_does_not_know_are_told() -> None:
    asked = made.plan()
    told(judge(made.baseline().model_copy(update={"data": {}}), asked, made.results(asked), None), "says nothing")


@pytest.mark.parametrize("whose", ["baseline", "new runs"])
def test_a_value_that_is_not_defined_cannot_be_judged(whose: str) -> None:
    def value(cell: Any, seed: int, metric: str) -> float:
        return math.nan if (metric, seed) == ("Corr", 1113) else typical(cell, seed, metric)

    found = judged(then=value) if whose == "baseline" else judged(value)
    row = next(row for row in found.rows if row.metric == "Corr")
    assert row.verdict == "CANNOT JUDGE"
    assert f"in the {whose} for seed 1113" in row.why
    assert (found.count("CANNOT JUDGE"), found.count("GREEN"), found.exit_code) == (1, 8, 2)
    assert judged(value, asked=made.plan(gate=ONE)).exit_code == 0


def test_seeds_that_the_baseline_lacks_cannot_be_judged() -> None:
    values = dict(made.baseline().cells["/".join(made.PLACE)].metrics["MAE"].values)
    del values["1114"]
    asked = made.plan()
    found = judge(changed(made.baseline(), "MAE", values=values), asked, made.results(asked), None)
    row = next(row for row in found.rows if row.metric == "MAE")
    assert (row.verdict, found.exit_code) == ("CANNOT JUDGE", 2)
    assert "lacks 1 seed, such as 1114" in row.why


@pytest.mark.parametrize(("status", "advice"), [("failed", "--retry-failed"), ("missing", "run the suite")])
def test_runs_that_are_not_done_are_a_problem_and_the_others_are_judged(status: str, advice: str) -> None:
    asked = made.plan(gate=ONE)
    found = judged(moved(-0.02), asked=asked, undone={asked.runs[1].label: status})
    told(found, "1 run", asked.runs[1].label, advice)
    (row,) = found.rows
    assert row.found is not None
    assert (row.found.n_new, row.verdict) == (4, "RED")


def test_a_cell_without_a_single_run_cannot_be_judged() -> None:
    asked = made.plan(models=("LF-DNN", "TFN"), gate=ONE)
    found = judged(asked=asked, undone={run.label: "missing" for run in asked.runs if run.model == "TFN"})
    told(found, "5 runs are not there")
    assert [(row.cell[3], row.verdict) for row in found.rows] == [("LF-DNN", "GREEN"), ("TFN", "CANNOT JUDGE")]
    assert found.rows[1].why == "no run of this cell is done"


def test_a_cell_that_the_baseline_lacks_is_a_problem() -> None:
    two, one = made.plan(models=("LF-DNN", "TFN")), made.plan()
    told(judged(asked=two, reference=one), "the baseline has no toy/unaligned/regression/TFN/original")
    told(judged(asked=two, reference=one, narrowed=True), "TFN")


def test_a_cell_that_the_suite_lacks_is_a_problem_unless_it_was_narrowed() -> None:
    two, one = made.plan(models=("LF-DNN", "TFN", "LMF")), made.plan()
    told(judged(asked=one, reference=two), "no longer has", "LMF", "and 1 more")
    assert judged(asked=one, reference=two, narrowed=True).exit_code == 0


def test_a_baseline_of_one_seed_cannot_judge() -> None:
    asked = made.plan(seeds=[1111], gate=ONE)
    found = judged(moved(-0.1), asked=asked)
    assert found.rows[0].verdict == "CANNOT JUDGE"
    assert "1 reference run against 1 new run" in found.rows[0].why


def test_a_gate_that_compares_nothing_does_not_pass() -> None:
    found = judged(asked=made.plan(gate={"metrics": ["F1-3"]}))
    told(found, "no runs that could be compared")
    assert Judgement("fake", GateOptions()).exit_code == 2


def test_an_alias_is_judged_once_and_under_its_first_name() -> None:
    data = [fakes.dataset(vision_groups=False)]
    whole = made.plan(datasets=data, variants=("original", "fg", "a", "v"), gate=ONE)
    found = judged(asked=whole, costs=made.costs(whole))
    assert [row.cell[-1] for row in found.rows] == ["original", "fg", "*"]
    assert {row.cell[-1] for row in found.costs} == {"original", "fg"}
    assert (found.exit_code, found.family) == (0, 3)
    part = made.plan(datasets=data, variants=("a",), gate=ONE)
    (row,) = judged(moved(-0.02), asked=part, reference=whole, narrowed=True).rows
    assert (row.cell[-1], row.verdict) == ("a", "RED")


def test_equal_costs_are_green_and_any_other_is_red() -> None:
    asked = made.plan(gate=ONE)
    assert {row.verdict for row in judged(costs=made.costs(asked)).costs} == {"GREEN"}
    found = judged(asked=asked, costs=made.costs(asked, macs=1_999))
    assert {row.name: row.verdict for row in found.costs if row.verdict != "GREEN"} == {"MACs": "RED"}
    assert found.exit_code == 1
    assert found.family == 1


def test_costs_that_were_not_counted_cannot_be_judged_and_say_why() -> None:
    asked = made.plan()
    found = judged(asked=asked, costs={}, uncounted={made.PLACE: "no text encoder"})
    assert {(row.verdict, row.why, row.new) for row in found.costs} == {("CANNOT JUDGE", "no text encoder", None)}
    assert found.exit_code == 2
    assert judged(asked=asked, costs={}).costs[0].why == "its model was not counted"


def test_costs_that_were_left_out_are_not_judged() -> None:
    asked = made.plan()
    assert judged(costs=None).costs == ()
    known = made.baseline()
    cells = {name: cell.model_copy(update={"costs": None}) for name, cell in known.cells.items()}
    found = judge(known.model_copy(update={"cells": cells}), asked, made.results(asked), made.costs(asked))
    assert (found.costs, found.exit_code) == ((), 0)


def test_on_the_machine_of_the_baseline_every_bit_counts() -> None:
    asked = made.plan(gate=ONE)
    same = judged(asked=asked, environment="aaaa1111")
    assert same.rows[0].exact == "equal"
    assert any("equal to the last bit" in note for note in same.notes)

    def nudged(cell: Any, seed: int, metric: str) -> float:
        value = typical(cell, seed, metric)
        return math.nextafter(value, 1) if seed == 1113 else value

    other = judged(nudged, asked=asked, environment="aaaa1111")
    assert (other.rows[0].exact, other.rows[0].verdict, other.exit_code) == ("moved", "GREEN", 0)
    assert any("1 of 1 rows have moved" in note for note in other.notes)
    elsewhere = judged(nudged, asked=asked, environment="bbbb2222")
    assert elsewhere.rows[0].exact == ""
    assert any("not asked for" in note for note in elsewhere.notes)


def test_with_another_number_of_threads_no_bit_counts() -> None:
    asked, known = made.plan(gate=ONE), made.baseline()
    cells = {name: cell.model_copy(update={"threads": 4}) for name, cell in known.cells.items()}
    found = judge(known.model_copy(update={"cells": cells}), asked, made.results(asked), None)
    assert found.rows[0].exact == ""


@pytest.mark.parametrize("by", [1e-15, -0.03, 0.03])
def test_moved_values_fail_where_that_is_asked_for_gains_included(by: float) -> None:
    asked = made.plan(gate=ONE | {"exact": "fail"})
    found = judged(moved(by, spread=0.0), asked=asked, environment="aaaa1111")
    assert (found.rows[0].verdict, found.exit_code) == ("RED", 1)
    assert judged(asked=asked, environment="aaaa1111").exit_code == 0
    assert judged(moved(1e-15, spread=0.0), asked=asked, environment="bbbb2222").exit_code == 0


def test_a_loss_of_just_the_floor_is_not_beyond_it() -> None:
    asked = made.plan(gate=ONE)
    for by, verdict in ((-0.005, "AMBER"), (-0.00501, "RED"), (+0.005, "GREEN"), (+0.00501, "STALE")):
        (row,) = judged(moved(by, spread=0.0), asked=asked).rows
        assert row.found is not None
        assert (row.found.method, row.verdict) == ("constant", verdict)


@pytest.mark.parametrize(
    ("metric", "floors", "test", "floor"),
    [
        *(("Acc-5", {}, 1000, 0.005), ("F1/non-0", {}, 1000, 0.005), ("MAE", {}, 1000, 0.005)),
        *(("Acc-5", {"*": 0.02}, 1000, 0.02), ("MAE", {"*": 0.02}, 1000, 0.005), ("Corr", {"Corr": 0.1}, 1000, 0.1)),
        *(("Acc-5", {"*": 0.02, "Acc-5": 0.01}, 1000, 0.01), ("Acc-5", {"Acc-5": 0.0}, 1000, 0.001)),
        *(("Acc-5", {}, 50, 0.02), ("MAE", {"MAE": 0.001}, 50, 0.02), ("Acc-5", {"*": 0.0}, 4000, 0.00025)),
    ],
)
def test_floors_are_by_metric_or_star_and_never_below_one_utterance(
    metric: str, floors: dict[str, float], test: int, floor: float
) -> None:
    assert floor_of(metric, GateOptions(floors=floors), test) == floor
    found = judged(asked=made.plan(gate={"metrics": [metric], "floors": floors}), test=test)
    assert found.rows[0].floor == floor


def test_a_metric_that_the_baseline_lacks_is_noted_and_one_that_is_gone_cannot_be_judged() -> None:
    known, asked = made.baseline(), made.plan()
    (name, cell), *_ = known.cells.items()
    metrics = {key: one for key, one in cell.metrics.items() if key != "Corr"}
    less = known.model_copy(update={"cells": {name: cell.model_copy(update={"metrics": metrics})}})
    found = judge(less, asked, made.results(asked), None)
    assert found.exit_code == 0
    assert "not in the baseline, and not judged: Corr" in found.notes
    odd = known.model_copy(
        update={"cells": {name: cell.model_copy(update={"metrics": metrics | {"Acc-9": metrics["MAE"]}})}}
    )
    found = judge(odd, asked, made.results(asked), None)
    assert (verdicts(found)["Acc-9"], found.exit_code) == ("CANNOT JUDGE", 2)
    assert found.rows[-1].why == "the metric is not computed any more"


def test_synthetic_data_and_few_seeds_are_noted() -> None:
    few = judged(asked=made.plan(seeds=made.SEEDS[:3]))
    assert any("synthetic data" in note for note in few.notes)
    assert any("3 seeds" in note for note in few.notes)
    real = judged(asked=made.plan(datasets=[fakes.dataset(synthetic=False)]))
    assert not any("synthetic data" in note or "it should have five" in note for note in real.notes)


def test_a_judgement_counts_costs_among_its_verdicts() -> None:
    found = made.judgement(made.row("RED"), made.row("AMBER"), made.cost_row("RED"), made.cost_row())
    assert [found.count(verdict) for verdict in ("RED", "AMBER", "GREEN", "STALE")] == [2, 1, 1, 0]
    assert found.summary == "drift: 2 red, 1 amber and 1 green"
    assert found.exit_code == 1
    assert dataclasses.replace(found, problems=("a hole",)).exit_code == 2
