"""Part 3: what the rules keep out. Common methods beside the harness's own, on the same made-up studies."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from benchmarks.calibration.rates import Rate
from benchmarks.calibration.simulation import Floats, Setting, generator, item_sums, predict, qualities
from harness.statistics import MIN_BCA, bca_interval, mcnemar, mean_interval, paired_t, two_level_bootstraps

__all__ = ["ALPHA", "MethodRate", "coverage_over_seeds", "false_positives"]

ALPHA = 0.05
_RESAMPLES = 999
_BATCH = 20


@dataclass(frozen=True)
class MethodRate:
    """How often one method errs, or its interval holds the truth.

    Attributes
    ----------
    method : str
    ours : bool
        Whether the harness draws conclusions from it.
    measures : {"false positives", "coverage"}
        Of tests at `ALPHA`, or of intervals at one minus it.
    seeds : int
    rate : Rate
    items, seed_sd
        As in `Setting`; none where the study is seeds' means alone.
    """

    method: str
    ours: bool
    measures: Literal["false positives", "coverage"]
    seeds: int
    rate: Rate
    items: int | None = None
    seed_sd: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as a row of the figures."""
        return asdict(self) | {"rate": self.rate.as_json()}


def false_positives(setting: Setting, repetitions: int) -> list[MethodRate]:
    """Count how often each method finds a difference in Acc-2 of two arms that do not differ.

    Parameters
    ----------
    setting : Setting
    repetitions : int
        Number of studies, each one comparison.
    """
    rng = generator("naive", setting)
    found: Counter[str] = Counter()
    for start in range(0, repetitions, _BATCH):
        pairs = [_accuracies(setting, rng) for _ in range(min(_BATCH, repetitions - start))]
        for interval in two_level_bootstraps(pairs, resamples=_RESAMPLES):
            found["two-level interval"] += not interval.low <= 0 <= interval.high
        hits = np.stack([[arm.columns[:, 0] for arm in pair] for pair in pairs])  # (studies, 2, seeds, items)
        gaps = hits[:, 1] - hits[:, 0]
        found["bootstrap over utterances of the mean over seeds"] += _excluding(gaps.mean(axis=1), start)
        found["percentile bootstrap over seeds"] += _excluding(gaps.mean(axis=2), start)
        found["McNemar on one seed"] += sum(mcnemar(*pair[:, 0]).p < ALPHA for pair in hits)
        found["paired t over seeds"] += sum(paired_t(deltas).p < ALPHA for deltas in gaps.mean(axis=2))
    ours = {"two-level interval", "paired t over seeds"}
    return [
        MethodRate(
            method=method,
            ours=method in ours,
            measures="false positives",
            seeds=setting.seeds,
            rate=Rate(int(found[method]), repetitions),
            items=setting.items,
            seed_sd=setting.seed_sd,
        )
        for method in sorted(found)
    ]


def coverage_over_seeds(seeds: int, repetitions: int) -> list[MethodRate]:
    """Count how often intervals over seeds alone hold the mean of normal values."""
    values = generator("over seeds", seeds).standard_normal((repetitions, seeds))
    held = {
        "percentile bootstrap over seeds": repetitions - _excluding(values, 0),
        "t over seeds": sum(_holds(mean_interval(row, ALPHA)) for row in values),
    }
    if seeds >= MIN_BCA:
        held["BCa over seeds"] = sum(_holds(bca_interval(row, ALPHA, resamples=_RESAMPLES)) for row in values)
    return [
        MethodRate(method, not method.startswith("percentile"), "coverage", seeds, Rate(count, repetitions))
        for method, count in sorted(held.items())
    ]


def _accuracies(setting: Setting, rng: np.random.Generator) -> Any:
    label, difficulty, profile = rng.standard_normal((3, setting.items))
    quality = qualities(setting, 1, rng)[:, 0]
    return [item_sums(label, predict(label, difficulty, profile, arm, rng))["Acc-2"] for arm in quality]


def _excluding(values: Floats, seed: int) -> int:
    """Count rows whose percentile interval of the mean does not hold zero."""
    interval = stats.bootstrap(
        (values,),
        np.mean,
        axis=-1,
        confidence_level=1 - ALPHA,
        n_resamples=_RESAMPLES,
        method="percentile",
        batch=100,
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return int(np.count_nonzero((interval.low > 0) | (interval.high < 0)))


def _holds(interval: Any) -> bool:
    return bool(interval.low <= 0 <= interval.high)
