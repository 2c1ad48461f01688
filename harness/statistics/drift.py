"""Did new runs move away from reference runs? One-sided tests, and the exchange of what is worse for what is better.

Differences are sign-corrected by the caller: a positive one is an improvement. Shared seeds are paired. Otherwise the
samples are compared by the pooled two-sample t, or by Welch's where the two spreads are so different that the larger p
of the two is taken; with one new run that is the normal-theory prediction limit.

Runs that share a seed are paired, and tested as if they did not as well; the smaller p counts, doubled (Bonferroni).
A change that leaves runs alike is seen by the pairs, and one that draws other random numbers, which makes them
strangers, by the pooled test: five pairs have four degrees of freedom, two samples of five have eight. Where runs are
alike the pooled test errs on the safe side.

With unequal numbers of runs the t distribution is no safe reference: seed noise has tails (a seed now and then does not
learn), and for a sample from an exponential distribution the prediction limit of one new run is passed five times as
often as its level says. So the p over seeds of unpaired runs is the largest of three: under normal noise, and, by Monte
Carlo, under exponential noise with the long tail on either side.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from harness.statistics.arrays import RELATIVE_ROUNDING, FloatArray, finite

__all__ = ["DRIFT_DRAWS", "Drift", "DriftMethod", "detectable_drift", "drift", "drift_margin", "two_sample_p"]

DriftMethod: TypeAlias = Literal["paired t", "pooled t", "Welch t", "prediction limit", "constant", "identical", "none"]

Parts: TypeAlias = tuple[tuple[float, float], ...]

DRIFT_DRAWS = 1_000_000
"""Samples of each kind of skewed noise that a p is held against, fewer of more than 40 runs."""
_RATIO = 4.0
"""Above this ratio of the two variances Welch's t is asked as well."""
_SHAPES = (1.0, 2.5)
_CHUNK = 50_000
_MOST_NUMBERS = 40_000_000
_POWER_DRAWS = 20_000
_FINEST = 400
"""Points of the kept table of a Monte Carlo distribution, evenly in the logarithm of the share."""


@dataclass(frozen=True)
class Drift:
    """What new runs say about reference runs, in sign-corrected units: positive is better.

    Attributes
    ----------
    method : str
        The test with the smaller p. ``constant``: no spread was seen and the values differ, so that the floor alone can
        judge; ``identical``: no difference at all; ``none``: too few values.
    n_reference, n_new : int
        Finite values on both sides, in pairs where two tests were made.
    difference : float
        Mean of the new minus mean of the reference runs.
    tests : tuple of tuples of (float, float)
        Standard errors of the difference and degrees of freedom. One of the outer tuple's tests has to reject, with its
        share of the level, in all its parts: pooled and Welch's where the spreads differ much. Empty where no spread
        was seen.
    p_worse, p_better : float
        One-sided; of two tests twice the smaller p. 0 where `method` is ``constant`` and the difference has that sign,
        NaN where it is ``none``.
    """

    method: DriftMethod
    n_reference: int
    n_new: int
    difference: float
    tests: tuple[Parts, ...]
    p_worse: float
    p_better: float


def drift(reference: ArrayLike, new: ArrayLike, *, paired: bool) -> Drift:
    """Compare new runs with reference runs of one metric.

    Parameters
    ----------
    reference, new : array_like, shape (n,) and (m,)
        One value a seed, sign-corrected; values that are not finite are left out, with their partner where paired.
    paired : bool
        Whether the values at the same place share a seed; `n` and `m` are equal then.

    Raises
    ------
    ValueError
        If paired values differ in number.
    """
    if paired:
        return _paired(np.asarray(reference, dtype=np.float64).ravel(), np.asarray(new, dtype=np.float64).ravel())
    old, now = finite(reference), finite(new)
    n, m = old.size, now.size
    if n < 2 or m < 1:
        return Drift("none", n, m, _mean_difference(old, now), (), np.nan, np.nan)
    difference = float(now.mean() - old.mean())
    if constant := _constant(np.concatenate([old - old.mean(), now - now.mean()]), difference, old, now):
        return constant
    method: DriftMethod = "prediction limit" if m == 1 else "pooled t"
    by_welch = bool(_two_sample(old, now)[1])
    p_worse, p_better = (two_sample_p(old, now, better=better) for better in (False, True))
    return Drift("Welch t" if by_welch else method, n, m, difference, (_parts(old, now),), p_worse, p_better)


def two_sample_p(reference: ArrayLike, new: ArrayLike, *, better: bool = False) -> float:
    """Return the one-sided p that the new runs are worse (or better), the largest under three kinds of noise.

    Parameters
    ----------
    reference, new : array_like, shape (n,) and (m,)
        Finite, two values and one or more, not all of them constant.
    """
    old, now = np.asarray(reference, dtype=np.float64), np.asarray(new, dtype=np.float64)
    if better:
        old, now = -old, -now
    normal = float(_two_sample(old, now)[0])
    return max(normal, skewed_p(normal, old.size, now.size))


