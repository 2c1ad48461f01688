"""Values of a metric by seed, of the baseline and of new runs: how they meet, and their mean over cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.statistics import Drift, drift

__all__ = ["Sample", "mean_by_seed", "mean_sample", "meeting"]


@dataclass(frozen=True)
class Sample:
    """What the seeds of a baseline and the new seeds gave; every value is finite.

    Attributes
    ----------
    old, new : mapping of int to float
        By seed; accuracies and F1 as fractions.
    higher_is_better : bool
    cells : int
        Over how many cells the values are means.
    """

    old: Mapping[int, float]
    new: Mapping[int, float]
    higher_is_better: bool
    cells: int = 1

    @property
    def shared(self) -> list[int]:
        """Seeds that both sides have."""
        return sorted(self.old.keys() & self.new.keys())

    def compare(self) -> tuple[float, float, Drift]:
        """Return the mean of the old and of the new values that meet, and the test of their difference."""
        paired = meeting(self.old, self.new)[2]
        if paired:
            then, now = ([one[seed] for seed in self.shared] for one in (self.old, self.new))
        else:
            then, now = list(self.old.values()), list(self.new.values())
        sign = 1.0 if self.higher_is_better else -1.0
        tested = drift(sign * np.array(then), sign * np.array(now), paired=paired)
        return float(np.mean(then)), float(np.mean(now)), tested


def meeting(old: Iterable[int], new: Iterable[int]) -> tuple[int, int, bool]:
    """Return how many reference and new runs meet, and whether in pairs: where one side has the seeds of the other."""
    known, asked = set(old), set(new)
    shared = len(known & asked)
    if shared >= 2 and shared == min(len(known), len(asked)):
        return shared, shared, True
    return len(known), len(asked), False


def mean_by_seed(cells: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return the mean over cells for every seed that all cells have.

    Cells that share a seed may be as alike as they like: a seed gives one value, and the seeds are compared.
    """
    seeds = set(cells[0]).intersection(*cells[1:]) if cells else set()
    return {seed: math.fsum(one[seed] for one in cells) / len(cells) for seed in sorted(seeds)}


def mean_sample(samples: Sequence[Sample]) -> Sample | None:
    """Return the mean of a metric over cells; None of one cell, or where no seed is in all of them."""
    if len(samples) < 2:
        return None
    old, new = mean_by_seed([one.old for one in samples]), mean_by_seed([one.new for one in samples])
    return Sample(old, new, samples[0].higher_is_better, len(samples)) if old and new else None
