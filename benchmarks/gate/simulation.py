"""Part 1: false alarms and power of the gate's rule on made-up seed noise, without floors, which is the worst case.

The p values come from the functions that `harness.statistics.drift` itself is made of, over many comparisons at once;
a sample of every chunk goes through `drift` and `holm` too, and the benchmark stops where the two disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from harness.statistics import detectable_drift, drift, holm
from harness.statistics.drift import _skewed_table, _two_sample

__all__ = [
    "ALPHA",
    "DESIGNS",
    "FAMILIES",
    "NOISES",
    "Alarms",
    "Caught",
    "Design",
    "alarms",
    "caught",
    "p_worse",
    "simulate",
]

ALPHA = 0.01
FAMILIES = (1, 7, 84)
AIMS = {"5 : 5": 2.5, "10 : 5": 2.0}
"""Shifts in sd that one comparison should find with `POWER`."""
POWER = 0.8
_CHUNK = 500
"""Families of the largest size that are drawn at once."""
_HELD = 40
"""Comparisons of every chunk that go through `drift` as well."""
_COLLAPSE_SHARE, _COLLAPSE_DEPTH = 0.05, 6.0

Floats: TypeAlias = NDArray[np.float64]
Draw: TypeAlias = Callable[[np.random.Generator, tuple[int, ...]], Floats]


def _collapsing(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Normal noise in which one seed in twenty does not learn and ends six standard deviations lower."""
    lost = rng.random(shape) < _COLLAPSE_SHARE
    return rng.standard_normal(shape) - _COLLAPSE_DEPTH * lost


NOISES: Mapping[str, Draw] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "exponential, tail to the better": lambda rng, shape: rng.standard_exponential(shape),
    "exponential, tail to the worse": lambda rng, shape: -rng.standard_exponential(shape),
    "gamma 2.5, tail to the better": lambda rng, shape: rng.standard_gamma(2.5, shape),
    "gamma 2.5, tail to the worse": lambda rng, shape: -rng.standard_gamma(2.5, shape),
    "t, 3 df": lambda rng, shape: rng.standard_t(3, shape),
    "t, 5 df": lambda rng, shape: rng.standard_t(5, shape),
    "Laplace": lambda rng, shape: rng.laplace(size=shape),
    "1 seed in 20 collapses*": _collapsing,
}
"""Higher is better. The last one is no part of the aim."""


@dataclass(frozen=True)
class Design:
    """How many runs meet, and how alike two runs with the same seed are; None where no seeds are shared."""

    reference: int
    new: int
    correlation: float | None = None

    @property
    def counts(self) -> str:
        """Both numbers of runs."""
        return f"{self.reference} : {self.new}"

    @property
    def seeds(self) -> str:
        """Whether seeds are shared, in words."""
        return "other" if self.correlation is None else f"shared, r {self.correlation:g}"


DESIGNS = (
    *(Design(reference, new) for reference in (5, 10) for new in (1, 5, 10)),
    *(Design(count, count, correlation) for count in (5, 10) for correlation in (0.0, 0.9)),
)


@dataclass(frozen=True)
class Alarms:
    """False alarms of one kind of noise: by the size of the family, how many families have one, of how many."""

    design: Design
    noise: str
    counts: Mapping[int, tuple[int, int]]

    def rate(self, family: int) -> float:
        """Return the share of families with a false alarm."""
        count, of = self.counts[family]
        return count / of

    def error(self, family: int) -> float:
        """Return the Monte Carlo standard error of `rate`; of one alarm where there was none."""
        count, of = self.counts[family]
        share = max(count, 1) / of
        return float(np.sqrt(share * (1 - share) / of))


@dataclass(frozen=True)
class Caught:
    """Shifts in sd of one run that turn red with `POWER`, by the size of the family.

    Attributes
    ----------
    design : Design
    shifts, errors : mapping
        As simulated, with the Monte Carlo standard error.
    told : mapping
        As ``harness gate explain`` says it.
    """

    design: Design
    shifts: Mapping[int, float]
    errors: Mapping[int, float]
    told: Mapping[int, float]


