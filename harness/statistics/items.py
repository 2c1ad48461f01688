"""Second level: tests over the test items, with the trained models as they are.

Each is valid for "would these very models differ on other test items?" and silent about other seeds: under a true null
between two architectures, McNemar on one seed is significant in 12 to 29 % of cases. Every outcome says so in its note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from harness.statistics.arrays import FloatArray, checked_level, sign_floor
from harness.statistics.outcome import Outcome
from harness.statistics.sums import ItemSums

__all__ = [
    "SECOND_LEVEL",
    "McNemar",
    "Randomization",
    "Williams",
    "approximate_randomization",
    "approximate_randomizations",
    "mcnemar",
    "williams_t",
    "williams_t_from_correlations",
]

SECOND_LEVEL = "second level: other items, the same trained models; says nothing about other seeds"

_CHUNK = 256


@dataclass(frozen=True, kw_only=True)
class McNemar(Outcome):
    """McNemar's test on paired hits and misses.

    ``statistic`` is ``only_second`` (exact) or the chi-square with continuity correction; ``low`` and ``high`` bound
    the chance that of the items on which the arms disagree the second is right (Clopper and Pearson 1934).
    """

    only_first: int
    only_second: int


@dataclass(frozen=True, kw_only=True)
class Randomization(Outcome):
    """Approximate randomization; ``statistic`` is the difference second minus first, mean over the seeds given."""

    resamples: int


@dataclass(frozen=True, kw_only=True)
class Williams(Outcome):
    """Williams' t of two correlations with the same labels; ``r_between`` is that of the two predictions."""

    df: int
    r_first: float
    r_second: float
    r_between: float


def mcnemar(
    first_right: ArrayLike, second_right: ArrayLike, alpha: float = 0.05, *, method: Literal["exact", "chi2"] = "exact"
) -> McNemar:
    """Test whether two classifiers err equally often on the same items (McNemar 1947; exact by the binomial).

    Parameters
    ----------
    first_right, second_right : array_like of bool, shape (items,)
        Which items each arm, one trained model each, gets right.
    alpha : float
        One minus the level of the interval.
    method : {"exact", "chi2"}
        The exact test, or the chi-square with Edwards' continuity correction (1948), as R's ``mcnemar.test``.

    Returns
    -------
    McNemar
        p is 1 and the interval NaN if the arms never disagree, p is NaN without items.

    Raises
    ------
    ValueError
        If shapes differ, values are not booleans (or 0 and 1), or `method` is unknown.
    """
    checked_level(alpha)
    if method not in ("exact", "chi2"):
        raise ValueError(f"method must be exact or chi2, got {method!r}")
    first, second = _hits(first_right), _hits(second_right)
    if first.shape != second.shape:
        raise ValueError(f"the arms must have the same items, got {first.size} and {second.size}")
    b, c = int(np.count_nonzero(first & ~second)), int(np.count_nonzero(second & ~first))
    statistic, p = float(c if method == "exact" else 0), 1.0 if first.size else np.nan
    low = high = np.nan
    if b + c:
        from scipy import stats

        binomial = stats.binomtest(c, b + c)
        interval = binomial.proportion_ci(1 - alpha, method="exact")
        low, high, p = float(interval.low), float(interval.high), float(binomial.pvalue)
        if method == "chi2":
            # Never below zero, which is where the correction would take arms that differ by less than one item.
            statistic = max(abs(b - c) - 1, 0) ** 2 / (b + c)
            p = float(special.chdtrc(1, statistic))
    return McNemar(
        test="exact McNemar" if method == "exact" else "McNemar chi-square, continuity corrected",
        level="items",
        n=first.size,
        statistic=statistic,
        p=p,
        floor=_mcnemar_floor(b + c, method),
        low=low,
        high=high,
        alpha=alpha,
        note=SECOND_LEVEL,
        only_first=b,
        only_second=c,
    )


