"""In which order runs start: the longest first, by what the last records of their kind took."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.spec import RunSpec, Task, Variant
from harness.store import Record, RunStore

__all__ = ["Estimates", "longest_first", "makespan"]


@dataclass
class Estimates:
    """What runs take, from records of the same model and data set: the newest of the same variant and task.

    Where there is none of that variant, or of that task, the newest of any. A record counts whatever its sources were:
    its time is a good guess all the same. Every folder of records is listed once, whatever is asked.

    Parameters
    ----------
    store : RunStore
    """

    store: RunStore
    _known: dict[tuple[str, str], dict[tuple[Variant, Task], Record]] = field(default_factory=dict)

    def record(self, run: RunSpec) -> Record | None:
        """Return the record that a guess about `run` rests on, or None."""
        place = (run.data.dataset, run.model)
        if place not in self._known:
            self._known[place] = self.store.newest(run)
        kinds = self._known[place]
        alike = [(variant, task) for variant, task in kinds if task == run.task] or list(kinds)
        exact = (run.variant, run.task)
        return kinds.get(exact) or (kinds[alike[0]] if alike else None)

    def seconds(self, run: RunSpec) -> float | None:
        """Return the wall time that a run will about take; None where nobody knows."""
        record = self.record(run)
        value = record.data.get("wall_seconds") if record is not None else None
        return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None

    def disk(self, runs: Iterable[RunSpec]) -> int:
        """Return the bytes that the records of `runs` will about take, those without a guess left out."""
        sizes: dict[int, int] = {}
        total = 0
        for run in runs:
            record = self.record(run)
            if record is not None:
                if id(record) not in sizes:
                    sizes[id(record)] = record.size()
                total += sizes[id(record)]
        return total


def longest_first(runs: Sequence[RunSpec], estimates: Estimates) -> list[RunSpec]:
    """Sort runs so that the longest start first; those of unknown length start before all others.

    A long run that starts last leaves the other workers idle (Graham's longest-processing-time rule: at most a third
    above the best order). An unknown one might be the longest of all. Equal ones keep their order.
    """
    guesses = {run.run_id: estimates.seconds(run) for run in runs}
    return sorted(runs, key=lambda run: -(math.inf if (guess := guesses[run.run_id]) is None else guess))


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Return when the last of some runs ends if they start in this order, each on the worker that is free first."""
    free = [0.0] * workers
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)