def p_worse(old: Floats, now: Floats, *, paired: bool) -> Floats:
    """Return the p of a loss that `drift` gives, for samples along the last axis."""
    n, m = old.shape[-1], now.shape[-1]
    strangers = _two_sample(old, now)[0]
    if paired:
        deltas = now - old
        pairs = special.stdtr(n - 1, deltas.mean(-1) / (deltas.std(-1, ddof=1) / np.sqrt(n)))
        smaller: Floats = np.minimum(1.0, 2 * np.minimum(pairs, strangers))
        return smaller
    if n == m:
        return strangers
    shares, points = _skewed_table(n, m)
    skewed = np.exp(np.interp(np.log(np.maximum(strangers, 1e-300)), points, shares))
    largest: Floats = np.maximum(strangers, np.minimum(1.0, skewed))
    return largest


def alarms(design: Design, noise: str, families: int, seed: int = 0) -> Alarms:
    """Count false alarms under no change, in `families` families of the largest size and as many comparisons in others.

    Raises
    ------
    RuntimeError
        If `drift` or `holm` say something else than the vectorised rule.
    """
    place = (list(NOISES).index(noise), DESIGNS.index(design))
    rng = np.random.default_rng([20_261_125, seed, *place])
    largest = max(FAMILIES)
    counts = dict.fromkeys(FAMILIES, 0)
    for start in range(0, families, _CHUNK):
        size = min(_CHUNK, families - start) * largest
        old, now = _drawn(design, NOISES[noise], size, rng)
        p = p_worse(old, now, paired=design.correlation is not None)
        _hold(old, now, p, design)
        for family in FAMILIES:
            counts[family] += int((p.reshape(-1, family).min(axis=1) * family < ALPHA).sum())
    total = families * largest
    return Alarms(design, noise, {family: (counts[family], total // family) for family in FAMILIES})


def caught(design: Design, draws: int, seed: int = 0) -> Caught:
    """Find the shift of one comparison that its family's first Holm step rejects with `POWER`, under normal noise."""
    rng = np.random.default_rng([20_261_126, seed, DESIGNS.index(design)])
    old, now = _drawn(design, NOISES["normal"], draws, rng)
    paired = design.correlation is not None

    def power(shift: float, level: float) -> float:
        return float((p_worse(old, now - shift, paired=paired) < level).mean())

    shifts, errors, told = {}, {}, {}
    for family in FAMILIES:
        level = ALPHA / family
        low, high = 0.0, 64.0
        while high - low > 1e-3:
            middle = (low + high) / 2
            low, high = (low, middle) if power(middle, level) >= POWER else (middle, high)
        slope = (power(high + 0.1, level) - power(high - 0.1, level)) / 0.2
        shifts[family] = high
        errors[family] = float(np.sqrt(POWER * (1 - POWER) / draws) / slope) if slope > 0 else np.nan
        told[family] = detectable_drift(design.reference, design.new, level, paired=paired, power=POWER)
    return Caught(design, shifts, errors, told)


def simulate(
    designs: Sequence[Design], noises: Sequence[str], families: int, draws: int, workers: int
) -> Iterator[tuple[list[Alarms], Caught]]:
    """Do all of it, a design at a time in a process of its own, since the tables of `drift` belong to one."""
    jobs = [(design, tuple(noises), families, draws) for design in designs]
    if workers == 1:
        yield from map(_one_design, jobs)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(_one_design, jobs)


def _one_design(job: tuple[Design, tuple[str, ...], int, int]) -> tuple[list[Alarms], Caught]:
    design, noises, families, draws = job
    return [alarms(design, noise, families) for noise in noises], caught(design, draws)


def _drawn(design: Design, draw: Draw, size: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw `size` comparisons; runs that share a seed share a part of the same kind of noise."""
    old, now = draw(rng, (size, design.reference)), draw(rng, (size, design.new))
    if design.correlation:
        shared = np.sqrt(design.correlation) * draw(rng, (size, design.new))
        own = np.sqrt(1 - design.correlation)
        old, now = shared + own * old, shared + own * now
    return old, now


def _hold(old: Floats, now: Floats, p: Floats, design: Design) -> None:
    """Hold the smallest p of a chunk and some others against `drift` and `holm`."""
    chosen = np.concatenate([np.argsort(p)[: _HELD // 2], np.arange(_HELD // 2)])
    paired = design.correlation is not None
    for place in chosen:
        found = drift(old[place], now[place], paired=paired).p_worse
        if not np.isclose(found, p[place], rtol=1e-9, atol=0):
            raise RuntimeError(f"{design}: drift says p = {found!r}, and the benchmark {p[place]!r}")
    for family in FAMILIES:
        one = p[:family]
        if bool((holm(one) < ALPHA).any()) != bool(one.min() * family < ALPHA):
            raise RuntimeError(f"{design}: holm and the benchmark disagree about a family of {family}")
