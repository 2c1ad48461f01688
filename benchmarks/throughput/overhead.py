"""Part 3: what the harness adds to its bare training loop, on runs so small that it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.throughput import candidate
from benchmarks.throughput.children import Child
from benchmarks.throughput.runs import Pass, Run, check_equal
from benchmarks.throughput.settings import Settings
from benchmarks.throughput.summary import Spread
from harness.plan import Selection
from harness.workflow import Folders

__all__ = ["Overhead", "measure_overhead"]

_SUITE = "quick"


@dataclass(frozen=True)
class Overhead:
    """Originals of the shipped suite ``quick``, by one worker of the harness and by the bare loop in one process.

    Parameters
    ----------
    runs : int
        How many runs.
    bare : Spread
        Seconds in the loop alone, summed over the runs: data open, model built, nothing written.
    harness : Spread
        Wall seconds of the same runs by the harness, warm, its start left out.
    per_run : Spread
        The difference, in seconds a run: process, mapping the data, building the model, test pass, the record.
    ratio : Spread
        The harness over the bare loop, within one repetition.
    """

    models: tuple[str, ...]
    runs: int
    repetitions: int
    bare: Spread
    harness: Spread
    per_run: Spread
    ratio: Spread


def measure_overhead(settings: Settings, folder: Path, note: Callable[[str], None]) -> Overhead:
    """Measure part 3 in `folder`, which is the benchmark's own.

    Raises
    ------
    MismatchError
        If the bare loop and the harness made different predictions.
    """
    note("overhead")
    pick = Selection(
        datasets=("synthetic",),
        models=settings.overhead_models,
        variants=("original",),
        seeds=settings.overhead_seeds,
    )
    bare, whole = [], []
    with Child(candidate.IMPORTS) as loop, Child(candidate.IMPORTS) as harness:
        loop.receive()
        harness.receive()
        harness.call(candidate.make_ready)
        # The first pass makes and converts the data and brings in what is imported late; it is not counted.
        for number in range(settings.overhead_repetitions + 1):
            folders = Folders(None, folder / f"runs-{number}", folder / "reports", folder / "cache")
            alone: list[Run] = loop.call(candidate.run_bare, _SUITE, pick, folders)
            through: Pass = harness.call(candidate.run_whole_suite, _SUITE, pick, folders, 1)
            check_equal(through.runs, alone)
            if number:
                bare.append(sum(run.seconds for run in alone))
                whole.append(through.seconds)
    count = len(settings.overhead_models) * len(settings.overhead_seeds)
    return Overhead(
        models=settings.overhead_models,
        runs=count,
        repetitions=settings.overhead_repetitions,
        bare=Spread.of(bare),
        harness=Spread.of(whole),
        per_run=Spread.of([(b - a) / count for a, b in zip(bare, whole, strict=True)]),
        ratio=Spread.of([b / a for a, b in zip(bare, whole, strict=True)]),
    )
