"""Small array helpers that the other modules of this package share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

__all__ = ["RELATIVE_ROUNDING", "FloatArray", "checked_level", "critical_t", "finite", "sign_floor", "tied_ranks"]

FloatArray = NDArray[np.float64]

RELATIVE_ROUNDING = 1e-9
"""Values that differ by less than this share of the largest one differ by floating-point rounding alone."""


def finite(values: ArrayLike) -> FloatArray:
    """Return the finite values as a flat array of doubles."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def checked_level(alpha: float) -> float:
    """Return `alpha`, or raise ValueError where it is not between 0 and 1."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    return alpha


def critical_t(alpha: float, df: int) -> float:
    """Two-sided critical value of Student's t (scipy.special: a table asks for thousands of them)."""
    return float(-special.stdtrit(df, checked_level(alpha) / 2))


def sign_floor(n: int) -> float:
    """Smallest two-sided p of a test over the signs of `n` values: 2 of 2**n patterns."""
    return min(1.0, 2.0 ** (1 - n))


def tied_ranks(values: FloatArray) -> FloatArray:
    """Rank from 1, smallest first; values that are equal up to rounding share their mean rank.

    Deltas of printed numbers such as 0.3 - 0.1 and 0.9 - 0.7 are equal on paper and not in binary.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    tolerance = RELATIVE_ROUNDING * float(np.abs(values).max(initial=0.0))
    group = np.concatenate([[0], np.cumsum(np.diff(ordered) > tolerance)]) if values.size else np.zeros(0, np.int64)
    size = np.bincount(group, minlength=0)
    last = np.cumsum(size)
    ranks = np.empty(values.shape)
    ranks[order] = ((last - size + 1 + last) / 2)[group]
    return ranks
