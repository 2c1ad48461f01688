"""Metric definitions of the field, each with a signature, from arrays of labels and predictions.

Two conventions for regression, after Section 4.1.5 of the paper and the code behind its numbers (MMSA 2.2.1):
*mosei* (also used for MOSI) rounds scores to classes and prints Acc-2 and F1 twice, as has-0 / non-0; *sims* clips
labels and predictions to [-1, 1] and cuts them into intervals whose right ends belong to them. Classification has
three classes, 0 negative, 1 neutral, 2 positive, decided by three logits.

Every metric carries two numbers: ``value``, unrounded in double precision, and ``mmsa``, what MMSA prints, rounded to
four digits and summed in single precision as MMSA does. Where MMSA is wrong (the non-0 columns of classification
compare predictions in {0, 1} with labels in {0, 2}) the faithful metric keeps MMSA's definition and a ``/corrected``
metric stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import InputError
from harness.spec import Convention, Task

__all__ = ["Metric", "MetricValue", "all_metrics", "compute", "metrics_for", "weighted_f1"]

FloatArray = NDArray[np.floating[Any]]
_SIMS_CUTS = {2: (0.0,), 3: (-0.1, 0.1), 5: (-0.7, -0.1, 0.1, 0.7)}


@dataclass(frozen=True)
class MetricValue:
    """One measured metric: ``value`` unrounded, ``mmsa`` as MMSA rounds it (None where MMSA has no such metric)."""

    value: float
    mmsa: float | None


@dataclass(frozen=True)
class Metric:
    """What a metric is: its name, what it belongs to, which way is better, and the exact recipe as a signature."""

    name: str
    group: str
    percent: bool
    higher_is_better: bool
    signature: str
    note: str = ""


def _metric(name: str, recipe: str, *, higher: bool = True, note: str = "") -> Metric:
    group = name.split("/", maxsplit=1)[0]
    percent = group not in {"MAE", "Corr"}
    return Metric(name, group, percent, higher, f"{group}|{recipe}|v1", note)


_DEFECT = (
    "MMSA's value: predictions are reduced to {0, 1} but labels stay {0, 2}, so a positive utterance can never be "
    "counted right; the corrected metric stands beside it"
)
_MOSEI_REGRESSION = (
    _metric("Acc-2/has-0", "zero:keep|thr:>=0|clip:none"),
    _metric("Acc-2/non-0", "zero:drop|thr:>0|clip:none"),
    _metric("F1/has-0", "avg:weighted|zero:keep|thr:>=0|clip:none"),
    _metric("F1/non-0", "avg:weighted|zero:drop|thr:>0|clip:none"),
    _metric("Acc-3", "class:round|clip:1", note="computed by MMSA but not printed; not in the paper for MOSEI"),
    _metric("Acc-5", "class:round|clip:2"),
    _metric("Acc-7", "class:round|clip:3"),
    _metric("MAE", "clip:none", higher=False),
    _metric("Corr", "pearson|clip:none"),
)
_SIMS_REGRESSION = (
    _metric("Acc-2", "cut:0|right:closed|clip:1"),
    _metric("F1", "avg:weighted|cut:0|right:closed|clip:1"),
    _metric("Acc-3", "cut:-0.1,0.1|right:closed|clip:1"),
    _metric("Acc-5", "cut:-0.7,-0.1,0.1,0.7|right:closed|clip:1"),
    _metric("MAE", "clip:1", higher=False),
    _metric("Corr", "pearson|clip:1"),
)
_CLASSIFICATION = (
    _metric("Acc-2/has-0", "zero:negative|argmax:0,2"),
    _metric("Acc-2/non-0", "zero:drop|argmax:0,2|labels:0,2", note=_DEFECT),
    _metric("Acc-2/non-0/corrected", "zero:drop|argmax:0,2|labels:0,1"),
    _metric("F1/has-0", "avg:weighted|zero:negative|argmax:0,2"),
    _metric("F1/non-0", "avg:weighted|zero:drop|argmax:0,2|labels:0,2", note=_DEFECT),
    _metric("F1/non-0/corrected", "avg:weighted|zero:drop|argmax:0,2|labels:0,1"),
    _metric("Acc-3", "argmax:0,1,2"),
    _metric("F1-3", "avg:weighted|argmax:0,1,2"),
)
_NOT_IN_MMSA = frozenset({"Acc-2/non-0/corrected", "F1/non-0/corrected"})


def metrics_for(task: Task, convention: Convention) -> tuple[Metric, ...]:
    """Return the metrics of a task under a data set's convention, in the paper's column order."""
    if task == "classification":
        return _CLASSIFICATION
    return _MOSEI_REGRESSION if convention == "mosei" else _SIMS_REGRESSION


def all_metrics() -> tuple[str, ...]:
    """Return every metric name that exists under any task and convention."""
    names = (m.name for metrics in (_MOSEI_REGRESSION, _SIMS_REGRESSION, _CLASSIFICATION) for m in metrics)
    return tuple(dict.fromkeys(names))


def compute(task: Task, convention: Convention, label: NDArray[Any], pred: FloatArray) -> dict[str, MetricValue]:
    """Compute every metric of a task and convention.

    Parameters
    ----------
    task, convention
        Which definitions apply.
    label : array, shape (N,)
        Regression scores, or classes 0, 1, 2.
    pred : array, shape (N,) or (N, 3)
        Predicted scores, or logits of the three classes.

    Returns
    -------
    dict
        Metric name to `MetricValue`; accuracies and F1 are fractions in [0, 1]. A metric that is not defined on
        these arrays (Corr of constant predictions, non-0 without a non-zero label) is NaN; all are if a
        prediction is not finite, since a class drawn from NaN would look like a guess.

    Raises
    ------
    InputError
        If there is no sample or the shapes do not fit the task.
    """
    wanted = (label.shape[0], 3) if task == "classification" else (label.shape[0],)
    if label.ndim != 1 or label.shape[0] == 0 or pred.shape != wanted:
        raise InputError(
            f"cannot score predictions of shape {pred.shape} against labels of shape {label.shape}",
            where=f"{task} metrics",
            hint="give one label and one prediction (three logits in classification) per utterance",
        )
    if not np.all(np.isfinite(pred)):
        undefined = float("nan")
        return {
            metric.name: MetricValue(undefined, None if metric.name in _NOT_IN_MMSA else undefined)
            for metric in metrics_for(task, convention)
        }
    scorers: dict[str, Callable[[FloatArray, FloatArray], dict[str, tuple[float, float]]]] = {
        "mosei": _mosei,
        "sims": _sims,
    }
    scored = _classification(label, pred) if task == "classification" else scorers[convention](label, pred)
    return {
        metric.name: MetricValue(
            value=float(scored[metric.name][0]),
            mmsa=None if metric.name in _NOT_IN_MMSA else scored[metric.name][1],
        )
        for metric in metrics_for(task, convention)
    }


def weighted_f1(truth: NDArray[Any], pred: NDArray[Any]) -> float:
    """F1 per class, averaged with the classes' shares in `truth` as weights; a class never predicted scores 0."""
    if truth.size == 0:
        return float("nan")
    total = 0.0
    for cls in np.unique(truth):
        actual = truth == cls
        predicted = pred == cls
        hits = np.count_nonzero(actual & predicted)
        support = np.count_nonzero(actual)
        total += support * (2.0 * hits / (support + np.count_nonzero(predicted)))
    return float(total / truth.size)


