"""Part 1: the same original runs by MMSA's own code and by the harness, one after the other, over and over."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.throughput import candidate, reference
from benchmarks.throughput.children import Child, share, started
from benchmarks.throughput.runs import Pass, check_equal
from benchmarks.throughput.settings import WARM, Place, Settings
from benchmarks.throughput.summary import SIDES, ModelTimes, Overall, Repetition, Spread, summarise, summarise_all
from harness.plan import Selection
from harness.spec import RunSpec
from harness.workflow import plan_suite

__all__ = ["Timing", "measure_timing", "scratch", "specs"]


@dataclass(frozen=True)
class Timing:
    """Part 1's figures; starts are seconds until a side's processes have their imports."""

    repetitions: int
    workers: int
    start_mmsa: Spread
    start_harness: Spread
    models: tuple[ModelTimes, ...]
    overall: Overall


def measure_timing(settings: Settings, places: Sequence[Place], note: Callable[[str], None]) -> Timing:
    """Measure part 1; the places hold their feature files, converted in the cache `WARM`.

    Raises
    ------
    MismatchError
        If the two sides did not do the same work.
    """
    done = []
    for number in range(settings.repetitions):
        note(f"runs, repetition {number + 1} of {settings.repetitions}")
        done.append(_repeat(settings, places, number, note))
    groups = [place.group for place in places]
    return Timing(
        repetitions=settings.repetitions,
        workers=settings.workers,
        start_mmsa=Spread.of([r.start_mmsa for r in done]),
        start_harness=Spread.of([r.start_harness for r in done]),
        models=tuple(summarise(group, model, settings.workers, done) for group in groups for model in group.models),
        overall=summarise_all(groups[0], done),
    )


def specs(place: Place, suite: str, model: str) -> tuple[RunSpec, ...]:
    """Return the run specs that the harness makes of a suite, for MMSA's side to follow."""
    planned = plan_suite(suite, Selection(models=(model,)), place.folders("runs", WARM), need_data=True)
    return planned.plan.runs


@contextlib.contextmanager
def scratch(place: Place) -> Iterator[Path]:
    """Make an empty folder beside a place's data, and remove it with all that came into it."""
    folder = Path(tempfile.mkdtemp(dir=place.folder))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _repeat(settings: Settings, places: Sequence[Place], number: int, note: Callable[[str], None]) -> Repetition:
    passes: dict[tuple[str, str], dict[str, Pass]] = {}
    turn = number % len(SIDES)  # nobody always goes first
    most = max(len(place.group.seeds) for place in places)
    with contextlib.ExitStack() as stack:
        clock = time.perf_counter()
        theirs = stack.enter_context(started(min(settings.workers, most), reference.IMPORTS, quiet=True))
        start_mmsa = time.perf_counter() - clock
        for child in theirs:
            child.call(reference.make_ready)
        clock = time.perf_counter()
        ours = stack.enter_context(Child(candidate.IMPORTS))
        ours.receive()
        ours.call(candidate.make_ready)
        start_harness = time.perf_counter() - clock
        for place in places:
            for model in place.group.models:
                found = {}
                for side in SIDES[turn:] + SIDES[:turn]:
                    with scratch(place) as folder:
                        if side == "mmsa":
                            found[side] = _by_mmsa(theirs, place, model, folder)
                        else:
                            cache = folder.name if side == "cold" else WARM
                            found[side] = _by_harness(
                                ours, place, model, f"{folder.name}/runs", cache, settings.workers
                            )
                    note(f"  {model}, {side}: {found[side].seconds:.1f} s")
                check_equal(found["cold"].runs, found["mmsa"].runs)
                check_equal(found["warm"].runs, found["mmsa"].runs)
                passes[place.group.name, model] = found
    return Repetition(start_mmsa, start_harness, passes)


def _by_mmsa(children: Sequence[Child], place: Place, model: str, folder: Path) -> Pass:
    todo = specs(place, place.write_suite("suite"), model)
    tasks = [(spec, place.file, folder / f"{spec.run_id}.pth") for spec in todo]
    clock = time.perf_counter()
    runs = share(children, reference.run_once, tasks)
    return Pass(time.perf_counter() - clock, tuple(runs))


def _by_harness(child: Child, place: Place, model: str, runs: str, cache: str, workers: int) -> Pass:
    suite = place.write_suite("suite")
    folders = place.folders(runs, cache)
    result: Pass = child.call(candidate.run_whole_suite, suite, Selection(models=(model,)), folders, workers)
    return result
