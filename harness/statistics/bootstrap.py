"""Two-level bootstrap, seeds then items, of any metric that is a function of sums over items.

The design is crossed: the items are drawn once per resample and shared by all seeds and both arms, as there is one test
set, and by all comparisons of one call. A resample of the items is then a row of counts, and the metric of every arm
and seed on all resamples a matrix product.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.statistics.arrays import FloatArray, checked_level
from harness.statistics.seeds import mean_interval, paired_t
from harness.statistics.sums import ItemSums

__all__ = ["SEEDS_DOMINATE", "IntervalMethod", "TwoLevel", "two_level_bootstrap", "two_level_bootstraps"]

SEEDS_DOMINATE = 0.6
"""Share of the variance that comes from seeds above which the t interval is used.

A bootstrap over five seeds makes them too alike: where seeds are most of the noise the percentiles cover too little.
Simulated (``benchmarks/calibration``) with 457 items and a seed sd of Acc-2 of up to 2.5 points, whichever interval is
chosen covers 93 % or more; with seeds noisier than that against the items, down to 92 % for Acc-2 and 88 % for MAE with
three seeds, since neither their share nor their spread is well known from so few.
"""

_CHUNK = 256
"""Resamples per matrix product. Part of what a seed means, since it orders the draws: not to be tuned per machine."""

IntervalMethod = Literal["two-level bootstrap", "t over seeds", "none"]


@dataclass(frozen=True)
class TwoLevel:
    """Interval of a metric, or of the difference of two arms, over seeds and test items.

    Attributes
    ----------
    n : int
        Seeds with a defined value.
    items, resamples : int
        Test items, and resamples drawn.
    undefined : int
        Resamples on which the metric was not defined; they are left out.
    mean : float
        The metric (or variant minus baseline) on the test set as it is, mean over seeds.
    low, high : float
        The interval to be shown, by `method`, at level ``1 - alpha``; NaN with fewer than two seeds.
    method : {"two-level bootstrap", "t over seeds", "none"}
        Where the seeds' share of the variance is above `SEEDS_DOMINATE`, the t interval takes over.
    seed_share : float
        Variance of the mean from seeds over that from seeds and items; NaN if nothing varies.
    bootstrap_low, bootstrap_high, t_low, t_high : float
        Both intervals, whichever is shown.
    note : str
        Says in words why `method` is not the bootstrap, else empty.
    """

    n: int
    items: int
    resamples: int
    undefined: int
    mean: float
    low: float
    high: float
    alpha: float
    method: IntervalMethod
    seed_share: float
    bootstrap_low: float
    bootstrap_high: float
    t_low: float
    t_high: float
    note: str = ""


def two_level_bootstrap(
    baseline: ItemSums,
    variant: ItemSums | None = None,
    *,
    resamples: int = 10_000,
    alpha: float = 0.05,
    seed: int = 0,
) -> TwoLevel:
    """Return the interval of one metric, or of variant minus baseline; see `two_level_bootstraps`."""
    return two_level_bootstraps([(baseline, variant)], resamples=resamples, alpha=alpha, seed=seed)[0]


def two_level_bootstraps(
    comparisons: Sequence[tuple[ItemSums, ItemSums | None]],
    *,
    resamples: int = 10_000,
    alpha: float = 0.05,
    seed: int = 0,
) -> tuple[TwoLevel, ...]:
    """Return percentile intervals from a bootstrap of seeds and items (Davison and Hinkley 1997, section 3.8).

    Parameters
    ----------
    comparisons : sequence of (ItemSums, ItemSums or None)
        Baseline and variant of one metric, whose seeds are paired by position; without a variant the metric itself.
        All are on the same test items in the same order. The same object given twice is computed once. A seed whose
        value is not defined is left out.
    resamples : int
        Number of resamples.
    alpha : float
        One minus the level of the intervals.
    seed : int
        What the draws come from. The interval of a comparison does not depend on the others in the call.

    Raises
    ------
    ValueError
        If numbers of items or seeds do not fit, `resamples` is below one or `alpha` not between 0 and 1.
    """
    checked_level(alpha)
    if resamples < 1:
        raise ValueError(f"at least one resample is needed, got {resamples}")
    if not comparisons:
        return ()
    arms = {id(arm): arm for pair in comparisons for arm in pair if arm is not None}
    _check_shapes(comparisons, arms)
    values = {key: arm.values() for key, arm in arms.items()}
    deltas = [_difference(pair, values) for pair in comparisons]
    defined = [np.isfinite(delta) for delta in deltas]
    both = np.full((len(comparisons), resamples), np.nan)
    over_items = np.full_like(both, np.nan)
    table, places = _columns(arms)
    draws = _seed_draws({int(kept.sum()) for kept in defined}, resamples, seed)
    for rows, counts in _item_counts(table.shape[1], resamples, seed):
        sums = counts @ table.T
        replicates = {key: arm.finish(sums[:, places[key]]) for key, arm in arms.items()}
        for i, (pair, kept) in enumerate(zip(comparisons, defined, strict=True)):
            if kept.any():
                delta = _difference(pair, replicates)[:, kept]
                both[i, rows] = (delta * draws[delta.shape[1]][rows]).sum(axis=1)
                over_items[i, rows] = delta.mean(axis=1)
    return tuple(
        _interval(delta, *sampled, table.shape[1], alpha, is_difference=pair[1] is not None)
        for delta, pair, sampled in zip(deltas, comparisons, zip(both, over_items, strict=True), strict=True)
    )


def _check_shapes(comparisons: Sequence[tuple[ItemSums, ItemSums | None]], arms: dict[int, ItemSums]) -> None:
    items = {arm.items for arm in arms.values()}
    if len(items) > 1:
        raise ValueError(f"all arms must be on the same test items, got {sorted(items)} of them")
    for baseline, variant in comparisons:
        if variant is not None and variant.seeds != baseline.seeds:
            raise ValueError(f"arms are paired by seed, got {baseline.seeds} and {variant.seeds} seeds")


def _difference(pair: tuple[ItemSums, ItemSums | None], values: dict[int, FloatArray]) -> FloatArray:
    baseline, variant = pair
    return values[id(baseline)] if variant is None else values[id(variant)] - values[id(baseline)]


def _columns(arms: dict[int, ItemSums]) -> tuple[FloatArray, dict[int, NDArray[np.intp]]]:
    """Return all different columns as one table (columns, items), and where each arm's are, shape (seeds, k).

    Labels and class supports are the same for all seeds, arms and several metrics: about a third of all columns.
    """
    rows: list[FloatArray] = []
    known: dict[bytes, int] = {}
    places = {}
    for key, arm in arms.items():
        place = np.empty(arm.columns.shape[:2], dtype=np.intp)
        for index in np.ndindex(place.shape):
            row = np.ascontiguousarray(arm.columns[index], dtype=np.float64)
            digest = hashlib.blake2b(row.data, digest_size=16).digest()
            if digest not in known:
                known[digest] = len(rows)
                rows.append(row)
            place[index] = known[digest]
        places[key] = place
    return np.stack(rows), places


def _item_counts(items: int, resamples: int, seed: int) -> Iterator[tuple[slice, FloatArray]]:
    """Yield resamples of the items as counts, shape (at most `_CHUNK`, items), with the rows that they are."""
    rng = np.random.default_rng([seed, 0])
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        drawn = rng.integers(0, items, size=(size, items)) + items * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * items).reshape(size, items)
        yield slice(start, start + size), counts.astype(np.float64)


def _seed_draws(numbers: set[int], resamples: int, seed: int) -> dict[int, FloatArray]:
    """Return, per number of seeds n, the weights of the seeds in each resample, shape (resamples, n)."""
    return {
        n: np.random.default_rng([seed, 1, n]).multinomial(n, np.full(n, 1 / n), size=resamples) / n
        for n in numbers
        if n > 0
    }


def _interval(
    deltas: FloatArray, both: FloatArray, over_items: FloatArray, items: int, alpha: float, *, is_difference: bool
) -> TwoLevel:
    student = paired_t(deltas, alpha) if is_difference else mean_interval(deltas, alpha)
    n, defined = student.n, np.isfinite(both)
    low = high = t_low = t_high = share = np.nan
    method: IntervalMethod = "none"
    note = "no seed with a defined value" if n == 0 else "one seed: no interval that speaks about other seeds"
    if n >= 2 and not defined.any():
        note = "the metric is not defined on any resample"
    elif n >= 2:
        low, high = (float(bound) for bound in np.quantile(both[defined], [alpha / 2, 1 - alpha / 2]))
        t_low, t_high = student.low, student.high
        from_seeds = float(np.var(deltas[np.isfinite(deltas)])) / n
        from_items = float(np.var(over_items[defined]))
        share = from_seeds / (from_seeds + from_items) if from_seeds + from_items > 0 else np.nan
        method, note = "two-level bootstrap", ""
        if share > SEEDS_DOMINATE and np.isfinite(t_low):
            method, note = "t over seeds", f"seeds make up {share:.0%} of the variance: t interval over seeds"
    shown = (t_low, t_high) if method == "t over seeds" else (low, high)
    return TwoLevel(
        n=n,
        items=items,
        resamples=both.size,
        undefined=int(both.size - defined.sum()),
        mean=student.mean,
        low=shown[0],
        high=shown[1],
        alpha=alpha,
        method=method,
        seed_share=share,
        bootstrap_low=low,
        bootstrap_high=high,
        t_low=t_low,
        t_high=t_high,
        note=note,
    )
