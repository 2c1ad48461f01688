"""The harness's metrics as sums over items: what `harness.metrics` computes, in the form that can be resampled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.spec import Convention, Task
from harness.statistics import ItemSums, accuracy_sums, correlation_sums, f1_sums, mean_sums

_CUTS = {"Acc-2": (0.0,), "F1": (0.0,), "Acc-3": (-0.1, 0.1), "Acc-5": (-0.7, -0.1, 0.1, 0.7)}


def metric_sums(task: Task, convention: Convention, label: NDArray[Any], pred: NDArray[Any]) -> dict[str, ItemSums]:
    """label: (items,), pred: (seeds, items) or (seeds, items, 3); finite."""
    if task == "classification":
        return _classification(label, pred)
    return _mosei(label, pred) if convention == "mosei" else _sims(label, pred)


def _mosei(label: NDArray[Any], pred: NDArray[Any]) -> dict[str, ItemSums]:
    nonzero = label != 0
    found = {
        "Acc-2/has-0": accuracy_sums(label >= 0, pred >= 0),
        "Acc-2/non-0": accuracy_sums(label > 0, pred > 0, nonzero),
        "F1/has-0": f1_sums(label >= 0, pred >= 0),
        "F1/non-0": f1_sums(label > 0, pred > 0, nonzero),
    }
    for bound, name in ((1, "Acc-3"), (2, "Acc-5"), (3, "Acc-7")):
        found[name] = accuracy_sums(*(np.round(np.clip(scores, -bound, bound)) for scores in (label, pred)))
    error = np.abs(pred.astype(np.float64) - label.astype(np.float64))
    return found | {"MAE": mean_sums(error), "Corr": correlation_sums(label, pred)}


def _sims(label: NDArray[Any], pred: NDArray[Any]) -> dict[str, ItemSums]:
    label, pred = np.clip(label, -1, 1), np.clip(pred, -1, 1)
    found = {}
    for name, cuts in _CUTS.items():
        classes = [np.searchsorted(np.asarray(cuts, scores.dtype), scores, side="left") for scores in (label, pred)]
        found[name] = (f1_sums if name == "F1" else accuracy_sums)(*classes)
    error = np.abs(pred.astype(np.float64) - label.astype(np.float64))
    return found | {"MAE": mean_sums(error), "Corr": correlation_sums(label, pred)}


def _classification(label: NDArray[Any], logits: NDArray[Any]) -> dict[str, ItemSums]:
    three, two = logits.argmax(axis=-1), logits[..., [0, 2]].argmax(axis=-1)
    positive, polar = label > 1, label != 1
    return {
        "Acc-2/has-0": accuracy_sums(positive, two),
        "Acc-2/non-0": accuracy_sums(label, two, polar),
        "Acc-2/non-0/corrected": accuracy_sums(positive, two, polar),
        "F1/has-0": f1_sums(positive, two),
        "F1/non-0": f1_sums(label, two, polar),
        "F1/non-0/corrected": f1_sums(positive, two, polar),
        "Acc-3": accuracy_sums(label, three),
        "F1-3": f1_sums(label, three),
    }
