"""Several treatments over the same blocks, such as original, -fg, -a and -v over models: Friedman and Nemenyi."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from harness.statistics.arrays import FloatArray, checked_level, tied_ranks
from harness.statistics.outcome import Outcome

__all__ = ["Friedman", "Nemenyi", "friedman", "nemenyi"]


@dataclass(frozen=True, kw_only=True)
class Friedman(Outcome):
    """Friedman's test; ``statistic`` is the chi-square corrected for ties, as scipy and R report it.

    ``n`` counts the blocks, ``blocks`` says what they are. ``floor`` is the p of unanimous blocks.
    ``f`` and ``f_p`` are Iman and Davenport's less conservative F of the same chi-square and its p.
    """

    treatments: int
    blocks: str
    mean_ranks: tuple[float, ...]
    f: float
    f_p: float


@dataclass(frozen=True)
class Nemenyi:
    """All pairs of treatments after Friedman's test.

    Attributes
    ----------
    test, n, blocks, family
        Name, number of blocks, what the blocks are, and number of pairs; the p values are adjusted for all of them.
    mean_ranks : tuple of float
        Mean rank of each treatment, 1 the best.
    critical_difference : float
        Mean ranks that lie at least this far apart differ at level `alpha`; NaN without blocks.
    p : tuple of tuples of float
        Adjusted p of every pair, symmetric, 1 on the diagonal.
    groups : tuple of tuples of int
        The bars of a critical-difference diagram: largest sets of treatments, best first, no two of which differ.
        A treatment that differs from all others is in none.
    """

    test: str
    n: int
    blocks: str
    family: int
    alpha: float
    mean_ranks: tuple[float, ...]
    critical_difference: float
    p: tuple[tuple[float, ...], ...]
    groups: tuple[tuple[int, ...], ...]


def friedman(scores: ArrayLike, *, blocks: str, higher_is_better: bool = True) -> Friedman:
    """Test whether treatments rank the same over blocks (Friedman 1937; F by Iman and Davenport 1980).

    Parameters
    ----------
    scores : array_like, shape (n, k)
        One row per block, one column per treatment, three or more. A block with a value that is not finite is left
        out. Values of a block that are equal up to floating-point rounding share their mean rank.
    blocks : str
        What the blocks are, such as ``"models on MOSI"``: the outcome speaks about other blocks of that kind.
    higher_is_better : bool
        Whether rank 1 goes to the largest score.

    Returns
    -------
    Friedman
        p is NaN with fewer than two blocks, 1 if every block is one tie.

    Raises
    ------
    ValueError
        If the scores are not a table of at least three columns; for two treatments there is `wilcoxon`.

    Notes
    -----
    The p is the chi-square approximation, good from about ten blocks.
    """
    ranks = _block_ranks(scores, higher_is_better)
    n, k = ranks.shape
    chi2 = p = f = f_p = np.nan
    note = "no blocks" if n == 0 else "one block"
    if n >= 2 and np.ptp(ranks) == 0:
        chi2, p, f, f_p, note = 0.0, 1.0, 0.0, 1.0, "no difference"
    elif n >= 2:
        from scipy import stats

        test = stats.friedmanchisquare(*ranks.T)
        chi2, p, note = float(test.statistic), float(test.pvalue), ""
        rest = n * (k - 1) - chi2
        # Unanimous blocks leave nothing: F has no upper bound.
        f = float((n - 1) * chi2 / rest) if rest > 1e-9 else np.inf
        f_p = float(special.fdtrc(k - 1, (k - 1) * (n - 1), f)) if rest > 1e-9 else 0.0
    return Friedman(
        test="Friedman, tie-corrected",
        level="models",
        n=n,
        statistic=chi2,
        p=p,
        floor=float(special.chdtrc(k - 1, n * (k - 1))) if n else np.nan,
        note=note,
        treatments=k,
        blocks=blocks,
        mean_ranks=_means(ranks),
        f=f,
        f_p=f_p,
    )


def nemenyi(scores: ArrayLike, alpha: float = 0.05, *, blocks: str, higher_is_better: bool = True) -> Nemenyi:
    """Compare all pairs of treatments by their mean ranks (Nemenyi 1963, as in Demsar 2006).

    Parameters
    ----------
    scores, blocks, higher_is_better
        As for `friedman`.
    alpha : float
        Level of the critical difference, for all pairs together.
    """
    checked_level(alpha)
    ranks = _block_ranks(scores, higher_is_better)
    n, k = ranks.shape
    means = np.array(_means(ranks))
    critical, p = np.nan, np.full((k, k), np.nan)
    groups: tuple[tuple[int, ...], ...] = ()
    if n:
        from scipy import stats

        # The studentised range over infinite degrees of freedom is for the sd of one rank, not of a difference.
        unit = np.sqrt(k * (k + 1) / (12 * n))
        critical = float(stats.studentized_range.ppf(1 - alpha, k, np.inf) * unit)
        upper = np.triu_indices(k, 1)
        p[upper] = stats.studentized_range.sf(np.abs(means[upper[0]] - means[upper[1]]) / unit, k, np.inf)
        p = np.clip(np.where(np.isnan(p), p.T, p), 0.0, 1.0)
        np.fill_diagonal(p, 1.0)
        groups = _groups(means, critical)
    return Nemenyi(
        test="Nemenyi",
        n=n,
        blocks=blocks,
        family=k * (k - 1) // 2,
        alpha=alpha,
        mean_ranks=tuple(means.tolist()),
        critical_difference=critical,
        p=tuple(tuple(row) for row in p.tolist()),
        groups=groups,
    )


def _block_ranks(scores: ArrayLike, higher_is_better: bool) -> FloatArray:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 3:
        raise ValueError(f"scores must have a row per block and three or more columns, got the shape {table.shape}")
    kept = table[np.isfinite(table).all(axis=1)]
    signed = -kept if higher_is_better else kept
    return np.array([tied_ranks(row) for row in signed]).reshape(kept.shape)


def _means(ranks: FloatArray) -> tuple[float, ...]:
    return tuple(float(r) for r in ranks.mean(axis=0)) if ranks.size else (float("nan"),) * ranks.shape[1]


def _groups(means: FloatArray, critical: float) -> tuple[tuple[int, ...], ...]:
    order = np.argsort(means, kind="stable")
    found: list[tuple[int, ...]] = []
    reach = 0
    for start in range(order.size):
        end = int(np.searchsorted(means[order], means[order[start]] + critical, side="left"))
        if end - start > 1 and end > reach:
            found.append(tuple(int(i) for i in order[start:end]))
        reach = max(reach, end)
    return tuple(found)
