"""MAE beside accuracies on CH-SIMS: against simulated predictions, reached ends, and planted contradictions."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.audit.classes import TEST_CLASSES
from harness.audit.distances import mae_and_accuracies
from harness.metrics import compute
from harness.published import Tables, load
from tests.audit.toy import ORIGINAL, simulate

SIMS = TEST_CLASSES["sims"]
Floats = NDArray[np.float32]


def labels(rng: np.random.Generator) -> Floats:
    size = rng.integers(1, 6, size=SIMS.total) / 5
    return (np.repeat([-1, 0, 1], (SIMS.negative, SIMS.neutral, SIMS.positive)) * size).astype(np.float32)


def printed(label: Floats, preds: list[Floats]) -> Tables:
    """The tables of one model whose original's row is computed from these predictions, one array a seed."""
    runs = [compute("regression", "sims", label, pred) for pred in preds]
    tables = simulate(0)
    for name, percent in (("Acc-2", True), ("Acc-3", True), ("Acc-5", True), ("MAE", False)):
        mean = float(np.mean([run[name].mmsa for run in runs if run[name].mmsa is not None]))
        text = f"{Decimal(100 * mean):.2f}" if percent else f"{mean:.3f}"
        tables = tables.reprinted(5, ORIGINAL, name, text)
    return tables


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_simulated_runs_keep_the_bounds(seed: int, seeds: int) -> None:
    rng = np.random.default_rng(seed)
    label = labels(rng)
    preds = []
    for _ in range(seeds):
        pull, noise, shift = rng.uniform(-2, 2), rng.uniform(0, 2), rng.normal()
        preds.append((pull * label + shift + noise * rng.normal(size=label.size)).astype(np.float32))
    assert list(mae_and_accuracies(printed(label, preds))) == []


def nearest(label: Floats) -> Floats:
    """The wrong answer among five that is nearest to each label."""
    return np.where(label > 0.7, 0.7, np.where(label > 0.1, 0.1, np.where(label > -0.1, 0.101, label + 0.11)))


@pytest.mark.parametrize("kind", ["nearest", "farthest", "truth"])
def test_extreme_predictions_keep_the_bounds(kind: str) -> None:
    label = labels(np.random.default_rng(0))
    pred = {"nearest": nearest(label), "farthest": np.where(label > 0, -1, 1), "truth": label}[kind]
    assert list(mae_and_accuracies(printed(label, [pred.astype(np.float32)]))) == []


@pytest.mark.parametrize("text", ["0.044", "1.299"])  # 0.441 with a slipped digit, and more than all can be off
def test_what_cannot_be_is_found(text: str) -> None:
    assert list(mae_and_accuracies(load())) == []
    (finding,) = mae_and_accuracies(load().reprinted(5, ("LMF", "original", "reproduction"), "MAE", text))
    assert (finding.kind, finding.row, finding.column, finding.severity) == ("mae", "#LMF", "MAE", "error")


def test_the_lower_bound_is_nearly_reached() -> None:
    """Every answer wrong by as little as can be: those on positive labels also among two classes."""
    label = np.repeat([-0.2, 0.0, 0.2], (SIMS.negative, SIMS.neutral, SIMS.positive)).astype(np.float32)
    pred = np.where(label < 0, 0.001, np.where(label > 0, 0.0, 0.101)).astype(np.float32)
    tables = printed(label, [pred])
    least = 0.2 * (SIMS.negative + SIMS.positive) / SIMS.total + 0.1 * SIMS.neutral / SIMS.total
    assert list(mae_and_accuracies(tables)) == []
    (finding,) = mae_and_accuracies(tables.reprinted(5, ORIGINAL, "MAE", f"{least - 0.002:.3f}"))
    assert finding.kind == "mae"


def test_the_upper_bound_is_nearly_reached() -> None:
    """Opposite ends where the answer is wrong among two classes, opposite ends of an interval of five elsewhere."""
    label = np.repeat([-1.0, 0.0, 0.2], (SIMS.negative, SIMS.neutral, SIMS.positive)).astype(np.float32)
    pred = np.where(label < 0, 1.0, np.where(label > 0, 0.7, -0.099)).astype(np.float32)
    tables = printed(label, [pred])
    most = (2 * SIMS.negative + 0.5 * (SIMS.positive + SIMS.neutral)) / SIMS.total
    assert list(mae_and_accuracies(tables)) == []
    (finding,) = mae_and_accuracies(tables.reprinted(5, ORIGINAL, "MAE", f"{most + 0.002:.3f}"))
    assert finding.kind == "mae"


def test_other_data_sets_are_not_judged() -> None:
    assert list(mae_and_accuracies(load().reprinted(4, ("LMF", "original", "mmsa"), "MAE", "0.001"))) == []
