"""What do the intervals of a paper-size suite cost? ``python -m benchmarks.bootstrap``.

Two-level intervals (seeds, then utterances) of 21 comparisons x 6 metrics over 5 seeds and 4,659 utterances (the
comparisons of the paper, each with as many utterances as MOSEI's test split) from 10,000 resamples, as the harness
computes them, beside a plain loop that draws utterances and calls `harness.metrics.compute`. The loop is timed on a few
resamples of a few comparisons, since all of it would take a day; both sides are reported per resample and comparison.
Scores are made up. Whether the two agree is what the tests of `harness.statistics` check.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.arguments import positive
from harness.metrics import compute
from harness.statistics import two_level_bootstraps
from harness.tallies import tallies

__all__ = ["Timing", "as_table", "main", "measure"]

METRICS = ("Acc-2/has-0", "Acc-2/non-0", "F1/non-0", "Acc-7", "MAE", "Corr")

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Timing:
    """Seconds of both sides, and what they did."""

    comparisons: int
    resamples: int
    seeds: int
    utterances: int
    seconds: float
    loop_resamples: int
    loop_seconds: float

    @property
    def ratio(self) -> float:
        """The harness's time for one comparison and resample over the loop's."""
        ours = self.seconds / (self.comparisons * self.resamples)
        return ours / (self.loop_seconds / self.loop_resamples)


def made_up(comparisons: int, seeds: int, utterances: int) -> tuple[Scores, list[tuple[Scores, Scores]]]:
    """Return labels on MOSEI's grid, and predictions of both arms of each comparison, shape (seeds, utterances)."""
    rng = np.random.default_rng(1111)
    label = np.clip(np.round(rng.normal(0.2, 1.1, utterances) * 3) / 3, -3, 3).astype(np.float32)
    shape = (2, seeds, utterances)
    arms = [(label + rng.normal(0, 0.8, shape)).astype(np.float32) for _ in range(comparisons)]
    return label, [(two[0], two[1]) for two in arms]


def measure(comparisons: int, seeds: int, utterances: int, resamples: int, loop_resamples: int) -> Timing:
    """Time both sides on the same made-up predictions; tallying counts as work of the harness."""
    label, arms = made_up(comparisons, seeds, utterances)
    start = time.perf_counter()
    tallied = [[tallies("regression", "mosei", label, arm) for arm in pair] for pair in arms]
    two_level_bootstraps([(a[name], b[name]) for a, b in tallied for name in METRICS], resamples=resamples)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    loop(label, arms[0], loop_resamples)
    return Timing(comparisons, resamples, seeds, utterances, seconds, loop_resamples, time.perf_counter() - start)


def loop(label: Scores, arms: tuple[Scores, Scores], resamples: int) -> list[dict[str, float]]:
    """Draw seeds and utterances, and score every drawn run of both arms with the metric functions."""
    rng = np.random.default_rng(0)
    deltas = []
    for _ in range(resamples):
        items = rng.integers(0, label.size, label.size)
        drawn = rng.integers(0, len(arms[0]), len(arms[0]))
        scores = [[compute("regression", "mosei", label[items], arm[seed][items]) for seed in drawn] for arm in arms]
        deltas.append({name: _mean(scores[1], name) - _mean(scores[0], name) for name in METRICS})
    return deltas


def _mean(scores: Sequence[dict[str, Any]], name: str) -> float:
    return float(np.mean([one[name].value for one in scores]))


def as_table(timing: Timing) -> str:
    """Return what was measured, as Markdown."""
    each = 1e6 * timing.seconds / (timing.comparisons * timing.resamples)
    row: dict[str, str] = {
        "comparisons": f"{timing.comparisons}",
        "metrics": f"{len(METRICS)}",
        "resamples": f"{timing.resamples:,}",
        "seeds": f"{timing.seeds}",
        "utterances": f"{timing.utterances:,}",
        "s in all": f"{timing.seconds:.1f}",
        "us per comparison and resample": f"{each:.1f}",
        "/ loop": f"1/{1 / timing.ratio:,.0f}",
    }
    lines = (list(row), ["---"] * len(row), list(row.values()))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bootstrap", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--comparisons", type=positive, default=21)
    parser.add_argument("--seeds", type=positive, default=5)
    parser.add_argument("--utterances", type=positive, default=4659)
    parser.add_argument("--resamples", type=positive, default=10_000)
    parser.add_argument("--loop-resamples", type=positive, default=20, help="resamples of the loop, on one comparison")
    asked = parser.parse_args(arguments)
    print(as_table(measure(asked.comparisons, asked.seeds, asked.utterances, asked.resamples, asked.loop_resamples)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:,.0f} MiB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
