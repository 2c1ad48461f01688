"""Our seeds against a mean that somebody printed: prediction interval, equivalence, and what the two allow to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from harness.statistics.arrays import RELATIVE_ROUNDING, checked_level, critical_t
from harness.statistics.outcome import Outcome
from harness.statistics.seeds import MeanInterval, mean_interval

__all__ = ["AgainstPrinted", "PredictionInterval", "Reading", "Tost", "against_printed", "prediction_interval", "tost"]

Reading = Literal["equivalent", "differs", "differs within the margin", "cannot tell"]


@dataclass(frozen=True)
class PredictionInterval:
    """Where the mean of `future` further seeds would lie with probability ``1 - alpha``; NaN where not defined."""

    n: int
    future: float
    mean: float
    sd: float
    low: float
    high: float
    alpha: float


@dataclass(frozen=True, kw_only=True)
class Tost(Outcome):
    """Two one-sided t tests; a p below alpha shows equivalence, a larger one shows nothing.

    ``statistic`` is the t of the side that is harder to reject, ``p`` the larger of ``p_above_lower`` and
    ``p_below_upper``, ``low`` and ``high`` the interval of ``difference`` at level ``1 - 2 * alpha``, which lies
    within the margin exactly where p is below alpha.
    """

    difference: float
    margin: float
    p_above_lower: float
    p_below_upper: float


@dataclass(frozen=True)
class AgainstPrinted:
    """What our seeds say about a printed mean.

    ``reading`` is ``"equivalent"`` (within the margin, by TOST), ``"differs"`` (outside the prediction interval),
    ``"differs within the margin"`` (both) or ``"cannot tell"`` (neither).
    """

    printed: float
    rounding: float
    margin: float
    prediction: PredictionInterval
    equivalence: Tost
    reading: Reading


def prediction_interval(values: ArrayLike, future: float = 1, alpha: float = 0.05) -> PredictionInterval:
    """Return the normal-theory prediction interval for the mean of further seeds (Hahn and Meeker 1991).

    Parameters
    ----------
    values : array_like, shape (n,)
        One value per seed; values that are not finite are left out.
    future : float
        Number of further seeds whose mean is predicted; ``inf`` gives the t interval of the mean.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    PredictionInterval
        The interval is NaN with fewer than two values, and where the values do not vary: a spread that was never seen
        predicts nothing.

    Raises
    ------
    ValueError
        If `future` is below one or `alpha` not between 0 and 1.
    """
    ours = mean_interval(values, alpha)
    error = _standard_error(ours, future)
    half = critical_t(alpha, ours.n - 1) * error if error > 0 else np.nan
    return PredictionInterval(ours.n, future, ours.mean, ours.sd, ours.mean - half, ours.mean + half, alpha)


def tost(values: ArrayLike, target: float, margin: float, alpha: float = 0.05, *, behind: float = float("inf")) -> Tost:
    """Test whether the mean over seeds lies within `margin` of `target` (two one-sided t tests; Schuirmann 1987).

    Parameters
    ----------
    values : array_like, shape (n,)
        One value per seed; values that are not finite are left out.
    target : float
        The mean to be equivalent to.
    margin : float
        Largest difference that counts as none, in the units of the values.
    alpha : float
        Level of the test.
    behind : float
        Number of runs behind the target, whose spread is taken to be ours; ``inf`` takes the target as exact.

    Returns
    -------
    Tost
        p is NaN with fewer than two values (note ``"no pairs"``, ``"one pair"``) or values that do not vary (note
        ``"constant"``).

    Raises
    ------
    ValueError
        If the margin is not positive, `target` not finite, `behind` below one or `alpha` not between 0 and 1.
    """
    if not (margin > 0 and np.isfinite(margin)):
        raise ValueError(f"the margin must be a positive number, got {margin}")
    if not np.isfinite(target):
        raise ValueError(f"the target must be a finite number, got {target}")
    ours = mean_interval(values, alpha)
    error, df, difference = _standard_error(ours, behind), max(ours.n - 1, 0), ours.mean - target
    t = above = below = half = np.nan
    note = ("no pairs", "one pair")[ours.n] if ours.n < 2 else "constant"
    if error > 0:
        lower, upper, note = (difference + margin) / error, (margin - difference) / error, ""
        t = min(lower, upper)
        above, below = (float(special.stdtr(df, -side)) for side in (lower, upper))
        half = float(-special.stdtrit(df, alpha)) * error
    return Tost(
        test="TOST",
        level="seeds",
        n=ours.n,
        statistic=float(t),
        p=float(np.maximum(above, below)),
        low=difference - half,
        high=difference + half,
        alpha=alpha,
        note=note,
        difference=difference,
        margin=margin,
        p_above_lower=above,
        p_below_upper=below,
    )


def against_printed(
    values: ArrayLike, printed: float, margin: float, alpha: float = 0.05, *, behind: float = 5, rounding: float = 0.0
) -> AgainstPrinted:
    """Judge a printed mean, of which no spread is known, by our seeds.

    Parameters
    ----------
    values : array_like, shape (n,)
        One value per seed, in the printed units; values that are not finite are left out.
    printed : float
        The printed mean.
    margin : float
        Largest difference that counts as none, in the printed units.
    alpha : float
        Level of the test, and one minus the level of the interval.
    behind : float
        Number of runs behind the printed mean (five in the paper); their spread is taken to be ours.
    rounding : float
        Half a unit of the last printed digit: the printed mean may be off by as much, so it differs only if all of
        the values that print so do, and is equivalent only if all of them are.

    Raises
    ------
    ValueError
        As `tost`, and if the rounding is negative or eats up the margin.
    """
    if not 0 <= rounding < margin:
        raise ValueError(f"the rounding must lie between 0 and the margin {margin}, got {rounding}")
    prediction = prediction_interval(values, behind, alpha)
    equivalence = tost(values, printed, margin - rounding, alpha, behind=behind)
    outside = bool(printed + rounding < prediction.low or printed - rounding > prediction.high)
    equivalent = bool(equivalence.p < alpha)
    readings: dict[tuple[bool, bool], Reading] = {
        (True, True): "differs within the margin",
        (True, False): "differs",
        (False, True): "equivalent",
        (False, False): "cannot tell",
    }
    return AgainstPrinted(printed, rounding, margin, prediction, equivalence, readings[outside, equivalent])


def _standard_error(ours: MeanInterval, others: float) -> float:
    """Standard error of the difference between our mean and one over `others` runs; NaN where no spread was seen."""
    checked_level(ours.alpha)
    if not others >= 1:
        raise ValueError(f"the number of runs must be one or more, got {others}")
    if ours.n < 2 or ours.sd <= RELATIVE_ROUNDING * abs(ours.mean):
        return float("nan")
    return float(ours.sd * np.sqrt(1 / ours.n + 1 / others))
