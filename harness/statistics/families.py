"""Families of tests: Holm decides, Benjamini-Hochberg stands in the appendix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.statistics.arrays import FloatArray
from harness.statistics.outcome import Outcome

__all__ = ["adjust", "benjamini_hochberg", "holm"]

OutcomeT = TypeVar("OutcomeT", bound=Outcome)


def holm(p_values: ArrayLike) -> FloatArray:
    """Return Holm-adjusted p values of one family, in the order given (Holm 1979).

    Parameters
    ----------
    p_values : array_like, shape (m,)
        NaN marks a test that could not be made: it does not count in the family and stays NaN.

    Raises
    ------
    ValueError
        If a p value lies outside [0, 1].

    Notes
    -----
    Equal to statsmodels' ``multipletests(method="holm")``, which calls the garbage collector each time: 0.05 s a
    family, many seconds a report.
    """
    p, order = _ordered(p_values)
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(order.size, 0, -1)))
    return adjusted


def benjamini_hochberg(p_values: ArrayLike) -> FloatArray:
    """Return Benjamini-Hochberg q values of one family, in the order given (Benjamini and Hochberg 1995).

    Parameters
    ----------
    p_values : array_like, shape (m,)
        NaN marks a test that could not be made: it does not count in the family and stays NaN.

    Raises
    ------
    ValueError
        If a p value lies outside [0, 1].

    """
    from scipy import stats

    p, order = _ordered(p_values)
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = stats.false_discovery_control(p[order])
    return adjusted


def adjust(outcomes: Sequence[OutcomeT]) -> tuple[OutcomeT, ...]:
    """Return the outcomes of one family with ``adjusted`` (Holm), ``q`` (Benjamini-Hochberg), ``family`` and ``reach``.

    Parameters
    ----------
    outcomes : sequence of Outcome
        All tests of the family, aliases once. A test whose p is NaN does not count in the family.
    """
    p = [outcome.p for outcome in outcomes]
    size = int(np.count_nonzero(~np.isnan(p)))
    floors = [np.nan if np.isnan(outcome.p) else outcome.floor for outcome in outcomes]
    found = zip(outcomes, holm(p), benjamini_hochberg(p), holm(floors), strict=True)
    return tuple(
        replace(one, adjusted=float(a), q=float(q), family=size, reach=float(reach)) for one, a, q, reach in found
    )


def _ordered(p_values: ArrayLike) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return the p values and the positions of those that are not NaN, smallest p first."""
    p = np.asarray(p_values, dtype=np.float64).ravel()
    if np.any((p < 0) | (p > 1)):
        raise ValueError("p values must lie between 0 and 1")
    return p, np.argsort(p, kind="stable")[: np.count_nonzero(~np.isnan(p))]  # NaN sorts last
