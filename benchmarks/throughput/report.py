"""All parts in their order, in a folder that is made for them and removed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.throughput import candidate
from benchmarks.throughput.children import Child
from benchmarks.throughput.memory import Peak, measure_memory
from benchmarks.throughput.overhead import Overhead, measure_overhead
from benchmarks.throughput.settings import WARM, Place, Settings, make_feature_file
from benchmarks.throughput.timing import Timing, measure_timing
from harness.executors import available_cores
from harness.executors.worker import THREAD_VARIABLES

__all__ = ["PARTS", "Report", "measure"]

PARTS = ("timing", "memory", "overhead")


@dataclass(frozen=True)
class Report:
    """What was measured, and on what; a part that was left out is None or empty."""

    quick: bool
    date: str
    cores: int
    torch: str
    mmsa: str
    file_bytes: dict[str, int]
    timing: Timing | None
    memory: tuple[Peak, ...]
    overhead: Overhead | None


def measure(
    settings: Settings, parts: Collection[str], work: Path | None, note: Callable[[str], None], *, quick: bool
) -> Report:
    """Run the benchmark.

    Parameters
    ----------
    settings : Settings
        How much of it.
    parts : collection of str
        Which of `PARTS`.
    work : Path or None
        Where a folder for feature files, caches and records is made; it is removed at the end.
    note : callable
        Gets a line whenever something begins or ends.
    quick : bool
        Whether the settings are too small for figures to mean anything.

    Raises
    ------
    MismatchError
        If the two sides did not do the same work.
    ChildError
        If a run failed.
    """
    settings = replace(settings, workers=min(settings.workers, available_cores()))
    with tempfile.TemporaryDirectory(prefix="throughput-", dir=work) as root, _confined(settings.workers):
        folder = Path(root)
        data = settings.data if "timing" in parts else settings.data[:1]
        places = {one.name: Place(one, folder / one.name) for one in data} if set(parts) & {"timing", "memory"} else {}
        sizes = {name: _prepare(place, settings, note) for name, place in places.items()}
        return Report(
            quick=quick,
            date=datetime.now(UTC).date().isoformat(),
            cores=available_cores(),
            torch=version("torch"),
            mmsa=version("MMSA"),
            file_bytes=sizes,
            timing=measure_timing(settings, places, note) if "timing" in parts else None,
            memory=measure_memory(settings, places[settings.groups[0].data.name], note) if "memory" in parts else (),
            overhead=measure_overhead(settings, folder / "overhead", note) if "overhead" in parts else None,
        )


def _prepare(place: Place, settings: Settings, note: Callable[[str], None]) -> int:
    """Write a place's feature file and convert it for the warm passes."""
    with Child(candidate.IMPORTS) as child:  # not here: the generator takes twice the file's size
        child.receive()
        size: int = child.call(make_feature_file, place.data, place.file)
        group = next(group for group in settings.groups if group.data == place.data)
        child.call(candidate.convert, place.write_suite(group), place.folders("runs", WARM))
    note(f"{place.data.name}: feature file of {size / 2**20:.0f} MiB")
    return size


@contextmanager
def _confined(workers: int) -> Iterator[None]:
    """Give both sides as many cores as they have workers, and one thread for each numeric library."""
    cores = os.sched_getaffinity(0)
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.sched_setaffinity(0, sorted(cores)[:workers])
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