def _accuracy(truth: NDArray[Any], pred: NDArray[Any]) -> float:
    return float(np.count_nonzero(truth == pred) / truth.size) if truth.size else float("nan")


def _both(value: float) -> tuple[float, float]:
    """A value that precision and order of summation cannot change: MMSA's is the same, rounded."""
    return value, round(float(value), 4)


def _multiclass(truth: NDArray[Any], pred: NDArray[Any]) -> tuple[float, float]:
    """Accuracy where MMSA rounds a NumPy number: NumPy and Python differ on ties such as 39/160."""
    value = _accuracy(truth, pred)
    return value, float(round(np.float64(value), 4))


def _mae(label: FloatArray, pred: FloatArray) -> tuple[float, float]:
    exact = float(np.mean(np.abs(pred.astype(np.float64) - label.astype(np.float64))))
    single = np.mean(np.absolute(pred.astype(np.float32) - label.astype(np.float32))).astype(np.float64)
    return exact, float(round(single, 4))


def _corr(label: FloatArray, pred: FloatArray) -> tuple[float, float]:
    if label.size < 2 or np.ptp(label) == 0 or np.ptp(pred) == 0:
        return float("nan"), float("nan")
    value = np.corrcoef(pred, label)[0][1]
    return float(value), float(round(value, 4))