def approximate_randomization(
    first: ItemSums, second: ItemSums, *, resamples: int = 10_000, seed: int = 0
) -> Randomization:
    """Test one metric's difference by swapping predictions; see `approximate_randomizations`."""
    return approximate_randomizations([(first, second)], resamples=resamples, seed=seed)[0]


def approximate_randomizations(
    comparisons: Sequence[tuple[ItemSums, ItemSums]], *, resamples: int = 10_000, seed: int = 0
) -> tuple[Randomization, ...]:
    """Test metrics' differences by swapping the two arms' predictions item by item (Noreen 1989; Yeh 2000).

    Parameters
    ----------
    comparisons : sequence of (ItemSums, ItemSums)
        The metric of each arm on the same items; with several seeds an item is swapped in all of them at once and the
        statistic is the mean difference. Seeds without a defined difference are left out.
    resamples : int
        Number of random swaps, shared by all comparisons of one number of items.
    seed : int
        What the swaps are drawn from. The p of a comparison does not depend on the others in the call.

    Returns
    -------
    tuple of Randomization
        p counts the observed arrangement too, so its floor is ``1 / (resamples + 1)``. A swap on which the metric is
        not defined counts against a difference. p is NaN if the difference itself is not defined.

    Raises
    ------
    ValueError
        If two arms do not have the same shape, or `resamples` is below one.
    """
    if resamples < 1:
        raise ValueError(f"at least one resample is needed, got {resamples}")
    for first, second in comparisons:
        if first.columns.shape != second.columns.shape:
            raise ValueError(f"the arms must have the same shape, got {first.columns.shape} and {second.columns.shape}")
    swaps = [_Swaps.of(first, second) for first, second in comparisons]
    for items in {first.items for first, _ in comparisons}:
        _swap([one for one in swaps if one is not None and one.first.items == items], items, resamples, seed)
    return tuple(
        Randomization(
            test="approximate randomization",
            level="items",
            n=first.items,
            statistic=one.observed if one else np.nan,
            p=(1 + one.reached) / (1 + resamples) if one else np.nan,
            floor=1 / (1 + resamples),
            note=SECOND_LEVEL,
            resamples=resamples,
        )
        for (first, _), one in zip(comparisons, swaps, strict=True)
    )


def williams_t(label: ArrayLike, first: ArrayLike, second: ArrayLike) -> Williams:
    """Test whether two predictions correlate equally with the same labels (Williams 1959; Steiger 1980).

    Parameters
    ----------
    label, first, second : array_like, shape (items,)
        True scores, and the predictions of two trained models.

    Returns
    -------
    Williams
        A positive t says that the first correlates better. See `williams_t_from_correlations`; p is also NaN where a
        value is not finite or an array is constant, since a correlation is then not defined.

    Raises
    ------
    ValueError
        If the arrays are not flat and equally long.
    """
    arrays = [np.asarray(values, dtype=np.float64) for values in (label, first, second)]
    if any(array.ndim != 1 or array.shape != arrays[0].shape for array in arrays):
        raise ValueError(f"labels and predictions must be flat and equally long, got {[a.shape for a in arrays]}")
    n = arrays[0].size
    if n < 2 or not all(np.isfinite(array).all() and np.ptp(array) > 0 for array in arrays):
        return _williams(n, (np.nan, np.nan, np.nan), np.nan, np.nan)
    r = np.clip(np.corrcoef(np.stack(arrays)), -1.0, 1.0)
    return williams_t_from_correlations(float(r[0, 1]), float(r[0, 2]), float(r[1, 2]), n)


