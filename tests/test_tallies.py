"""Tallies against `harness.metrics.compute`: one definition in two forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.metrics import compute
from harness.spec import Convention, Task
from harness.tallies import tallies

KINDS: tuple[tuple[Task, Convention], ...] = (
    ("regression", "mosei"),
    ("regression", "sims"),
    ("classification", "mosei"),
)


def drawn(task: Task, items: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Three seeds; scores sit on the annotators' grid, so that many equal a cut."""
    rng = np.random.default_rng(seed)
    if task == "classification":
        return rng.integers(0, 3, items), rng.normal(size=(3, items, 3)).astype(np.float32)
    label, pred = (np.round(rng.normal(0, 1, shape), 1).astype(np.float32) for shape in (items, (3, items)))
    return label, pred


@pytest.mark.parametrize(("task", "convention"), KINDS)
@given(items=st.integers(1, 60), seed=st.integers(0, 2**20))
@settings(max_examples=40, deadline=None)
def test_a_tally_is_the_metric(task: Task, convention: Convention, items: int, seed: int) -> None:
    label, pred = drawn(task, items, seed)
    wanted = [compute(task, convention, label, one) for one in pred]
    for name, sums in tallies(task, convention, label, pred).items():
        assert sums.values() == pytest.approx([one[name].value for one in wanted], abs=1e-9, nan_ok=True), name


@pytest.mark.parametrize(("task", "convention"), KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_seed_with_a_prediction_that_is_not_finite_has_no_metric(
    task: Task, convention: Convention, bad: float
) -> None:
    label, pred = drawn(task, 40, 1)
    whole = tallies(task, convention, label, pred)
    pred[1, 7] = bad
    for name, sums in tallies(task, convention, label, pred).items():
        values = sums.values()
        assert np.isnan(values[1]), name
        assert values[[0, 2]] == pytest.approx(whole[name].values()[[0, 2]]), name


@pytest.mark.parametrize(("label", "pred"), [((5,), (2, 4)), ((5,), (2, 5, 3)), ((0,), (2, 0)), ((5,), (0, 5))])
def test_shapes_that_do_not_fit_are_refused(label: tuple[int, ...], pred: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        tallies("regression", "mosei", np.zeros(label), np.zeros(pred))