def _mosei(label: FloatArray, pred: FloatArray) -> dict[str, tuple[float, float]]:
    nonzero = label != 0
    scores = {
        "Acc-2/has-0": _both(_accuracy(label >= 0, pred >= 0)),
        "Acc-2/non-0": _both(_accuracy(label[nonzero] > 0, pred[nonzero] > 0)),
        "F1/has-0": _both(weighted_f1(label >= 0, pred >= 0)),
        "F1/non-0": _both(weighted_f1(label[nonzero] > 0, pred[nonzero] > 0)),
        "MAE": _mae(label, pred),
        "Corr": _corr(label, pred),
    }
    for bound, name in ((1.0, "Acc-3"), (2.0, "Acc-5"), (3.0, "Acc-7")):
        classes = [np.round(np.clip(scored, -bound, bound)) for scored in (label, pred)]
        scores[name] = _multiclass(classes[0], classes[1])
    return scores


def _sims(label: FloatArray, pred: FloatArray) -> dict[str, tuple[float, float]]:
    label, pred = (np.clip(scored, -1.0, 1.0) for scored in (label, pred))
    # side="left" puts a value that equals a cut below it: right ends belong to the interval. The cuts take the
    # precision of the scores, since 0.1 in single precision is not 0.1 in double.
    classes = {
        n: [
            np.where(np.isnan(scored), -1, np.searchsorted(np.asarray(cuts, dtype=scored.dtype), scored, side="left"))
            for scored in (label, pred)
        ]
        for n, cuts in _SIMS_CUTS.items()
    }
    return {
        "Acc-2": _multiclass(*classes[2]),
        "F1": _both(weighted_f1(*classes[2])),
        "Acc-3": _multiclass(*classes[3]),
        "Acc-5": _multiclass(*classes[5]),
        "MAE": _mae(label, pred),
        "Corr": _corr(label, pred),
    }


def _classification(label: NDArray[Any], logits: FloatArray) -> dict[str, tuple[float, float]]:
    truth = label.astype(np.int64)
    three = np.argmax(logits, axis=1)
    two = np.argmax(logits[:, [0, 2]], axis=1)
    positive = (truth > 1).astype(np.int64)
    polar = truth != 1
    return {
        "Acc-2/has-0": _both(_accuracy(positive, two)),
        "Acc-2/non-0": _both(_accuracy(truth[polar], two[polar])),
        "Acc-2/non-0/corrected": _both(_accuracy(positive[polar], two[polar])),
        "F1/has-0": _both(weighted_f1(positive, two)),
        "F1/non-0": _both(weighted_f1(truth[polar], two[polar])),
        "F1/non-0/corrected": _both(weighted_f1(positive[polar], two[polar])),
        "Acc-3": _both(_accuracy(truth, three)),
        "F1-3": _both(weighted_f1(truth, three)),
    }
