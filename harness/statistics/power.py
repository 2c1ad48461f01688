"""Effect size, power, the effect that a number of seeds can find, and the seeds that an effect needs."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from harness.statistics.arrays import FloatArray, checked_level, critical_t
from harness.statistics.seeds import paired_t

__all__ = ["hedges_d", "minimum_detectable_effect", "paired_t_power", "seeds_needed"]

_MOST_SEEDS = 2**30
_TAIL = 1e-15
_CLIFF = 9.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(100)


def hedges_d(deltas: ArrayLike) -> float:
    """Return the paired Cohen's d (mean over sd of the deltas) with the exact small-sample correction (Hedges 1981).

    NaN with fewer than three deltas (the correction is not defined) or where the deltas do not vary.
    """
    test = paired_t(deltas)
    if test.df < 2 or not test.sd > 0:
        return float("nan")
    df = test.df
    correction = np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2)
    return float(correction * test.mean / test.sd)


def paired_t_power(effect: float, n: int, alpha: float = 0.05) -> float:
    """Return the power of the two-sided paired t test for a standardised mean delta (Cohen 1988).

    Parameters
    ----------
    effect : float
        Mean of the deltas over their sd.
    n : int
        Number of pairs, two or more.
    alpha : float
        Level of the test.

    Raises
    ------
    ValueError
        If `n` is below two, `alpha` not between 0 and 1, or `effect` not finite.

    Notes
    -----
    The noncentral t power, integrated over the distribution of the estimated sd (Gauss and Legendre's rule in four
    pieces) instead of read from scipy's noncentral t, whose ``cdf`` gives NaN for large arguments.
    """
    if n < 2:
        raise ValueError(f"power needs two pairs or more, got {n}")
    if not np.isfinite(effect):
        raise ValueError(f"the effect must be a finite number, got {effect}")
    df, critical, shift = n - 1, critical_t(alpha, n - 1), abs(effect) * np.sqrt(n)
    # The estimated sd over the true one lies between these but for a chance of 1e-15.
    low, high = (float(np.sqrt(special.chdtri(df, tail) / df)) for tail in (1 - _TAIL, _TAIL))
    # Around shift / critical the chance of rejecting falls from 1 to 0, within a sliver where the shift is large.
    edges = np.clip(shift / critical + np.array([-_CLIFF, 0.0, _CLIFF]) / critical, low, high)
    power = 0.0
    for start, end in pairwise((low, *edges.tolist(), high)):
        sd = (start + end) / 2 + (end - start) / 2 * _NODES
        rejected = special.ndtr(shift - critical * sd) + special.ndtr(-shift - critical * sd)
        power += float(_WEIGHTS @ (rejected * _density(sd, df))) * (end - start) / 2
    return min(power, 1.0)


def _density(sd: FloatArray, df: int) -> FloatArray:
    """Density of an estimated sd over the true one: a chi variable over the root of its degrees of freedom."""
    x = sd * np.sqrt(df)
    log = (1 - df / 2) * np.log(2) + special.xlogy(df - 1, x) - x**2 / 2 - special.gammaln(df / 2)
    density: FloatArray = np.exp(log) * np.sqrt(df)
    return density


@cache
def minimum_detectable_effect(n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest standardised mean delta that a two-sided paired t test finds with the given power.

    3.26, 1.68, 1.00 and 0.66 sd of the deltas for 3, 5, 10 and 20 pairs at the defaults; NaN below two pairs.
    """
    _checked_power(alpha, power)
    if n < 2:
        return float("nan")
    from scipy import optimize

    # Twice what a known sd of a normal test would ask, then doubled until it suffices.
    high = 2 * (critical_t(alpha, n - 1) + special.ndtri(power)) / np.sqrt(n)
    while paired_t_power(high, n, alpha) < power:
        high *= 2
    return float(optimize.brentq(lambda d: paired_t_power(d, n, alpha) - power, 0.0, high, xtol=1e-6))


def seeds_needed(effect: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return the smallest number of seeds with which a paired t test finds `effect` with the given power.

    Parameters
    ----------
    effect : float
        Mean of the deltas over their sd; the sign does not matter.
    alpha, power : float
        Level of the test, and the chance of finding the effect.

    Raises
    ------
    ValueError
        If the effect is zero, not finite, or so small that a billion seeds would not find it.
    """
    _checked_power(alpha, power)
    if effect == 0.0:
        raise ValueError("no number of seeds finds an effect of zero")
    enough = 2
    while paired_t_power(effect, enough, alpha) < power:
        enough *= 2
        if enough > _MOST_SEEDS:
            raise ValueError(f"an effect of {effect} needs more than a billion seeds")
    few = enough // 2
    while enough - few > 1:
        middle = (enough + few) // 2
        if paired_t_power(effect, middle, alpha) < power:
            few = middle
        else:
            enough = middle
    return enough


def _checked_power(alpha: float, power: float) -> None:
    if not checked_level(alpha) < power < 1:
        raise ValueError(f"power must lie between alpha and 1, got {power}")
