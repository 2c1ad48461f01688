"""Metrics as sums over test utterances: the definitions of `harness.metrics` in the form that can be resampled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metrics import Reduction, metrics_for, reductions
from harness.spec import Convention, Task
from harness.statistics import ItemSums, accuracy_sums, correlation_sums, f1_sums, mean_sums

__all__ = ["tallies"]


def tallies(task: Task, convention: Convention, label: NDArray[Any], pred: NDArray[Any]) -> dict[str, ItemSums]:
    """Return every metric of a task and convention as `ItemSums`, over seeds.

    Parameters
    ----------
    task, convention
        Which definitions apply.
    label : array, shape (N,)
        Regression scores, or classes 0, 1, 2.
    pred : array, shape (S, N) or (S, N, 3)
        Predicted scores, or logits of the three classes, for each of S seeds. One that is not finite makes every
        metric of its seed undefined, as in `harness.metrics.compute`.

    Raises
    ------
    ValueError
        If there is no seed or utterance, or the shapes do not fit.
    """
    wanted = (*pred.shape[:1], *label.shape, 3) if task == "classification" else (*pred.shape[:1], *label.shape)
    if label.ndim != 1 or 0 in pred.shape or pred.shape != wanted:
        raise ValueError(f"predictions of shape {pred.shape} do not fit labels of shape {label.shape} in {task}")
    finite = np.isfinite(pred).reshape(pred.shape[0], -1).all(axis=1)
    reduced = reductions(task, convention, label, np.where(finite.reshape(-1, *[1] * (pred.ndim - 1)), pred, 0))
    return {metric.name: _sums(reduced[metric.name], finite) for metric in metrics_for(task, convention)}


def _sums(reduced: Reduction, finite: NDArray[np.bool_]) -> ItemSums:
    pred = np.where(finite[:, None], reduced.pred.astype(np.float64), np.nan)
    if reduced.kind == "mae":
        return mean_sums(np.abs(pred - reduced.truth.astype(np.float64)), reduced.keep)
    if reduced.kind == "corr":
        return correlation_sums(reduced.truth, pred)
    sums = accuracy_sums if reduced.kind == "accuracy" else f1_sums
    return sums(reduced.truth, pred, reduced.keep)
