"""Which cases are shown, and what is said of them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from harness.cases import case_studies, case_study
from harness.comparison.pairs import CellRuns, cells_of
from harness.errors import InputError
from harness.plan import Plan
from harness.results import VALUE_COLUMNS, Predictions, Results
from harness.spec import Task

SEEDS = (1111, 1112)


def results(
    arms: dict[tuple[str, str], NDArray[Any]], label: NDArray[Any], task: Task = "regression", dataset: str = "sims"
) -> Results:
    """Results of (model, variant) to predictions of shape (seeds, utterances) or (seeds, utterances, 3)."""
    rows, predictions = [], {}
    ids = np.array([f"v_{i:02d}" for i in range(label.size)], dtype=object)
    for (model, variant), stacked in arms.items():
        for seed, pred in zip(SEEDS, stacked, strict=False):
            run_id = f"{model}-{variant}-{seed}"
            predictions[run_id] = Predictions(task, "sims", ids, label, pred)
            names = (dataset, "unaligned", task, model, variant, "", False, False)
            rows.append((*names, seed, run_id, "MAE", False, 0.5, 0.5))
    values = pd.DataFrame(rows, columns=VALUE_COLUMNS)
    return Results(values, pd.DataFrame(), pd.DataFrame(), {}, predictions)


def plan(baseline: str = "original") -> Plan:
    """What a case study asks of a plan."""
    return cast(Plan, SimpleNamespace(suite=SimpleNamespace(name="s", report=SimpleNamespace(baseline=baseline))))


def cells(found: Results) -> tuple[CellRuns, CellRuns]:
    one, other = cells_of(found.values)
    return one, other


LABEL = np.array([0.0, 1.0, -1.0, 0.5, 0.2, -0.4])
BASE = np.full((2, 6), 3.0)
GAINS = np.array([0.5, -0.5, 1.5, 0.0, 0.1, 0.2])


def variant_with(gains: NDArray[Any]) -> NDArray[Any]:
    return np.array([LABEL + (np.abs(BASE[0] - LABEL) - gains)] * 2)


def test_gains_the_middle_and_losses_stand_together() -> None:
    found = results({("LMF", "original"): BASE, ("LMF", "fg"): variant_with(GAINS)}, LABEL)
    study = case_study(found, *cells(found), count=1)
    assert [(case.id, case.group) for case in study.cases] == [
        ("v_02", "largest gain"),
        ("v_04", "middle"),  # the median gain is 0.15: v_04 and v_05 are as near, and v_04 comes first
        ("v_01", "largest loss"),
    ]
    assert [case.gain for case in study.cases] == pytest.approx([1.5, 0.1, -0.5])
    assert study.median_gain == pytest.approx(0.15)
    assert study.better == pytest.approx(4 / 6)
    assert study.names == ("LMF", "LMF-fg")
    assert "6 test utterances" in study.rule


def test_an_utterance_stands_once_and_gains_are_gains() -> None:
    worse = variant_with(np.array([-0.1, -0.2, -0.3, -0.4, -0.5, -0.6]))
    found = results({("LMF", "original"): BASE, ("LMF", "fg"): worse}, LABEL)
    study = case_study(found, *cells(found), count=3)
    assert {case.group for case in study.cases} == {"middle", "largest loss"}
    assert study.rule.startswith("Of 6 test utterances, none with a gain, the 3 utterances nearest to the median gain")
    assert len({case.id for case in study.cases}) == len(study.cases) == 6


def test_equal_gains_stand_by_id() -> None:
    found = results({("LMF", "original"): BASE, ("LMF", "fg"): variant_with(np.array([1, 1, -1, -1, 0, 0.0]))}, LABEL)
    study = case_study(found, *cells(found), count=1)
    assert [case.id for case in study.cases] == ["v_00", "v_04", "v_02"]


def test_predictions_are_averaged_over_seeds_with_their_spread() -> None:
    varied = np.array([[0.0, 1.0], [0.4, 0.0]])
    label = np.array([0.1, 0.5])
    found = results({("LMF", "original"): varied, ("LMF", "fg"): np.zeros((2, 2))}, label)
    first = {case.id: case for case in case_study(found, *cells(found)).cases}["v_00"]
    assert (first.baseline.mean, first.baseline.error) == pytest.approx((0.2, 0.1))
    assert first.baseline.sd == pytest.approx(math.sqrt(0.08))
    assert first.truth == "0.10"


def test_one_seed_has_no_spread_and_a_broken_one_does_not_count() -> None:
    broken = BASE.copy()
    broken[1, 3] = np.nan
    found = results({("LMF", "original"): broken, ("LMF", "fg"): variant_with(GAINS)}, LABEL)
    study = case_study(found, *cells(found))
    assert study.seeds == (1111,)
    assert all(math.isnan(case.baseline.sd) for case in study.cases)


def test_no_usable_seed_gives_no_study() -> None:
    found = results({("LMF", "original"): BASE * np.nan, ("LMF", "fg"): BASE}, LABEL)
    assert case_studies(found, plan()) == ()


def test_classification_ranks_by_the_probability_of_the_truth() -> None:
    label = np.array([0, 2])
    flat = np.zeros((2, 2, 3))
    sure = flat.copy()
    sure[:, 0, 0] = math.log(8)  # probability 0.8 of the truth
    sure[:, 1, 1] = math.log(8)  # probability 0.1 of it
    found = results({("LMF", "original"): flat, ("LMF", "fg"): sure}, label, task="classification")
    cases = {case.id: case for case in case_study(found, *cells(found)).cases}
    assert cases["v_00"].variant.mean == pytest.approx(0.8)
    assert cases["v_00"].gain == pytest.approx(0.8 - 1 / 3)
    assert (cases["v_01"].truth, cases["v_01"].variant.said) == ("positive", "neutral")
    assert cases["v_01"].gain == pytest.approx(0.1 - 1 / 3)


def test_picked_by_hand() -> None:
    found = results({("LMF", "original"): BASE, ("LMF", "fg"): variant_with(GAINS)}, LABEL)
    (study,) = case_studies(found, plan(), ids=["v_05", "v_00", "v_05"])
    assert [(case.id, case.group) for case in study.cases] == [("v_05", "picked"), ("v_00", "picked")]
    assert "by hand" in study.rule
    with pytest.raises(InputError, match="'v_99'") as caught:
        case_studies(found, plan(), ids=["v_00", "v_99"])
    assert "v_00" in caught.value.hint


def test_the_model_is_the_papers_or_the_first_or_the_one_named() -> None:
    arms = {(model, variant): BASE for model in ("LMF", "TFN", "MulT") for variant in ("original", "fg")}
    found = results(arms, LABEL)
    assert [study.model for study in case_studies(found, plan())] == ["MulT"]
    assert [study.model for study in case_studies(found, plan(), model="TFN")] == ["TFN"]
    without = results({key: arm for key, arm in arms.items() if key[0] != "MulT"}, LABEL)
    assert [study.model for study in case_studies(without, plan())] == ["LMF"]
    with pytest.raises(InputError, match="MFN"):
        case_studies(found, plan(), model="MFN")


def test_a_model_without_a_variant_is_passed_over() -> None:
    found = results({("LMF", "original"): BASE, ("TFN", "original"): BASE, ("TFN", "a"): BASE}, LABEL)
    assert [study.names for study in case_studies(found, plan())] == [("TFN", "TFN-a")]
