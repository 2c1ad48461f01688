"""Tests, intervals, effect sizes, corrections and power: arrays in, small frozen results out.

The unit of analysis is the seed: a delta is the difference between two runs that share a seed, so deltas are paired.
The primary test is the paired t test; the exact sign-flip p stands beside it, never above it, because it cannot go
below ``2 ** (1 - n)``. Values that are not finite are left out before anything is computed, and ``n`` counts what is
left.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import integrate, optimize, special

__all__ = [
    "MeanInterval",
    "PairedT",
    "SignFlip",
    "hedges_d",
    "holm",
    "mean_interval",
    "minimum_detectable_effect",
    "paired_t",
    "paired_t_power",
    "sign_flip",
]

MAX_SIGN_FLIP = 40
"""Above this many deltas the exact p is not enumerated: 2**40 sign patterns are counted as two halves of 2**20."""

_RELATIVE_ROUNDING = 1e-9
"""Deltas that differ by less than this share of the largest one differ by floating-point rounding alone."""


@dataclass(frozen=True)
class MeanInterval:
    """Mean, standard deviation (ddof 1) and two-sided t interval at level ``1 - alpha``; NaN where not defined."""

    n: int
    mean: float
    sd: float
    low: float
    high: float
    alpha: float


@dataclass(frozen=True)
class PairedT:
    """A paired t test on deltas. ``note`` says why ``p`` is not the outcome of an ordinary test, else it is empty.

    ``note`` is one of ``"no pairs"``, ``"one pair"``, ``"constant"`` and ``"no difference"``.
    """

    n: int
    mean: float
    sd: float
    t: float
    df: int
    p: float
    low: float
    high: float
    alpha: float
    note: str = ""


@dataclass(frozen=True)
class SignFlip:
    """The exact two-sided sign-flip p of the mean delta and the smallest value it could have had with `n` deltas."""

    p: float
    floor: float
    n: int


def mean_interval(values: ArrayLike, alpha: float = 0.05) -> MeanInterval:
    """Return mean, sd (ddof 1) and the t interval of the mean.

    Parameters
    ----------
    values : array_like, shape (n,)
        One value per seed; values that are not finite are left out.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    MeanInterval
        sd and interval are NaN with one value, everything is NaN with none.
    """
    kept = _finite(values)
    n = kept.size
    mean = float(kept.mean()) if n else np.nan
    if n < 2:
        return MeanInterval(n, mean, np.nan, np.nan, np.nan, _level(alpha))
    sd = float(kept.std(ddof=1))
    half = _critical(alpha, n - 1) * sd / np.sqrt(n)
    return MeanInterval(n, mean, sd, mean - half, mean + half, alpha)


def paired_t(deltas: ArrayLike, alpha: float = 0.05) -> PairedT:
    """Test whether the mean of paired deltas is zero (Student's paired t test, two-sided).

    Parameters
    ----------
    deltas : array_like, shape (n,)
        One delta per seed; values that are not finite are left out.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    PairedT
        With fewer than two deltas p is NaN. All deltas zero: p is 1 (the two arms are the same). All deltas equal
        and not zero, up to rounding: t would be infinite from a variance that was never seen, so p and the interval
        are NaN and the note says ``"constant"``.
    """
    kept = _finite(deltas)
    interval = mean_interval(kept, alpha)
    n, mean = interval.n, interval.mean
    if n < 2:
        note = "one pair" if n else "no pairs"
        return PairedT(n, mean, np.nan, np.nan, max(n - 1, 0), np.nan, np.nan, np.nan, alpha, note)
    largest = float(np.abs(kept).max())
    if largest == 0.0:
        return PairedT(n, 0.0, 0.0, 0.0, n - 1, 1.0, 0.0, 0.0, alpha, "no difference")
    if np.ptp(kept) <= _RELATIVE_ROUNDING * largest:
        return PairedT(n, mean, 0.0, np.nan, n - 1, np.nan, np.nan, np.nan, alpha, "constant")
    t = mean / (interval.sd / np.sqrt(n))
    p = float(2 * special.stdtr(n - 1, -abs(t)))
    return PairedT(n, mean, interval.sd, float(t), n - 1, p, interval.low, interval.high, alpha)


def sign_flip(deltas: ArrayLike) -> SignFlip:
    """Return the exact two-sided p of the mean delta over all sign patterns.

    Under the null each delta is as likely as its negative. Of all ``2 ** n`` sign patterns p is the share whose sum is
    at least as far from zero as the one observed, so it is never below ``2 ** (1 - n)``.

    Parameters
    ----------
    deltas : array_like, shape (n,)
        One delta per seed; values that are not finite are left out.

    Returns
    -------
    SignFlip
        p and floor are NaN without deltas; p is NaN with more than `MAX_SIGN_FLIP` of them.
    """
    kept = _finite(deltas)
    n = kept.size
    if n == 0:
        return SignFlip(np.nan, np.nan, 0)
    floor = 2.0 ** (1 - n)
    if n > MAX_SIGN_FLIP:
        return SignFlip(np.nan, floor, n)
    # Meet in the middle: every sum is one of the first half plus one of the second, counted by bisection.
    left, right = _signed_sums(kept[: n // 2]), np.sort(_signed_sums(kept[n // 2 :]))
    bound = abs(float(kept.sum())) - _RELATIVE_ROUNDING * float(np.abs(kept).sum())
    if bound <= 0.0:
        return SignFlip(1.0, floor, n)
    above = right.size - np.searchsorted(right, bound - left, side="left")
    return SignFlip(float(2 * above.sum() / 2.0**n), floor, n)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return Holm-adjusted p values of one family, in the order given.

    Parameters
    ----------
    p_values : array_like, shape (m,)
        NaN marks a test that could not be made: it does not count in the family and stays NaN.

    Notes
    -----
    Equal to statsmodels' ``multipletests(method="holm")``, which calls the garbage collector each time: 0.05 s a
    family, many seconds a report.
    """
    p = np.asarray(p_values, dtype=np.float64).ravel()
    order = np.argsort(p, kind="stable")[: np.count_nonzero(~np.isnan(p))]  # NaN sorts last
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(order.size, 0, -1)))
    return adjusted


