"""Predictions of cells as tallies: one matrix of seeds and utterances for each metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from harness.comparison.pairs import CellRuns, Pair
from harness.metrics import Reduction, reductions
from harness.results import Predictions
from harness.statistics import ItemSums
from harness.tallies import tallies

__all__ = ["Arms", "one_thread"]


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which matrix products use one thread.

    Their last bits depend on the number of threads, and an interval must not depend on the machine's cores. The
    matrices are small: a second thread gains little, and on a busy machine each waits for the other.
    """
    limited: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limited


class Arms:
    """Reads predictions and holds their tallies, so that an arm of many comparisons is read and tallied once.

    Parameters
    ----------
    predictions : Mapping
        Run id to `Predictions`.
    """

    def __init__(self, predictions: Mapping[str, Predictions]) -> None:
        self._predictions = predictions
        self._read: dict[str, Predictions | None] = {}
        self._reduced: dict[str, dict[str, Reduction] | None] = {}
        self._tallied: dict[tuple[str, ...], dict[str, ItemSums]] = {}

    def read(self, run_id: str) -> Predictions | None:
        """Return the predictions of a run, None where they are not there."""
        if run_id not in self._read:
            self._read[run_id] = self._predictions.get(run_id)
        return self._read[run_id]

    def reduced(self, run_id: str) -> dict[str, Reduction] | None:
        """Return what a run is scored by, None where a prediction is not finite."""
        if run_id not in self._reduced:
            one = self.read(run_id)
            finite = one is not None and np.isfinite(one.pred).all()
            self._reduced[run_id] = (
                reductions(one.task, one.convention, one.label, one.pred) if one and finite else None
            )
        return self._reduced[run_id]

    def of(self, run_ids: Sequence[str]) -> dict[str, ItemSums]:
        """Return the tallies of some runs, one seed each, by metric.

        Empty where their test utterances differ, or the predictions of one are not there.
        """
        key = tuple(run_ids)
        if key not in self._tallied:
            self._tallied[key] = {}
            read = [one for run_id in key if (one := self.read(run_id)) is not None]
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
        if not ours or not theirs:
            return {}
        one, other = self.read(first[0]), self.read(second[0])
        if one is None or other is None or not _fits(one, other):
            return {}
        return {metric: (ours[metric], theirs[metric]) for metric in ours if metric in theirs}


def _fits(one: Predictions, other: Predictions) -> bool:
    """Whether two runs were tested on the same utterances with the same labels, by the same definitions."""
    return (
        (one.task, one.convention) == (other.task, other.convention)
        and np.array_equal(one.ids, other.ids)
        and np.array_equal(one.label, other.label, equal_nan=one.label.dtype.kind == "f")
    )
