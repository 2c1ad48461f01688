"""Part 1: the same original runs by MMSA's own code and by the harness, one after the other, over and over."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.throughput import candidate, reference
from benchmarks.throughput.children import Child, share, started
from benchmarks.throughput.runs import Pass, check_equal
from benchmarks.throughput.settings import WARM, Place, Settings
from benchmarks.throughput.summary import SIDES, ModelTimes, Repetition, Spread, summarise
from harness.plan import Selection
from harness.spec import RunSpec
from harness.workflow import plan_suite

__all__ = ["Timing", "measure_timing", "scratch", "specs"]


@dataclass(frozen=True)
class Timing:
    """Part 1's figures; starts are seconds until a side's processes have their imports."""

    workers: int
    start_mmsa: Spread
    start_harness: Spread
    models: tuple[ModelTimes, ...]


def measure_timing(settings: Settings, places: Mapping[str, Place], note: Callable[[str], None]) -> Timing:
    """Measure part 1; the places hold their feature files, converted in the cache `WARM`.

    Raises
    ------
    MismatchError
        If the two sides did not do the same work.
    """
    most = max(group.repetitions for group in settings.groups)
    done = []
    for number in range(most):
        note(f"runs, repetition {number + 1} of {most}")
        done.append(_repeat(settings, places, number, note))
    return Timing(
        workers=settings.workers,
        start_mmsa=Spread.of([r.start_mmsa for r in done]),
        start_harness=Spread.of([r.start_harness for r in done]),
        models=tuple(
            summarise(group, model, settings.workers, done) for group in settings.groups for model in group.models
        ),
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


def _repeat(settings: Settings, places: Mapping[str, Place], number: int, note: Callable[[str], None]) -> Repetition:
    passes: dict[str, dict[str, Pass]] = {}
    todo = [(group, model) for group in settings.groups if number < group.repetitions for model in group.models]
    with contextlib.ExitStack() as stack:
        clock = time.perf_counter()
        count = min(settings.workers, max(len(group.seeds) for group, _ in todo))
        theirs = stack.enter_context(started(count, reference.IMPORTS, quiet=True))
        start_mmsa = time.perf_counter() - clock
        for child in theirs:
            child.call(reference.make_ready)
        clock = time.perf_counter()
        ours = stack.enter_context(Child(candidate.IMPORTS))
        ours.receive()
        ours.call(candidate.make_ready)
        start_harness = time.perf_counter() - clock
        turn = number % len(SIDES)  # nobody always goes first
        for group, model in todo:
            place = places[group.data.name]
            suite = place.write_suite(group)
            found = {}
            for side in SIDES[turn:] + SIDES[:turn]:
                with scratch(place) as folder:
                    if side == "mmsa":
                        found[side] = _by_mmsa(theirs, specs(place, suite, model), place.file, folder)
                    else:
                        folders = place.folders(f"{folder.name}/runs", folder.name if side == "cold" else WARM)
                        pick = Selection(models=(model,))
                        found[side] = ours.call(candidate.run_whole_suite, suite, pick, folders, settings.workers)
                note(f"  {model}, {side}: {found[side].seconds:.1f} s, epochs {[r.epochs for r in found[side].runs]}")
            check_equal(found["cold"].runs, found["mmsa"].runs)
            check_equal(found["warm"].runs, found["mmsa"].runs)
            passes[model] = found
    return Repetition(start_mmsa, start_harness, passes)


def _by_mmsa(children: Sequence[Child], runs: Sequence[RunSpec], file: Path, folder: Path) -> Pass:
    clock = time.perf_counter()
    done = share(children, reference.run_once, [(spec, file, folder / f"{spec.run_id}.pth") for spec in runs])
    return Pass(time.perf_counter() - clock, tuple(done))
