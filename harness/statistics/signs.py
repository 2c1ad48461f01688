"""Sign test and Wilcoxon signed-rank test, exact, over seeds or over the paired rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.statistics.arrays import (
    RELATIVE_ROUNDING,
    FloatArray,
    checked_level,
    finite,
    sign_floor,
    tied_ranks,
)
from harness.statistics.outcome import Level, Outcome

__all__ = ["MAX_WILCOXON", "Alternative", "SignTest", "Wilcoxon", "sign_test", "wilcoxon"]

Alternative = Literal["two-sided", "greater", "less"]

MAX_WILCOXON = 500
"""Above this many deltas the exact distribution of the rank sum is not worked out (a second of work)."""


@dataclass(frozen=True, kw_only=True)
class SignTest(Outcome):
    """The exact sign test; ``statistic`` is the number of positive deltas.

    ``n`` counts the deltas, ``zeros`` those that are zero and take no part, so that the test has ``n - zeros`` signs.
    ``low`` and ``high`` bound the chance of a positive sign (Clopper and Pearson 1934).
    """

    alternative: Alternative
    positive: int
    zeros: int


@dataclass(frozen=True, kw_only=True)
class Wilcoxon(Outcome):
    """The exact Wilcoxon signed-rank test; ``statistic`` is R's V, the rank sum of the positive deltas.

    scipy's two-sided ``wilcoxon`` reports ``min(V, W)`` instead, here ``min(w_plus, w_minus)``. ``estimate`` is the
    Hodges-Lehmann median of the pairwise means, bounded by ``low`` and ``high``; ``zeros`` counts the deltas that are
    zero and take no part in the test.
    """

    alternative: Alternative
    w_plus: float
    w_minus: float
    zeros: int
    estimate: float


def sign_test(
    deltas: ArrayLike, alpha: float = 0.05, *, alternative: Alternative = "two-sided", level: Level = "models"
) -> SignTest:
    """Test whether positive and negative deltas are equally likely (Arbuthnott 1710; scipy's ``binomtest``).

    Parameters
    ----------
    deltas : array_like, shape (n,)
        One per pair; values that are not finite are left out, zeros are counted and take no part.
    alpha : float
        One minus the level of the interval, which is two-sided whatever the alternative.
    alternative : {"two-sided", "greater", "less"}
        ``"greater"``: positive deltas are more likely.
    level : Level
        What the pairs are.

    Returns
    -------
    SignTest
        Without a delta p is NaN; if all are zero it is 1 and the interval is NaN.
    """
    kept, zero = _kept(deltas, alpha, alternative)
    signs = int(kept.size - zero.sum())
    positive = int(np.count_nonzero(kept[~zero] > 0))
    p, low, high = (1.0 if kept.size else np.nan), np.nan, np.nan
    if signs:
        from scipy import stats

        test = stats.binomtest(positive, signs, alternative=alternative)
        interval = stats.binomtest(positive, signs).proportion_ci(1 - alpha, method="exact")
        p, low, high = float(test.pvalue), float(interval.low), float(interval.high)
    return SignTest(
        test="exact sign test",
        level=level,
        n=kept.size,
        statistic=float(positive),
        p=p,
        floor=_floor(signs, alternative) if kept.size else np.nan,
        low=low,
        high=high,
        alpha=alpha,
        note=_note(kept.size, signs),
        alternative=alternative,
        positive=positive,
        zeros=int(zero.sum()),
    )


def wilcoxon(
    deltas: ArrayLike, alpha: float = 0.05, *, alternative: Alternative = "two-sided", level: Level = "models"
) -> Wilcoxon:
    """Test whether deltas are symmetric about zero by their signed ranks (Wilcoxon 1945), exactly, ties included.

    The distribution is that of the observed mid-ranks under random signs, so the p is exact with ties too, where R and
    scipy's default turn to a normal approximation. Zeros are dropped before ranking, as Wilcoxon did; deltas that are
    equal up to floating-point rounding are ties.

    Parameters
    ----------
    deltas : array_like, shape (n,)
        One per pair; values that are not finite are left out.
    alpha : float
        One minus the level of the interval, which is two-sided whatever the alternative.
    alternative : {"two-sided", "greater", "less"}
        ``"greater"``: the deltas lie above zero.
    level : Level
        What the pairs are.

    Returns
    -------
    Wilcoxon
        Never below ``floor``, ``2 ** (1 - m)`` for m deltas that are not zero (half of it one-sided). p is NaN without
        deltas and above `MAX_WILCOXON` of them; 1 if all are zero. The interval of the Hodges-Lehmann estimate
        (Hollander and Wolfe 1999, section 3.3) is at least as wide as its level asks and NaN where n is too small
        to reach it.
    """
    kept, zero = _kept(deltas, alpha, alternative)
    nonzero = kept[~zero]
    m, note = nonzero.size, _note(kept.size, nonzero.size)
    ranks = tied_ranks(np.abs(nonzero))
    w_plus, w_minus = float(ranks[nonzero > 0].sum()), float(ranks[nonzero < 0].sum())
    p, estimate, low, high = (1.0 if kept.size else np.nan), np.nan, np.nan, np.nan
    if kept.size > MAX_WILCOXON:
        p, note = np.nan, "too many for the exact distribution"
    elif kept.size:
        estimate, low, high = _hodges_lehmann(kept, alpha)
        p = _rank_sum_p(ranks, w_plus, alternative) if m else 1.0
    return Wilcoxon(
        test="exact Wilcoxon signed-rank",
        level=level,
        n=kept.size,
        statistic=w_plus,
        p=p,
        floor=_floor(m, alternative) if kept.size else np.nan,
        low=low,
        high=high,
        alpha=alpha,
        note=note,
        alternative=alternative,
        w_plus=w_plus,
        w_minus=w_minus,
        zeros=int(zero.sum()),
        estimate=estimate,
    )


def _kept(deltas: ArrayLike, alpha: float, alternative: str) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the finite deltas and which of them are zero up to rounding."""
    checked_level(alpha)
    if alternative not in get_args(Alternative):
        raise ValueError(f"alternative must be one of {', '.join(get_args(Alternative))}, got {alternative!r}")
    kept = finite(deltas)
    return kept, np.abs(kept) <= RELATIVE_ROUNDING * np.abs(kept).max(initial=0.0)


def _floor(signs: int, alternative: Alternative) -> float:
    return sign_floor(signs) if alternative == "two-sided" else 2.0**-signs


def _note(n: int, signs: int) -> str:
    return ("" if signs else "no difference") if n else "no pairs"


def _rank_sum_p(ranks: FloatArray, w_plus: float, alternative: Alternative) -> float:
    chance = _rank_sum_chances(ranks)
    observed = round(2 * w_plus)
    above, below = float(chance[observed:].sum()), float(chance[: observed + 1].sum())
    if alternative == "two-sided":
        return min(1.0, 2 * min(above, below))
    return min(1.0, above if alternative == "greater" else below)


def _rank_sum_chances(ranks: FloatArray) -> FloatArray:
    """Chance of every value of twice the positive rank sum under random signs; twice, since mid-ranks have halves."""
    doubled = np.rint(2 * ranks).astype(np.int64)
    chance = np.zeros(int(doubled.sum()) + 1)
    chance[0] = 1.0
    for rank in doubled:
        moved = np.zeros_like(chance)
        moved[rank:] = chance[: chance.size - rank]
        chance = (chance + moved) / 2
    return chance


def _hodges_lehmann(kept: FloatArray, alpha: float) -> tuple[float, float, float]:
    """Median of the pairwise means, and the interval of all shifts that the two-sided test does not reject."""
    rows, columns = np.triu_indices(kept.size)
    means = np.sort((kept[rows] + kept[columns]) / 2)
    below = np.cumsum(_rank_sum_chances(np.arange(1.0, kept.size + 1))[::2])
    cut = int(np.searchsorted(below, alpha / 2, side="right"))  # number of rank sums that are rejected on each side
    estimate = float(np.median(means))
    if cut == 0:
        return estimate, np.nan, np.nan
    return estimate, float(means[cut - 1]), float(means[means.size - cut])
