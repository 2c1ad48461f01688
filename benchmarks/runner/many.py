"""Thousands of runs that do nothing: what planning, running and listing cost, and whether that stays flat."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.executors import Event, Finished, LocalExecutor
from harness.plan import Plan, load_datasets, make_plan
from harness.spec import Suite
from harness.store import RunStore
from harness.training.job import Job
from harness.workflow import Planned, outdated, status_rows

__all__ = ["Many", "measure_many"]

_STUB = "benchmarks.runner.stub"
_MODELS = ("LF-DNN", "LMF")
_SHARE = 10
"""The last tenth of the runs is held against the first one."""


@dataclass(frozen=True)
class Many:
    """Seconds of one size.

    Attributes
    ----------
    runs : int
    plan, run, listed, again : float
        Seconds to expand the suite and hash every run, to run all of them, to list them, and to find that there is
        nothing left to do.
    flat : float
        Seconds a run in the last tenth over those in the first one.
    """

    runs: int
    plan: float
    run: float
    listed: float
    again: float
    flat: float

    @property
    def rate(self) -> float:
        """Runs a second, planning and listing included."""
        return self.runs / (self.plan + self.run + self.listed)


def measure_many(runs: int, work: Path, note: Callable[[str], None]) -> Many:
    """Plan, run and list `runs` runs in a fresh store below `work`.

    Raises
    ------
    RuntimeError
        If a run has no record at the end.
    """
    store = RunStore(work / str(runs))
    store.prepare()
    started = time.perf_counter()
    planned = Planned(_plan(runs), store, {}, {})
    jobs = [Job(run, work, store.root) for run in planned.plan.runs]
    for job in jobs:
        store.status(job.spec)
    after_plan = time.perf_counter()
    ends: list[float] = []

    def watch(event: Event) -> None:
        if isinstance(event, Finished):
            ends.append(time.perf_counter())
            if len(ends) % 1000 == 0:
                note(f"{len(ends)} of {runs} runs, {len(ends) / (ends[-1] - after_plan):.0f} a second")

    executor = LocalExecutor(target=f"{_STUB}:trivial", preload=(_STUB,))
    executor.run(jobs, store, observer=watch)
    after_run = time.perf_counter()
    rows = status_rows(planned)
    outdated(planned)
    after_list = time.perf_counter()
    executor.run(jobs, store)
    after_again = time.perf_counter()
    if any(row["status"] != "done" for row in rows):
        raise RuntimeError("not every run has a record")
    part = max(1, len(ends) // _SHARE)
    return Many(
        len(jobs),
        after_plan - started,
        after_run - after_plan,
        after_list - after_run,
        after_again - after_list,
        flat=(ends[-1] - ends[-part - 1]) / (ends[part] - ends[0]) if len(ends) > 2 * part else float("nan"),
    )


def _plan(runs: int) -> Plan:
    seeds = range(1, 1 + max(1, runs // (4 * len(_MODELS))))
    suite = Suite.model_validate(
        {"name": "trivial", "datasets": ["synthetic"], "models": _MODELS, "seeds": list(seeds)}
    )
    return make_plan(suite, load_datasets(suite, Path()), lambda _dataset, _setting: "0" * 64)