def drift_margin(found: Drift, level: float) -> float:
    """Return the loss from which on a comparison with this spread has a p below `level`; 0 where no spread was seen.

    NaN where nothing could be compared.
    """
    if found.method == "none":
        return np.nan
    if not found.tests:
        return 0.0
    share = level / len(found.tests)
    if len(found.tests) == 1:
        share = _normal_level(found.n_reference, found.n_new, share)
    return min(max(float(-special.stdtrit(df, share) * error) for error, df in parts) for parts in found.tests)


def detectable_drift(n: int, m: int, level: float, *, paired: bool, floor: float = 0.0, power: float = 0.8) -> float:
    """Return the loss that is found with the given power, in standard deviations of one run's seed noise.

    Parameters
    ----------
    n, m : int
        Reference and new runs; `m` pairs where `paired`.
    level : float
        One-sided level of this comparison, its share of the family's.
    paired : bool
        Whether runs share seeds. How alike such runs are is not known beforehand: they count as independent, as after a
        change that draws other random numbers.
    floor : float
        Differences up to this, in the same unit, are never red.
    power : float
        Chance that the comparison is red.

    Returns
    -------
    float
        By simulation of normal noise, 20,000 times with a fixed seed, to about 1 %. NaN with fewer than two reference
        runs, fewer than two pairs, or without new ones.

    Raises
    ------
    ValueError
        If a level or power makes no sense.
    """
    if not 0 < level < 0.5 or not level < power < 1:
        raise ValueError(f"level and power must fulfil 0 < level < 0.5 and level < power < 1, got {level} and {power}")
    if paired and n != m:
        raise ValueError(f"pairs are as many on both sides, got {n} and {m}")
    if n < 2 or m < 1:
        return np.nan
    rng = np.random.default_rng([20_261_124, n, m, paired])
    old, now = rng.standard_normal((_POWER_DRAWS, n)), rng.standard_normal((_POWER_DRAWS, m))
    means = now.mean(-1) - old.mean(-1)
    share = level / 2 if paired else _normal_level(n, m, level)
    # Red from a shift on: p and floor both bound it from below.
    bound = _bounds(old, now, share)
    if paired:
        pairs = (now - old).std(-1, ddof=1) / np.sqrt(m)
        bound = np.minimum(bound, pairs * -special.stdtrit(m - 1, share))
    return float(np.quantile(np.maximum(means + bound, means + floor), power))


def _normal_level(n: int, m: int, level: float) -> float:
    """Return the normal-theory p at which the p of `two_sample_p` reaches `level`."""
    if n == m:
        return level
    shares, points = _skewed_table(n, m)
    below = float(np.exp(np.interp(np.log(level), shares, points)))
    if level < np.exp(shares[0]):  # beyond the table: nothing can be as small
        return 1e-300
    return min(level, below)


def skewed_p(normal: float, n: int, m: int) -> float:
    """Return how often skewed noise gives a normal-theory p as small as this.

    The largest share over the kinds of noise and both sides of their long tails; never below one over the draws. With
    as many runs on both sides the difference of two means is symmetric whatever the noise, and the t test is safe.
    """
    if n == m:
        return normal
    shares, points = _skewed_table(n, m)
    # Log against log, the table is nearly straight.
    share = np.exp(np.interp(np.log(max(normal, 1e-300)), points, shares))
    return float(min(1.0, share))


