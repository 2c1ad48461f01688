"""What starting the longest runs first gains: the times of a suite's records, put on workers in two orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.schedule import Estimates, longest_first, makespan
from harness.spec import RunSpec
from harness.store import RunStore

__all__ = ["WORKERS", "order_gain", "records_of"]

WORKERS = (2, 4, 8)


def order_gain(runs: Sequence[RunSpec], seconds: Mapping[str, float], store: RunStore, workers: int) -> float:
    """Return the end of the longest-first order over that of the plan's own.

    Parameters
    ----------
    runs : sequence of RunSpec
        In the order of the plan.
    seconds : mapping
        What each took, by run id.
    store : RunStore
        From whose records the times are guessed.
    workers : int
        How many run at once.
    """
    planned = makespan([seconds[run.run_id] for run in runs], workers)
    sorted_runs = longest_first(runs, Estimates(store))
    return makespan([seconds[run.run_id] for run in sorted_runs], workers) / planned


def records_of(folder: Path) -> tuple[list[RunSpec], dict[str, float], RunStore]:
    """Return the runs of a store in the order of their folders, what each took, and the store."""
    store = RunStore(folder)
    runs: list[RunSpec] = []
    seconds: dict[str, float] = {}
    for record in store.records():
        took: Any = record.data.get("wall_seconds")
        if isinstance(took, (int, float)):
            runs.append(record.spec)
            seconds[record.run_id] = float(took)
    return runs, seconds, store
