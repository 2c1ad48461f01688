"""Metrics as functions of sums over test items, so that a resample of the items is one row of a matrix product.

A metric that can be written as ``finish(sum of columns over the items)`` is evaluated on ten thousand resamples by
multiplying a matrix of how often each item was drawn with the columns. Accuracies, F1, MAE and Corr all can; a median
could not. What is a hit, a class or an item to be kept is decided by the caller: this room knows no data set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.statistics.arrays import FloatArray

__all__ = ["ItemSums", "accuracy_sums", "correlation_sums", "f1_sums", "mean_sums"]

_NO_VARIANCE = 1e-12
"""A variance below this share of the mean square (an sd of a millionth of the distance) is rounding of a constant."""


@dataclass(frozen=True, eq=False)
class ItemSums:
    """One metric of one arm: what to sum over the items, and what to make of the sums.

    Attributes
    ----------
    columns : array, shape (seeds, k, items)
        What is summed, for each seed.
    finish : callable
        Sums of shape (..., k) to values of shape (...), NaN where the metric is not defined; must not warn.
    """

    columns: FloatArray
    finish: Callable[[FloatArray], FloatArray]

    def __post_init__(self) -> None:
        if self.columns.ndim != 3 or 0 in self.columns.shape:
            raise ValueError(f"columns must have the shape (seeds, k, items), none of them 0, got {self.columns.shape}")

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return int(self.columns.shape[0])

    @property
    def items(self) -> int:
        """Number of test items."""
        return int(self.columns.shape[2])

    def values(self) -> FloatArray:
        """Return the metric on the items as they are, one value per seed."""
        return self.finish(self.columns.sum(axis=-1))


def mean_sums(values: ArrayLike, keep: ArrayLike | None = None) -> ItemSums:
    """Return the mean of a per-item number, such as the absolute error.

    Parameters
    ----------
    values : array_like, shape (items,) or (seeds, items)
        NaN makes the metric undefined for its seed, also where the item is not kept.
    keep : array_like of bool, shape (items,), optional
        The items that count; all by default.
    """
    scored = _per_seed(values).astype(np.float64)
    kept = _kept(keep, scored.shape[1])
    weights = np.broadcast_to(kept.astype(np.float64), scored.shape)
    return ItemSums(np.stack([scored * kept, weights], axis=1), _ratio)


def accuracy_sums(truth: ArrayLike, pred: ArrayLike, keep: ArrayLike | None = None) -> ItemSums:
    """Return the share of items whose predicted class is the true one.

    Parameters
    ----------
    truth : array_like, shape (items,)
        True classes.
    pred : array_like, shape (items,) or (seeds, items)
        Predicted classes. NaN makes the metric undefined for its seed.
    keep : array_like of bool, shape (items,), optional
        The items that count; all by default.
    """
    true, guessed = _pair(truth, pred)
    return mean_sums(np.where(_missing(guessed), np.nan, true == guessed), keep)


def f1_sums(truth: ArrayLike, pred: ArrayLike, keep: ArrayLike | None = None) -> ItemSums:
    """Return F1 per class, averaged with the classes' shares in `truth` as weights; a class never predicted scores 0.

    Parameters
    ----------
    truth : array_like, shape (items,)
        True classes.
    pred : array_like, shape (items,) or (seeds, items)
        Predicted classes. NaN makes the metric undefined for its seed.
    keep : array_like of bool, shape (items,), optional
        The items that count; all by default.
    """
    true, guessed = _pair(truth, pred)
    kept = _kept(keep, true.size)
    classes = np.unique(true[kept])[:, None]
    if classes.size == 0:
        return mean_sums(np.broadcast_to(np.nan, guessed.shape))
    actual = np.broadcast_to((true == classes) & kept, (guessed.shape[0], classes.size, true.size))
    predicted = (guessed[:, None, :] == classes) & kept
    columns = np.concatenate([actual & predicted, actual, predicted], axis=1).astype(np.float64)
    columns[np.broadcast_to(_missing(guessed)[:, None, :], columns.shape)] = np.nan
    return ItemSums(columns, _weighted_f1)


def correlation_sums(label: ArrayLike, pred: ArrayLike) -> ItemSums:
    """Return Pearson's correlation of labels and predictions, NaN where one of them is constant.

    Parameters
    ----------
    label : array_like, shape (items,)
        True scores.
    pred : array_like, shape (items,) or (seeds, items)
        Predicted scores. NaN makes the metric undefined for its seed.
    """
    true, guessed = (scores.astype(np.float64) for scores in _pair(label, pred))
    # Centred first: the variance is a difference of sums, which would cancel for scores far from zero. All by the mean
    # of the labels, so that two arms can swap predictions in a randomization test.
    x = np.broadcast_to(true - true.mean(), guessed.shape)
    y = guessed - true.mean()
    return ItemSums(np.stack([np.ones_like(y), x, y, x * x, y * y, x * y], axis=1), _pearson)


def _ratio(sums: FloatArray) -> FloatArray:
    total, count = sums[..., 0], sums[..., 1]
    value: FloatArray = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return value


def _weighted_f1(sums: FloatArray) -> FloatArray:
    hits, actual, predicted = np.split(sums, 3, axis=-1)
    both = actual + predicted
    score = np.divide(2 * hits, both, out=np.zeros(hits.shape), where=both != 0)  # != keeps NaN
    return _ratio(np.stack([(actual * score).sum(axis=-1), actual.sum(axis=-1)], axis=-1))


def _pearson(sums: FloatArray) -> FloatArray:
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread_x, spread_y = xx - x * x / n, yy - y * y / n
    defined = (spread_x > _NO_VARIANCE * xx) & (spread_y > _NO_VARIANCE * yy)
    scale = np.sqrt(np.where(defined, spread_x * spread_y, 1.0))
    return np.where(defined, (xy - x * y / n) / scale, np.nan)


def _per_seed(values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"values must have the shape (items,) or (seeds, items), not empty, got {array.shape}")
    return np.atleast_2d(array)


def _pair(truth: ArrayLike, pred: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    true, guessed = np.asarray(truth), _per_seed(pred)
    if true.shape != guessed.shape[1:]:
        raise ValueError(f"truth of shape {true.shape} does not fit predictions of shape {np.shape(pred)}")
    return true, guessed


def _kept(keep: ArrayLike | None, items: int) -> NDArray[np.bool_]:
    kept = np.ones(items, dtype=bool) if keep is None else np.asarray(keep, dtype=bool)
    if kept.shape != (items,):
        raise ValueError(f"keep of shape {kept.shape} does not fit {items} items")
    return kept


def _missing(scores: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where predictions are not finite."""
    missing: NDArray[np.bool_] = ~np.isfinite(scores)
    return missing
