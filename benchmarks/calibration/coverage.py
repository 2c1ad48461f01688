"""Part 2: how often the harness's two-level intervals hold the truth over other seeds and other utterances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from benchmarks.calibration.rates import Rate
from benchmarks.calibration.simulation import (
    METRICS,
    Setting,
    generator,
    item_sums,
    noise_ratio,
    predict,
    qualities,
    true_means,
)
from harness.statistics import ItemSums, TwoLevel, two_level_bootstraps

__all__ = ["ALPHA", "PROMISED_NOISE", "RESAMPLES", "Coverage", "Of", "cover"]

ALPHA = 0.05
PROMISED_ITEMS, PROMISED_SD = 457, 2.5
"""The coverage is promised for so many utterances up to this seed sd in points of accuracy ..."""
PROMISED_NOISE = noise_ratio(PROMISED_ITEMS, PROMISED_SD)["Acc-2"]
"""... and for the other metrics up to as much noise from seeds, measured by that from utterances."""
RESAMPLES = 1000
"""Resamples of an interval: a tenth of the harness's own number, which makes percentiles a little too short."""

Of = Literal["mean", "difference, profile kept", "difference, profile own"]
"""What the interval is of: one arm, or variant minus original."""

_BATCH = 20
"""Test sets whose intervals are made in one call. It changes no figure: an interval depends on nothing beside it."""


@dataclass
class Coverage:
    """Coverage of the intervals of one metric.

    Attributes
    ----------
    setting : Setting
    metric : str
    of : Of
    noise : float
        Standard deviation over seeds over that over test sets (`noise_ratio`).
    covered, percentiles, t : int
        Intervals that hold the truth: the one that the harness shows; percentiles alone; t over seeds alone.
    by_t : int
        How often t over seeds is the one that is shown.
    widths : list of float
        Widths of the shown ones.
    """

    setting: Setting
    metric: str
    of: Of
    noise: float
    covered: int = 0
    percentiles: int = 0
    t: int = 0
    by_t: int = 0
    widths: list[float] = field(default_factory=list)

    def add(self, interval: TwoLevel, truth: float) -> None:
        """Count one interval."""
        self.covered += bool(interval.low <= truth <= interval.high)
        self.percentiles += bool(interval.bootstrap_low <= truth <= interval.bootstrap_high)
        self.t += bool(interval.t_low <= truth <= interval.t_high)
        self.by_t += interval.method == "t over seeds"
        self.widths.append(interval.high - interval.low)

    @property
    def promised(self) -> bool:
        """Whether the coverage of the interval that is shown is promised."""
        return self.setting.items == PROMISED_ITEMS and self.noise <= PROMISED_NOISE

    @property
    def shown(self) -> Rate:
        """Coverage of the shown intervals."""
        return Rate(self.covered, len(self.widths))

    def as_json(self) -> dict[str, Any]:
        """Return it as a row of the figures."""
        made = len(self.widths)
        return {
            "items": self.setting.items,
            "seeds": self.setting.seeds,
            "seed_sd": self.setting.seed_sd,
            "metric": self.metric,
            "of": self.of,
            "noise_ratio": self.noise,
            "promised": self.promised,
            "shown": self.shown.as_json(),
            "percentiles": self.percentiles / made,
            "t": self.t / made,
            "by_t": self.by_t / made,
            "width": float(np.median(self.widths)),
        }


def cover(setting: Setting, repetitions: int, resamples: int = RESAMPLES) -> list[Coverage]:
    """Simulate test sets and count how often the intervals hold the truth.

    Parameters
    ----------
    setting : Setting
        With normal noise. Its profile is not looked at: both kinds of difference are made, with one original.
    repetitions : int
        Number of test sets.
    resamples : int
        Of each interval.

    Raises
    ------
    ValueError
        If the seeds' noise is not normal: the truth is worked out for that alone.
    """
    if setting.noise != "normal":
        raise ValueError(f"coverage is counted with normal noise, not {setting.noise}")
    rng = generator("coverage", setting)
    truths, noise = true_means(setting.seed_sd), noise_ratio(setting.items, setting.seed_sd)
    counts: dict[tuple[str, Of], Coverage] = {}
    for start in range(0, repetitions, _BATCH):
        names, pairs = [], []
        for _ in range(min(_BATCH, repetitions - start)):
            for metric, of, pair in _comparisons(setting, rng):
                names.append((metric, of))
                pairs.append(pair)
        for (metric, of), interval in zip(names, two_level_bootstraps(pairs, resamples=resamples), strict=True):
            row = counts.setdefault((metric, of), Coverage(setting, metric, of, noise[metric]))
            row.add(interval, truths[metric] if of == "mean" else 0.0)
    return list(counts.values())


def _comparisons(
    setting: Setting, rng: np.random.Generator
) -> Iterator[tuple[str, Of, tuple[ItemSums, ItemSums | None]]]:
    label, difficulty, profile, other = rng.standard_normal((4, setting.items))
    (original,), (variant,) = qualities(setting, 1, rng)
    arms = [
        item_sums(label, predict(label, difficulty, *drawn, rng))
        for drawn in ((profile, original), (profile, variant), (other, variant))
    ]
    for metric in METRICS:
        base, kept, own = (arm[metric] for arm in arms)
        yield metric, "mean", (base, None)
        yield metric, "difference, profile kept", (base, kept)
        yield metric, "difference, profile own", (base, own)
