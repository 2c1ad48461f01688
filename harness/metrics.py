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

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import InputError
from harness.spec import Convention, Task

__all__ = [
    "CLASSES",
    "Metric",
    "MetricValue",
    "Reduction",
    "all_metrics",
    "compute",
    "definition",
    "metrics_for",
    "reductions",
    "weighted_f1",
]

FloatArray = NDArray[np.floating[Any]]
Kind = Literal["accuracy", "f1", "mae", "corr"]
CLASSES = ("negative", "neutral", "positive")
"""What the labels 0, 1 and 2 of classification mean."""
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
_BY_NAME = {
    metric.name: metric for metrics in (_MOSEI_REGRESSION, _SIMS_REGRESSION, _CLASSIFICATION) for metric in metrics
}
_NOT_IN_MMSA = frozenset({"Acc-2/non-0/corrected", "F1/non-0/corrected"})
_ROUNDED_BY_NUMPY: dict[tuple[Task, Convention], frozenset[str]] = {
    ("regression", "mosei"): frozenset({"Acc-3", "Acc-5", "Acc-7"}),
    ("regression", "sims"): frozenset({"Acc-2", "Acc-3", "Acc-5"}),
}
"""Accuracies that MMSA holds as NumPy numbers: NumPy and Python round ties such as 39/160 differently."""


def metrics_for(task: Task, convention: Convention) -> tuple[Metric, ...]:
    """Return the metrics of a task under a data set's convention, in the paper's column order."""
    if task == "classification":
        return _CLASSIFICATION
    return _MOSEI_REGRESSION if convention == "mosei" else _SIMS_REGRESSION


def all_metrics() -> tuple[str, ...]:
    """Return every metric name that exists under any task and convention."""
    return tuple(_BY_NAME)


def definition(name: str) -> Metric | None:
    """Return a metric of that name: unit and direction are the same under every task and convention."""
    return _BY_NAME.get(name)


@dataclass(frozen=True, eq=False)
class Reduction:
    """What a metric is made of: the true and predicted class or score of every utterance, and which utterances count.

    Attributes
    ----------
    kind : {"accuracy", "f1", "mae", "corr"}
        How the two are compared; F1 is averaged with the classes' shares as weights.
    truth : array, shape (N,)
        Classes, or scores for MAE and Corr.
    pred : array, shape (..., N)
        The same of the predictions.
    keep : array of bool, shape (N,), or None
        The utterances that count; None for all.
    """

    kind: Kind
    truth: NDArray[Any]
    pred: NDArray[Any]
    keep: NDArray[np.bool_] | None = None


