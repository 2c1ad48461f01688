"""Three-class F1 beside its accuracy: against every confusion matrix, and on the paper's tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.audit.classes import TEST_CLASSES
from harness.audit.three_classes import three_class_f1, three_class_range
from harness.metrics import compute
from harness.published import load

SLACK = 1.1e-4
SIMS = (248, 69, 140)


def rows_of(count: int) -> Iterator[tuple[int, int, int]]:
    for first, second in itertools.product(range(count + 1), repeat=2):
        if first + second <= count:
            yield first, second, count - first - second


def reached(counts: tuple[int, int, int]) -> NDArray[np.float64]:
    """Accuracy and weighted F1 of every confusion matrix, by the definition."""
    matrices = np.array(list(itertools.product(*map(rows_of, counts))), dtype=float)
    right = np.diagonal(matrices, axis1=1, axis2=2)
    f1 = (np.array(counts) * 2 * right / (np.array(counts) + matrices.sum(axis=1))).sum(axis=1) / sum(counts)
    return np.column_stack([right.sum(axis=1) / sum(counts), f1])


@pytest.mark.parametrize("counts", [(7, 4, 5), (3, 3, 3), (9, 1, 2), (1, 1, 1)])
def test_every_confusion_matrix_is_in_range(counts: tuple[int, int, int]) -> None:
    points = reached(counts)
    for accuracy in np.unique(points[:, 0]):
        low, high = three_class_range(counts, float(accuracy))
        scores = points[points[:, 0] == accuracy, 1]
        assert low <= scores.min()
        assert scores.max() <= high
    assert three_class_range(counts, 1.0)[0] == pytest.approx(1.0, abs=3 * SLACK)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_means_over_seeds_are_in_range(seed: int, seeds: int) -> None:
    rng = np.random.default_rng(seed)
    label = np.repeat([0.0, 1.0, 2.0], SIMS)
    scores = []
    for _ in range(seeds):
        pull, lean = rng.uniform(-1, 4), rng.normal(0, rng.uniform(0, 3), size=3)
        pred = (pull * np.eye(3)[label.astype(int)] + lean + rng.normal(size=(label.size, 3))).astype(np.float32)
        found = compute("classification", "sims", label, pred)
        scores.append([round(found[name].value, 4) for name in ("Acc-3", "F1-3")])
    accuracy, f1 = (round(float(value), 4) for value in np.mean(scores, axis=0))
    low, high = three_class_range(SIMS, accuracy)
    assert low <= f1 <= high


def test_the_upper_bound_is_nearly_reached() -> None:
    """With the class counts of CH-SIMS, against every number of right answers and every corner of the wrong ones."""
    best = np.zeros(sum(SIMS) + 1)
    for a, b, c in itertools.permutations(SIMS):
        t_a, t_b, t_c = np.ogrid[: a + 1, : b + 1, : c + 1]
        total = t_a + t_b + t_c
        f1 = 2 * a * t_a / (a + t_a) + 2 * b * t_b / np.maximum(a + b + c - total + 2 * t_b, 1)
        f1 = (f1 + 2 * c * t_c / (c + b - t_b + t_c)) / (a + b + c)
        np.maximum.at(best, total.ravel(), f1.ravel())
    for right in range(100, sum(SIMS), 40):
        # What the mean of two kinds of seeds can reach: the highest chord over this number of right answers.
        below, above = np.arange(right)[:, None], np.arange(right + 1, sum(SIMS) + 1)[None, :]
        chords = best[below] + (best[above] - best[below]) * (right - below) / (above - below)
        reach = max(float(chords.max()), float(best[right]))
        _, high = three_class_range(SIMS, right / sum(SIMS))
        assert reach <= high < reach + 0.005


def test_both_bounds_are_sharper_than_those_for_any_classes() -> None:
    for classes in TEST_CLASSES.values():
        counts = (classes.negative, classes.neutral, classes.positive)
        for accuracy in (0.5, 0.67, 0.8):
            low, high = three_class_range(counts, accuracy)
            assert accuracy**2 < low < high < 2 * accuracy / (1 + accuracy) - 0.04


def test_nothing_is_found_in_the_paper_and_a_planted_score_is() -> None:
    assert list(three_class_f1(load())) == []
    for text in ("75.00", "45.00"):  # within the bounds for any classes, 43.07 to 79.27
        after = load().reprinted(7, ("LMF", "original", "reproduction"), "F1-3", text)
        (finding,) = three_class_f1(after)
        assert (finding.kind, finding.table, finding.row, finding.column) == ("f1-balance", 7, "#LMF", "F1-3")
        assert finding.severity == "error"