def hedges_d(deltas: ArrayLike) -> float:
    """Return the paired Cohen's d (mean over sd of the deltas) with Hedges' exact small-sample correction.

    NaN with fewer than three deltas (the correction is not defined) or where the deltas do not vary.
    """
    test = paired_t(deltas)
    if test.df < 2 or not test.sd > 0:
        return float("nan")
    df = test.df
    correction = np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2)
    return float(correction * test.mean / test.sd)


def paired_t_power(effect: float, n: int, alpha: float = 0.05) -> float:
    """Return the power of the two-sided paired t test for a standardised mean delta.

    Parameters
    ----------
    effect : float
        Mean of the deltas over their sd.
    n : int
        Number of pairs, two or more.
    alpha : float
        Level of the test.

    Notes
    -----
    Integrated over the distribution of the estimated sd instead of read from scipy's noncentral t, whose ``cdf`` gives
    NaN for large arguments.
    """
    if n < 2:
        raise ValueError(f"power needs two pairs or more, got {n}")
    critical = _critical(alpha, n - 1)
    shift = abs(effect) * np.sqrt(n)

    def rejected(u: float) -> float:
        bound = critical * np.sqrt(special.chdtri(n - 1, 1 - u) / (n - 1))
        return float(special.ndtr(shift - bound) + special.ndtr(-shift - bound))

    # With a large shift the integrand falls from 1 to 0 within a sliver: tell the quadrature where.
    middle = float(special.chdtr(n - 1, (n - 1) * (shift / critical) ** 2))
    return float(integrate.quad(rejected, 0.0, 1.0, points=[middle], limit=200)[0])


def minimum_detectable_effect(n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest standardised mean delta that a two-sided paired t test finds with the given power.

    3.26, 1.68, 1.00 and 0.66 sd of the deltas for 3, 5, 10 and 20 pairs at the defaults; NaN below two pairs.
    """
    if not _level(alpha) < power < 1:
        raise ValueError(f"power must lie between alpha and 1, got {power}")
    if n < 2:
        return float("nan")
    # Twice what a known sd of a normal test would ask, then doubled until it suffices.
    high = 2 * (_critical(alpha, n - 1) + special.ndtri(power)) / np.sqrt(n)
    while paired_t_power(high, n, alpha) < power:
        high *= 2
    return float(optimize.brentq(lambda d: paired_t_power(d, n, alpha) - power, 0.0, high, xtol=1e-6))


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def _critical(alpha: float, df: int) -> float:
    """Two-sided critical value of Student's t (scipy.special: a table asks for thousands of them)."""
    return float(-special.stdtrit(df, _level(alpha) / 2))


def _level(alpha: float) -> float:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    return alpha


def _signed_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    signs = np.array(list(product((-1.0, 1.0), repeat=values.size))).reshape(2**values.size, values.size)
    return signs @ values