def reductions(task: Task, convention: Convention, label: NDArray[Any], pred: FloatArray) -> dict[str, Reduction]:
    """Reduce labels and predictions to what each metric of a task and convention compares.

    Parameters
    ----------
    task, convention
        Which definitions apply.
    label : array, shape (N,)
        Regression scores, or classes 0, 1, 2.
    pred : array, shape (..., N) or (..., N, 3)
        Predicted scores, or logits of the three classes; axes before those, such as seeds, are kept.
    """
    if task == "classification":
        return _classification(label, pred)
    return _mosei(label, pred) if convention == "mosei" else _sims(label, pred)


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
    names = [metric.name for metric in metrics_for(task, convention)]
    if np.all(np.isfinite(pred)):
        reduced = reductions(task, convention, label, pred)
        by_numpy = _ROUNDED_BY_NUMPY.get((task, convention), frozenset())
        scores = {name: _score(reduced[name], by_numpy=name in by_numpy) for name in names}
    else:
        scores = dict.fromkeys(names, (float("nan"), float("nan")))
    return {
        name: MetricValue(value=float(value), mmsa=None if name in _NOT_IN_MMSA else float(printed))
        for name, (value, printed) in scores.items()
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


def _score(reduced: Reduction, *, by_numpy: bool) -> tuple[float, float]:
    """Return a metric in double precision, and as MMSA rounds it to four digits."""
    truth, pred = reduced.truth, reduced.pred
    if reduced.keep is not None:
        truth, pred = truth[reduced.keep], pred[reduced.keep]
    if reduced.kind == "mae":
        return _mae(truth, pred)
    if reduced.kind == "corr":
        value = _corr(truth, pred)
        return value, float(round(np.float64(value), 4))
    value = _accuracy(truth, pred) if reduced.kind == "accuracy" else weighted_f1(truth, pred)
    return value, float(round(np.float64(value), 4)) if by_numpy else round(value, 4)


def _accuracy(truth: NDArray[Any], pred: NDArray[Any]) -> float:
    return float(np.count_nonzero(truth == pred) / truth.size) if truth.size else float("nan")


def _mae(label: FloatArray, pred: FloatArray) -> tuple[float, float]:
    exact = float(np.mean(np.abs(pred.astype(np.float64) - label.astype(np.float64))))
    single = np.mean(np.absolute(pred.astype(np.float32) - label.astype(np.float32))).astype(np.float64)
    return exact, float(round(single, 4))


def _corr(label: FloatArray, pred: FloatArray) -> float:
    if label.size < 2 or np.ptp(label) == 0 or np.ptp(pred) == 0:
        return float("nan")
    return float(np.corrcoef(pred, label)[0][1])


def _mosei(label: FloatArray, pred: FloatArray) -> dict[str, Reduction]:
    nonzero = label != 0
    found = {
        "Acc-2/has-0": Reduction("accuracy", label >= 0, pred >= 0),
        "Acc-2/non-0": Reduction("accuracy", label > 0, pred > 0, nonzero),
        "F1/has-0": Reduction("f1", label >= 0, pred >= 0),
        "F1/non-0": Reduction("f1", label > 0, pred > 0, nonzero),
        "MAE": Reduction("mae", label, pred),
        "Corr": Reduction("corr", label, pred),
    }
    for bound, name in ((1.0, "Acc-3"), (2.0, "Acc-5"), (3.0, "Acc-7")):
        truth, guess = (np.round(np.clip(scored, -bound, bound)) for scored in (label, pred))
        found[name] = Reduction("accuracy", truth, guess)
    return found


def _sims(label: FloatArray, pred: FloatArray) -> dict[str, Reduction]:
    label, pred = (np.clip(scored, -1.0, 1.0) for scored in (label, pred))
    classes = {n: (_cut(label, cuts), _cut(pred, cuts)) for n, cuts in _SIMS_CUTS.items()}
    return {
        "Acc-2": Reduction("accuracy", *classes[2]),
        "F1": Reduction("f1", *classes[2]),
        "Acc-3": Reduction("accuracy", *classes[3]),
        "Acc-5": Reduction("accuracy", *classes[5]),
        "MAE": Reduction("mae", label, pred),
        "Corr": Reduction("corr", label, pred),
    }


def _cut(scored: FloatArray, cuts: tuple[float, ...]) -> NDArray[np.intp]:
    """Return the interval of each score, -1 for NaN.

    ``side="left"`` puts a value that equals a cut below it: right ends belong to the interval. The cuts take the
    precision of the scores, since 0.1 in single precision is not 0.1 in double.
    """
    places = np.searchsorted(np.asarray(cuts, dtype=scored.dtype), scored, side="left")
    return np.where(np.isnan(scored), -1, places)


def _classification(label: NDArray[Any], logits: FloatArray) -> dict[str, Reduction]:
    truth = label.astype(np.int64)
    three = np.argmax(logits, axis=-1)
    two = np.argmax(logits[..., [0, 2]], axis=-1)
    positive = (truth > 1).astype(np.int64)
    polar = truth != 1
    return {
        "Acc-2/has-0": Reduction("accuracy", positive, two),
        "Acc-2/non-0": Reduction("accuracy", truth, two, polar),
        "Acc-2/non-0/corrected": Reduction("accuracy", positive, two, polar),
        "F1/has-0": Reduction("f1", positive, two),
        "F1/non-0": Reduction("f1", truth, two, polar),
        "F1/non-0/corrected": Reduction("f1", positive, two, polar),
        "Acc-3": Reduction("accuracy", truth, three),
        "F1-3": Reduction("f1", truth, three),
    }