@functools.cache
def _skewed_table(n: int, m: int) -> tuple[FloatArray, FloatArray]:
    """Return logarithms of shares, and of the p that this share of samples stays below, for n and m runs."""
    rng = np.random.default_rng([20_261_123, n, m])
    found: list[FloatArray] = []
    draws = min(DRIFT_DRAWS, max(_CHUNK, _MOST_NUMBERS // (n + m)))
    for _ in range(draws // _CHUNK):
        drawn = np.stack([rng.standard_gamma(shape, (_CHUNK, n + m)) for shape in _SHAPES])
        both = np.concatenate([drawn, -drawn])
        found.append(_two_sample(both[..., :n], both[..., n:])[0])
    sorted_p = np.sort(np.concatenate(found, axis=1), axis=1)
    counts = np.unique(np.geomspace(1, sorted_p.shape[1], _FINEST).astype(np.int64))
    # The largest share of all kinds at a p is the smallest p of them at a share.
    p = np.maximum(sorted_p[:, counts - 1].min(axis=0), 1e-300)
    p = np.maximum.accumulate(p)
    kept = np.concatenate([[True], np.diff(p) > 0])
    # Two standard errors up: of a share that is itself an estimate the gate's promise holds on the safe side.
    shares = (counts[kept] + 2 * np.sqrt(counts[kept]) + 1) / (sorted_p.shape[1] + 1)
    return np.log(np.minimum(shares, 1.0)), np.log(p[kept])


def _t_tests(old: FloatArray, now: FloatArray) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Return what the t tests of samples along the last axis are made of.

    Returns
    -------
    errors, dfs : array, shape (k, ...)
        Standard errors of the difference and degrees of freedom: of the pooled and of Welch's test (k = 2), or of the
        prediction limit of one new run (k = 1).
    differ : array of bool, shape (...)
        Where the spreads are so different that Welch's test has to reject as well.
    """
    n, m = old.shape[-1], now.shape[-1]
    spread = old.var(-1, ddof=1)
    if m == 1:
        error = np.sqrt(spread * (1 + 1 / n))
        return error[None], np.full_like(error, n - 1)[None], np.zeros(error.shape, dtype=bool)
    other = now.var(-1, ddof=1)
    pooled = np.sqrt(((n - 1) * spread + (m - 1) * other) / (n + m - 2) * (1 / n + 1 / m))
    a, b = spread / n, other / m
    with np.errstate(divide="ignore", invalid="ignore"):
        df = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))
    differ = np.maximum(spread, other) > _RATIO * np.minimum(spread, other)
    return np.stack([pooled, np.sqrt(a + b)]), np.stack([np.full_like(df, n + m - 2), df]), differ


def _two_sample(old: FloatArray, now: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return p of the new ones being worse, and where it is Welch's. Samples lie along the last axis."""
    errors, dfs, differ = _t_tests(old, now)
    p = special.stdtr(dfs, (now.mean(-1) - old.mean(-1)) / errors)
    by_welch = differ & (p[-1] > p[0])
    return np.where(by_welch, p[-1], p[0]), by_welch


def _bounds(old: FloatArray, now: FloatArray, level: float) -> FloatArray:
    """Return the loss at which the t tests of samples along the last axis reject, all that have to."""
    errors, dfs, differ = _t_tests(old, now)
    bounds = errors * -special.stdtrit(dfs, level)
    bound: FloatArray = np.where(differ, bounds.max(axis=0), bounds[0])
    return bound


def _parts(old: FloatArray, now: FloatArray) -> Parts:
    """Return standard error and degrees of freedom of all t tests that have to reject before a loss counts."""
    errors, dfs, differ = _t_tests(old, now)
    return tuple(zip(errors.tolist(), dfs.tolist(), strict=True))[: 2 if differ else 1]


def _paired(old: FloatArray, now: FloatArray) -> Drift:
    if old.size != now.size:
        raise ValueError(f"paired values must be as many on both sides, got {old.size} and {now.size}")
    both = np.isfinite(old) & np.isfinite(now)
    old, now = old[both], now[both]
    n = old.size
    difference = _mean_difference(old, now)
    if n < 2 and not (n == 1 and difference == 0.0):
        return Drift("none", n, n, difference, (), np.nan, np.nan)
    deltas = now - old
    if constant := _constant(deltas - deltas.mean(), difference, old, now):
        return constant
    error = float(deltas.std(ddof=1) / np.sqrt(n))
    pooled, by_welch = (float(part) for part in _two_sample(old, now))
    pairs = [float(special.stdtr(n - 1, sign * difference / error)) for sign in (1, -1)]
    strangers = [pooled, float(_two_sample(-old, -now)[0])]
    worse, better = (min(1.0, 2 * min(p, q)) for p, q in zip(pairs, strangers, strict=True))
    method: DriftMethod = "paired t"
    if min(strangers) < min(pairs):
        method = "Welch t" if by_welch else "pooled t"
    return Drift(method, n, n, difference, (((error, n - 1.0),), _parts(old, now)), worse, better)


def _constant(deviations: FloatArray, difference: float, old: FloatArray, now: FloatArray) -> Drift | None:
    """Return the verdict on values without a spread, but for rounding; None where there is one."""
    size = float(np.abs(np.concatenate([old, now])).max())
    if float(np.abs(deviations).max()) > RELATIVE_ROUNDING * size:
        return None
    n, m = old.size, now.size
    if abs(difference) <= RELATIVE_ROUNDING * size:
        return Drift("identical", n, m, 0.0, (), 1.0, 1.0)
    worse = difference < 0
    return Drift("constant", n, m, difference, (), 0.0 if worse else 1.0, 1.0 if worse else 0.0)


def _mean_difference(old: FloatArray, now: FloatArray) -> float:
    return float(now.mean() - old.mean()) if old.size and now.size else np.nan
