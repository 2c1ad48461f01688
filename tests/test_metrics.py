"""Metrics against MMSA's own evaluation and scikit-learn, on arrays that hit every boundary."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from MMSA.utils.metricsTop import MetricsTop
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from harness import metrics
from harness.errors import InputError
from harness.spec import Convention, Task

NAMES: dict[tuple[Task, Convention], dict[str, str]] = {
    ("regression", "mosei"): {
        "Acc-2/has-0": "Has0_acc_2",
        "Acc-2/non-0": "Non0_acc_2",
        "F1/has-0": "Has0_F1_score",
        "F1/non-0": "Non0_F1_score",
        "Acc-5": "Mult_acc_5",
        "Acc-7": "Mult_acc_7",
        "MAE": "MAE",
        "Corr": "Corr",
    },
    ("regression", "sims"): {
        "Acc-2": "Mult_acc_2",
        "F1": "F1_score",
        "Acc-3": "Mult_acc_3",
        "Acc-5": "Mult_acc_5",
        "MAE": "MAE",
        "Corr": "Corr",
    },
    ("classification", "mosei"): {
        "Acc-2/has-0": "Has0_acc_2",
        "Acc-2/non-0": "Non0_acc_2",
        "F1/has-0": "Has0_F1_score",
        "F1/non-0": "Non0_F1_score",
        "Acc-3": "Acc_3",
        "F1-3": "F1_score_3",
    },
}


def mmsa(task: Task, convention: Convention, label: NDArray[Any], pred: NDArray[Any]) -> dict[str, float]:
    """What MMSA's own evaluation prints, under the harness's names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MMSA divides by zero on constant predictions
        printed = MetricsTop(task).getMetics(convention)(torch.from_numpy(pred), torch.from_numpy(label))
    return {ours: float(printed[theirs]) for ours, theirs in NAMES[task, convention].items()}


def samples(seed: int, n: int, convention: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Labels on the annotators' grid and predictions that often sit exactly on a cut."""
    rng = np.random.default_rng(seed)
    if convention == "sims":
        label = rng.integers(-5, 6, n) / 5
        pred = np.where(rng.random(n) < 0.5, rng.integers(-12, 13, n) / 10, rng.normal(0, 0.7, n))
    else:
        label = rng.integers(-9, 10, n) / 3
        pred = np.where(rng.random(n) < 0.5, rng.integers(-8, 9, n) / 2, rng.normal(0, 2, n))
    label[:2] = [-1.0, 1.0]
    return label.astype(np.float32), pred.astype(np.float32)


@pytest.mark.parametrize("convention", ["mosei", "sims"])
@given(seed=st.integers(0, 10_000), n=st.sampled_from([4, 31, 160, 457, 800]))
@settings(max_examples=60, deadline=None)
def test_regression_equals_mmsa(convention: Convention, seed: int, n: int) -> None:
    label, pred = samples(seed, n, convention)
    ours = metrics.compute("regression", convention, label, pred)
    for name, printed in mmsa("regression", convention, label, pred).items():
        assert ours[name].mmsa == pytest.approx(printed, abs=0, rel=0, nan_ok=True), name
        assert ours[name].value == pytest.approx(printed, abs=5.1e-5, nan_ok=True), name


@given(seed=st.integers(0, 10_000), n=st.sampled_from([4, 31, 160, 457, 800]))
@settings(max_examples=60, deadline=None)
def test_classification_equals_mmsa(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, n)
    label[:2] = [0, 2]
    logits = np.round(rng.normal(size=(n, 3)), 1).astype(np.float32)  # rounded: ties between classes occur
    ours = metrics.compute("classification", "mosei", label, logits)
    for name, printed in mmsa("classification", "mosei", label, logits).items():
        assert ours[name].mmsa == printed, name


def test_corrected_non0_counts_positives() -> None:
    label = np.array([0, 2, 2, 1])
    logits = np.array([[2, 0, 1], [0, 0, 1], [0, 5, 1], [1, 0, 0]], dtype=np.float32)
    scored = metrics.compute("classification", "mosei", label, logits)
    assert scored["Acc-2/non-0"].value == pytest.approx(1 / 3)  # the negative alone
    assert scored["Acc-2/non-0/corrected"].value == 1.0
    assert scored["Acc-2/non-0/corrected"].mmsa is None


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_weighted_f1_equals_sklearn(pairs: list[tuple[int, int]]) -> None:
    truth, pred = (np.array(column) for column in zip(*pairs, strict=True))
    expected = f1_score(truth, pred, average="weighted", zero_division=0)
    assert metrics.weighted_f1(truth, pred) == pytest.approx(expected, abs=1e-12)


def test_undefined_metrics_are_nan_not_an_error() -> None:
    scored = metrics.compute("regression", "mosei", np.zeros(5, np.float32), np.ones(5, np.float32))
    assert np.isnan(scored["Corr"].value)
    assert np.isnan(scored["Acc-2/non-0"].value)
    assert scored["MAE"].value == 1.0


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        metrics.compute("regression", "sims", np.zeros(3, np.float32), np.zeros((3, 3), np.float32))
    with pytest.raises(InputError, match="shape"):
        metrics.compute("classification", "sims", np.zeros(0, np.int64), np.zeros((0, 3), np.float32))


def test_signatures_tell_definitions_apart() -> None:
    tables: list[tuple[Task, Convention]] = [
        ("regression", "mosei"),
        ("regression", "sims"),
        ("classification", "mosei"),
    ]
    signatures = [m.signature for task, convention in tables for m in metrics.metrics_for(task, convention)]
    assert len(signatures) == len(set(signatures))
    assert set(metrics.all_metrics()) >= {"Acc-2", "Acc-7", "MAE", "F1-3"}


def test_no_class_is_drawn_from_nan() -> None:
    label, pred = samples(0, 31, "sims")
    pred[3] = np.nan
    assert all(np.isnan(v.value) for v in metrics.compute("regression", "sims", label, pred).values())
    assert all(np.isnan(v.value) for v in metrics.compute("regression", "mosei", label, pred).values())