def williams_t_from_correlations(r_first: float, r_second: float, r_between: float, n: int) -> Williams:
    """Return Williams' t, with ``n - 3`` degrees of freedom, from the three correlations over `n` items.

    p is NaN below four items, 1 if the two predictions are the same up to a positive scale (their correlation is 1).

    Raises
    ------
    ValueError
        If a correlation lies outside [-1, 1] or the three cannot belong together.
    """
    r = (r_first, r_second, r_between)
    if not all(-1 <= one <= 1 for one in r):
        raise ValueError(f"correlations must lie between -1 and 1, got {r}")
    determinant = 1 - r_first**2 - r_second**2 - r_between**2 + 2 * r_first * r_second * r_between
    if determinant < -1e-9:
        raise ValueError(f"no three variables have the correlations {r}")
    if n < 4:
        return _williams(n, r, np.nan, np.nan)
    if 1 - r_between < 1e-12:
        return _williams(n, r, 0.0, 1.0)
    mean = (r_first + r_second) / 2
    spread = 2 * (n - 1) / (n - 3) * max(determinant, 0.0) + mean**2 * (1 - r_between) ** 3
    if spread <= 0:
        return _williams(n, r, np.nan, np.nan)
    t = float((r_first - r_second) * np.sqrt((n - 1) * (1 + r_between) / spread))
    return _williams(n, r, t, float(2 * special.stdtr(n - 3, -abs(t))))


def _hits(values: ArrayLike) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    array = np.asarray(values).ravel()
    if not np.isin(array, (0, 1)).all():
        raise ValueError("hits must be booleans, or 0 and 1")
    return array.astype(np.bool_)


def _mcnemar_floor(disagreements: int, method: str) -> float:
    if method == "exact" or disagreements == 0:
        return sign_floor(disagreements)
    return float(special.chdtrc(1, (disagreements - 1) ** 2 / disagreements))


@dataclass
class _Swaps:
    """A comparison while its items are swapped: `reached` counts swaps as far from zero as what was observed."""

    first: ItemSums
    second: ItemSums
    kept: NDArray[np.bool_]
    observed: float
    reached: int = 0

    @classmethod
    def of(cls, first: ItemSums, second: ItemSums) -> _Swaps | None:
        """Return None where no seed has a defined difference."""
        gaps = second.values() - first.values()
        kept = np.isfinite(gaps)
        return cls(first, second, kept, float(gaps[kept].mean())) if kept.any() else None

    def moved(self) -> FloatArray:
        """Return what each item takes from one arm to the other when it is swapped, shape (columns, items)."""
        gained: FloatArray = (self.second.columns - self.first.columns)[self.kept]
        return gained.reshape(-1, gained.shape[2])

    def count(self, gain: FloatArray) -> None:
        """Add one chunk of swaps, given as sums of `moved`, shape (swaps, columns)."""
        base, other = (arm.columns[self.kept].sum(axis=-1) for arm in (self.first, self.second))
        gain = gain.reshape(-1, *base.shape)
        gap = (self.second.finish(other - gain) - self.first.finish(base + gain)).mean(axis=1)
        self.reached += int(np.count_nonzero(~(np.abs(gap) < abs(self.observed) - 1e-12)))


def _swap(swaps: Sequence[_Swaps], items: int, resamples: int, seed: int) -> None:
    """Swap the items of all comparisons at random, the same ones in each."""
    if not swaps:
        return
    moved = [one.moved() for one in swaps]
    ends = np.cumsum([0, *(part.shape[0] for part in moved)])
    table = np.concatenate(moved).T
    rng = np.random.default_rng([seed, 2])
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        gains = rng.integers(0, 2, size=(size, items)).astype(np.float64) @ table
        for one, low, high in zip(swaps, ends[:-1], ends[1:], strict=True):
            one.count(gains[:, low:high])


def _williams(n: int, r: tuple[float, float, float], t: float, p: float) -> Williams:
    return Williams(
        test="Williams' t",
        level="items",
        n=n,
        statistic=t,
        p=p,
        note=SECOND_LEVEL,
        df=max(n - 3, 0),
        r_first=r[0],
        r_second=r[1],
        r_between=r[2],
    )
