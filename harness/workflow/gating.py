"""From records to a baseline, and from a baseline to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from harness import provenance
from harness.spec import RunSpec
from harness.workflow.planning import Folders, Planned

if TYPE_CHECKING:
    from harness.costs import CellCosts, CellKey
    from harness.gate import Baseline, Judgement
    from harness.results import Results

__all__ = ["judge_suite", "make_suite_baseline"]

Progress = Callable[[Sequence[RunSpec]], Iterable[RunSpec]]


def make_suite_baseline(
    planned: Planned, folders: Folders, *, costs: bool = True, progress: Progress = iter
) -> Baseline:
    """Take down the numbers of a suite's records, and what its models cost.

    Raises
    ------
    InputError
        If a run is not done.
    """
    from harness.gate import make_baseline

    counted: dict[CellKey, CellCosts] = {}
    results = _collected(planned, folders)
    if costs:
        counted, _ = _counted(planned, folders, progress)
    return make_baseline(planned.plan, results, counted, provenance.of_report())


def judge_suite(
    planned: Planned,
    folders: Folders,
    baseline: Baseline,
    *,
    costs: bool = True,
    narrowed: bool = False,
    progress: Progress = iter,
) -> Judgement:
    """Hold a suite's records against a baseline; see `harness.gate.judge`."""
    from harness.gate import judge

    found: dict[CellKey, CellCosts] = {}
    uncounted: dict[CellKey, str] = {}
    if costs:
        found, uncounted = _counted(planned, folders, progress)
    results = _collected(planned, folders)
    return judge(baseline, planned.plan, results, found if costs else None, uncounted=uncounted, narrowed=narrowed)


def _collected(planned: Planned, folders: Folders) -> Results:
    from harness.memo import Memo
    from harness.results import collect

    memo = Memo(folders.cache / "memo" / planned.plan.suite.name)
    results = collect(planned.plan, planned.store, memo)
    memo.save()
    return results


def _counted(
    planned: Planned, folders: Folders, progress: Progress
) -> tuple[dict[CellKey, CellCosts], dict[CellKey, str]]:
    from harness.costs import plan_costs

    uncounted: dict[CellKey, str] = {}
    return plan_costs(planned.plan, folders.cache, progress=progress, refused=uncounted.__setitem__), uncounted
