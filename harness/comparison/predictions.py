"""Predictions of cells as tallies: one matrix of seeds and utterances for each metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harness.comparison.pairs import CellRuns, Pair
from harness.results import Predictions
from harness.statistics import ItemSums
from harness.tallies import tallies

__all__ = ["Arms"]


class Arms:
    """Reads predictions and holds their tallies, so that an arm of many comparisons is tallied once.

    Parameters
    ----------
    predictions : Mapping
        Run id to `Predictions`.
    """

    def __init__(self, predictions: Mapping[str, Predictions]) -> None:
        self._predictions = predictions
        self._tallied: dict[tuple[str, ...], dict[str, ItemSums]] = {}

    def of(self, run_ids: Sequence[str]) -> dict[str, ItemSums]:
        """Return the tallies of some runs, one seed each, by metric.

        Empty where their test utterances differ, or the predictions of one are not there.
        """
        key = tuple(run_ids)
        if key not in self._tallied:
            self._tallied[key] = {}
            read = [one for run_id in key if (one := self._predictions.get(run_id)) is not None]
            if read and len(read) == len(key) and all(_fits(one, read[0]) for one in read):
                stacked = np.stack([one.pred for one in read])
                self._tallied[key] = tallies(read[0].task, read[0].convention, read[0].label, stacked)
        return self._tallied[key]

    def cell(self, cell: CellRuns) -> dict[str, ItemSums]:
        """Return the tallies of a cell over all of its seeds."""
        return self.of(list(cell.runs.values()))

    def pair(self, pair: Pair) -> dict[str, tuple[ItemSums, ItemSums]]:
        """Return the tallies of both arms over the seeds that they share; empty if utterances or labels differ."""
        if pair.base is None or pair.same:
            return {}
        seeds = [seed for seed in pair.base.runs if seed in pair.other.runs]
        first, second = ([cell.runs[seed] for seed in seeds] for cell in (pair.base, pair.other))
        ours, theirs = self.of(first), self.of(second)
        if not ours or not theirs or not _fits(self._predictions[first[0]], self._predictions[second[0]]):
            return {}
        return {metric: (ours[metric], theirs[metric]) for metric in ours if metric in theirs}


def _fits(one: Predictions, other: Predictions) -> bool:
    """Whether two runs were tested on the same utterances with the same labels, by the same definitions."""
    return (
        (one.task, one.convention) == (other.task, other.convention)
        and np.array_equal(one.ids, other.ids)
        and np.array_equal(one.label, other.label, equal_nan=one.label.dtype.kind == "f")
    )
