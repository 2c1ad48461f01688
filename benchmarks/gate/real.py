"""Part 2: real runs of one code against its own baseline, with other seeds: none may turn red."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.gate import Baseline, Judgement, judge, make_baseline, write
from harness.plan import Selection
from harness.results import collect
from harness.workflow import Folders, Planned, RunOptions, judge_suite, make_suite_baseline, plan_suite, run_suite

__all__ = ["Note", "Place", "Repetition", "baseline_of", "crosswise", "other_seeds", "planned_runs", "repetitions"]

Note = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """Where the runs of unbroken code are, and of what suite.

    Attributes
    ----------
    work : Path
        Records, converted data and baseline stay below it, so that the benchmark goes on where it was stopped.
    suite : str
        A shipped suite's name, or a YAML file.
    workers : int, optional
        Runs side by side; the default is as many as the cores allow.
    """

    work: Path
    suite: str = "quick"
    workers: int | None = None

    @property
    def baseline(self) -> Path:
        """The baseline with the suite's own seeds."""
        return self.work / "baseline.json"

    @property
    def folders(self) -> Folders:
        """Everything below one folder."""
        return Folders(None, self.work / "runs", self.work / "reports", self.work / "cache")


@dataclass(frozen=True)
class Repetition:
    """One gate on unchanged code.

    Attributes
    ----------
    seeds : tuple of int
        Of the new runs.
    judgement : Judgement
    """

    seeds: tuple[int, ...]
    judgement: Judgement

    @property
    def smallest(self) -> float:
        """The smallest p after Holm."""
        return min((row.p for row in self.judgement.rows if not math.isnan(row.p)), default=math.nan)


def other_seeds(suite_seeds: Sequence[int], repetition: int) -> tuple[int, ...]:
    """Return as many seeds as the suite has, which neither it nor an earlier repetition (from 0) uses."""
    first, count = max(suite_seeds) + 1, len(suite_seeds)
    return tuple(range(first + repetition * count, first + (repetition + 1) * count))


def planned_runs(place: Place, pick: Selection, folders: Folders | None = None) -> Planned:
    """Plan a part of the suite, in the place's own folders unless others are named."""
    return plan_suite(place.suite, pick, folders or place.folders, need_data=True)


def make_runs(place: Place, planned: Planned) -> None:
    """Run what is missing.

    Raises
    ------
    RuntimeError
        If a run failed, or Ctrl-C came.
    """
    outcome = run_suite(planned, place.folders, RunOptions(workers=place.workers))
    check(outcome.failed, outcome.interrupted)


def check(failed: Sequence[object], interrupted: bool) -> None:
    """Stop where runs are missing.

    Raises
    ------
    RuntimeError
        If a run failed, or Ctrl-C came.
    """
    if interrupted:
        raise RuntimeError("interrupted")
    if failed:
        raise RuntimeError(f"{len(failed)} runs failed, such as {failed[0]}")


def baseline_of(place: Place, note: Note, seeds: tuple[int, ...] = ()) -> Path:
    """Write the baseline of the suite, with other seeds than its own where they are given, and return its file.

    What has not run yet is run.
    """
    path = place.baseline if not seeds else place.work / f"baseline-{len(seeds)}.json"
    planned = planned_runs(place, Selection(seeds=seeds))
    note(f"{path.stem}: {len(planned.plan.runs)} runs")
    make_runs(place, planned)
    write(make_suite_baseline(planned, place.folders), path)
    return path


def repetitions(place: Place, baseline: Baseline, count: int, note: Note) -> Iterator[Repetition]:
    """Run and judge the same code with `count` other sets of seeds."""
    for number in range(count):
        seeds = other_seeds(baseline.seeds, number)
        planned = planned_runs(place, Selection(seeds=seeds))
        make_runs(place, planned)
        found = Repetition(seeds, judge_suite(planned, place.folders, baseline))
        note(f"repetition {number + 1} of {count}: {found.judgement.summary}")
        yield found


def crosswise(place: Place, sets: Sequence[tuple[int, ...]]) -> Iterator[Judgement]:
    """Judge every set of seeds by a baseline of every other: more gates from the same runs, which are not independent.

    Costs are left out.
    """
    collected = []
    for seeds in sets:
        planned = planned_runs(place, Selection(seeds=seeds))
        results = collect(planned.plan, planned.store)
        collected.append((planned.plan, results, make_baseline(planned.plan, results, {}, {})))
    for (_, _, baseline), (plan, results, _) in itertools.permutations(collected, 2):
        yield judge(baseline, plan, results, None)
