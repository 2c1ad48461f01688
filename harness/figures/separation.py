"""How separated labelled point clouds are, measured in the original space and not in a t-SNE plane.

The number is the silhouette (Rousseeuw 1987): for each point the mean distance to its own group ``a`` and to the
nearest other group ``b`` give ``(b - a) / max(a, b)``; 1 means far apart, 0 no difference, below 0 nearer to another
group. Groups of *one* space, such as the classes of sentiment within a modality, need nothing else.

Clouds of *different* spaces do: text, audio and vision of a model have different widths, and no coordinate of one
means what the same coordinate of another means. `side_by_side` gives every cloud coordinates of its own and takes two
things as common, the origin (no activation) and the size (mean squared norm 1). A point x of one cloud and a point y of
another are then ``sqrt(|x|^2 + |y|^2)`` apart, however either space is rotated or its units are ordered. Others
choose otherwise: padding with zeros compares whatever units happen to share a place, and standardising each cloud
before PCA puts all of them on one centre, so that the silhouette is about 0 whatever was learned.

The choice has a consequence. Between clouds only the spread inside each can still vary, so the silhouette between
modalities rises when representations shrink to one point each, and reaches 1 where they ignore the utterance. It must
be read beside `spread`, and says nothing about sentiment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from harness.metrics import CLASSES, reductions
from harness.spec import Convention, Task
from harness.statistics import adjust, mean_interval, paired_t

__all__ = [
    "PLACE",
    "SENTIMENTS",
    "FloatArray",
    "Silhouette",
    "over_seeds",
    "paired",
    "sample",
    "sentiments",
    "side_by_side",
    "silhouette",
    "spread",
    "standardised",
    "varies",
]

FloatArray = NDArray[np.float64]

SENTIMENTS = CLASSES
"""The sentiments that utterances are told apart by, of scores by their sign."""

PLACE = ["dataset", "setting", "task", "model"]
"""What names a row of a figure: everything about a cell but its variant."""

_FAMILY = ["dataset", "setting", "task", "measure", "of"]
_COINCIDE = 1e-12
"""Spread below which points differ by no more than single precision rounds."""


@dataclass(frozen=True)
class Silhouette:
    """The mean silhouette of labelled points.

    Attributes
    ----------
    n : int
        Points used; those with a coordinate that is not finite are left out.
    value : float
        Mean over all points, in [-1, 1]; NaN where it is not defined.
    groups : Mapping
        Label to the mean over its points.
    note : str
        Why `value` is NaN, else empty.
    """

    n: int
    value: float
    groups: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


def silhouette(points: ArrayLike, labels: ArrayLike) -> Silhouette:
    """Return the mean silhouette, overall and by group (scikit-learn's ``silhouette_samples``, Euclidean).

    Parameters
    ----------
    points : array_like, shape (N, width) or (N,)
    labels : array_like, shape (N,)
        The group of each point. A point that is alone in its group counts as 0.

    Returns
    -------
    Silhouette
        NaN with a note for fewer than three points, one group, groups of one point each, and points that coincide.

    Raises
    ------
    ValueError
        If there is not one label per point.
    """
    where, names = _table(points), np.asarray(labels).astype(str)
    if names.shape != where.shape[:1]:
        raise ValueError(f"{where.shape[0]} points have labels of shape {names.shape}")
    kept = np.isfinite(where).all(axis=1)
    where, names = where[kept], names[kept]
    if note := _undefined(where, np.unique(names).size):
        return Silhouette(where.shape[0], np.nan, note=note)
    from sklearn.metrics import silhouette_samples

    # Centred, because distances come from squared norms: far from the origin they would lose their digits.
    each = silhouette_samples(where - where.mean(axis=0), names)
    groups = {str(name): float(each[names == name].mean()) for name in np.unique(names)}
    return Silhouette(where.shape[0], float(each.mean()), groups)


def spread(points: ArrayLike) -> float:
    """Return the share of the mean squared norm that is variance: 0 for one repeated point, 1 for a centred cloud.

    Parameters
    ----------
    points : array_like, shape (N, width) or (N,)
        Rows with a coordinate that is not finite are left out. NaN without points or if all lie in the origin.
    """
    where = _finite_rows(points)
    size = float(np.square(where).sum(axis=1).mean()) if where.size else 0.0
    return float(where.var(axis=0).sum() / size) if size > 0.0 else float("nan")


def varies(points: ArrayLike) -> bool:
    """Return whether points differ by more than single precision rounds; False without points."""
    return spread(points) > _COINCIDE


def standardised(points: ArrayLike) -> FloatArray:
    """Return columns with mean 0 and sd 1, shape (N, width); constant columns are 0.

    For raw features, whose columns are in units of their own. Learned representations stay as they are: their next
    layer sees them so. Rows with a value that is not finite do not count, and stay so.
    """
    where = _table(points)
    kept = _finite_rows(points)
    if not kept.size:
        return where
    mean, sd = kept.mean(axis=0), kept.std(axis=0)
    flat = sd <= np.sqrt(_COINCIDE) * np.abs(kept).max(axis=0)
    return np.where(flat & np.isfinite(where), 0.0, (where - mean) / np.where(flat, 1.0, sd))


def side_by_side(clouds: Mapping[str, ArrayLike]) -> tuple[FloatArray, NDArray[np.str_]]:
    """Put clouds of different spaces into one: coordinates of their own, a common origin, mean squared norm 1.

    Parameters
    ----------
    clouds : Mapping
        Name to points of shape (n, width); rows with a coordinate that is not finite are left out.

    Returns
    -------
    points : array, shape (sum of n, sum of widths)
    names : array of str, shape (sum of n,)
        Which cloud each point is of.
    """
    kept = {name: _finite_rows(points) for name, points in clouds.items()}
    total = sum(points.shape[1] for points in kept.values())
    parts, names, first = [np.empty((0, total))], [], 0
    for name, points in kept.items():
        part = np.zeros((points.shape[0], total))
        part[:, first : first + points.shape[1]] = points / _size(points)
        parts.append(part)
        names += [name] * points.shape[0]
        first += points.shape[1]
    return np.concatenate(parts), np.array(names, dtype=str)


def sample(n: int, most: int, seed: int = 0) -> NDArray[np.intp]:
    """Draw at most `most` of `n` rows, in rising order; a smaller draw of the same seed is part of a larger one."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).permutation(n)[:most])


def sentiments(task: Task, convention: Convention, label: NDArray[np.number]) -> NDArray[np.str_]:
    """Return negative, neutral or positive for each label, shape (N,): the classes of Acc-3; empty for NaN."""
    known = np.isfinite(label)
    asked = label[known]
    names = np.full(label.shape, "", dtype="U8")
    if asked.size:
        guess = np.zeros((asked.size, 3)) if task == "classification" else asked
        truth = reductions(task, convention, asked, guess)["Acc-3"].truth.astype(np.int64)
        neutral = 0 if (task, convention) == ("regression", "mosei") else 1
        names[known] = np.array(SENTIMENTS)[truth - neutral + 1]
    return names


def over_seeds(measured: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """Return mean and t interval over seeds of every measure.

    Parameters
    ----------
    measured : DataFrame
        One row per run and measure: `PLACE`, ``variant``, ``seed``, ``measure``, ``of``, ``value``, ``note``.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    DataFrame
        `PLACE`, ``variant``, ``measure``, ``of``, ``seeds`` (with a defined value), ``mean``, ``sd``, ``low``,
        ``high``, and ``note``: why values are undefined, if any is.
    """
    rows = []
    by = [*PLACE, "variant", "measure", "of"]
    for key, part in measured.groupby(by, sort=False):
        got = mean_interval(part["value"], alpha)
        note = "; ".join(dict.fromkeys(text for text in part["note"] if text))
        rows.append((*key, got.n, got.mean, got.sd, got.low, got.high, note))
    return pd.DataFrame(rows, columns=[*by, "seeds", "mean", "sd", "low", "high", "note"])


def paired(
    measured: pd.DataFrame, variant: str = "fg", baseline: str = "original", alpha: float = 0.05
) -> pd.DataFrame:
    """Compare two variants over the seeds that both have: paired t, Holm over the models of a data set and task.

    Parameters
    ----------
    measured : DataFrame
        As for `over_seeds`.
    variant, baseline : str
        The delta is `variant` minus `baseline`.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    DataFrame
        `PLACE`, ``variant``, ``measure``, ``of``, ``seeds``, ``mean``, ``sd``, ``low``, ``high`` of the deltas, ``p``,
        ``holm``, ``family``, ``note``.
    """
    cell = [*PLACE, "measure", "of"]
    columns = [*cell, "seeds", "mean", "sd", "low", "high", "p", "holm", "family", "note"]
    rows: list[tuple[object, ...]] = []
    wide = measured.pivot_table(index=[*cell, "seed"], columns="variant", values="value", aggfunc="first", sort=False)
    if {variant, baseline} <= set(wide.columns):
        deltas = (wide[variant] - wide[baseline]).dropna()
        for _, family in deltas.groupby(_FAMILY, sort=False):
            parts = list(family.groupby(cell, sort=False))
            tests = adjust([paired_t(part, alpha) for _, part in parts])
            for (key, _), test in zip(parts, tests, strict=True):
                outcome = (test.p, test.adjusted, test.family, test.note)
                rows.append((*key, test.n, test.mean, test.sd, test.low, test.high, *outcome))
    return pd.DataFrame(rows, columns=columns).assign(variant=variant)


def _table(points: ArrayLike) -> FloatArray:
    """Return points as (N, width); a single column may come without its axis."""
    where = np.asarray(points, dtype=np.float64)
    if where.ndim not in (1, 2):
        raise ValueError(f"points must be of shape (N, width), not {where.shape}")
    return where[:, None] if where.ndim == 1 else where


def _finite_rows(points: ArrayLike) -> FloatArray:
    where = _table(points)
    return where[np.isfinite(where).all(axis=1)]


def _size(points: FloatArray) -> float:
    """Root mean square norm, or 1 for a cloud in the origin."""
    size = float(np.sqrt(np.square(points).sum(axis=1).mean())) if points.size else 0.0
    return size if size > 0.0 else 1.0


def _undefined(points: FloatArray, groups: int) -> str:
    """Return why a silhouette is not defined, or nothing."""
    if points.shape[0] < 3:
        return "fewer than 3 points"
    if groups < 2:
        return "one group"
    if groups == points.shape[0]:
        return "every point is a group of its own"
    return "" if varies(points) else "all points coincide"
