"""Part 2: the peak memory of one and of several runs at once, summed over all of a side's processes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait

import psutil

from benchmarks.throughput import candidate, reference
from benchmarks.throughput.children import Child, started
from benchmarks.throughput.settings import WARM, Place, Settings
from benchmarks.throughput.timing import scratch, specs
from harness.plan import Selection

__all__ = ["Peak", "measure_memory"]

_EVERY = 0.05
_FILES_PER_RUN = 4  # MMSA holds the whole unpickled file and casts parts of it; what it may need of memory at most


@dataclass(frozen=True)
class Peak:
    """Peak of one set-up, in bytes, each the highest sum over the side's processes at one moment.

    Parameters
    ----------
    side : str
        Whose runs.
    workers : int
        How many runs at once.
    pss, uss : int
        Proportional set size (a shared page counts in parts, once in the sum) and unique set size (pages that one
        process alone has).
    idle_pss : int
        PSS before the runs began, imports done.
    samples : int
        How many looks it is the maximum of.
    skipped : str
        Why it was not measured, or nothing.
    """

    side: str
    workers: int
    pss: int = 0
    uss: int = 0
    idle_pss: int = 0
    samples: int = 0
    skipped: str = ""


def measure_memory(settings: Settings, place: Place, note: Callable[[str], None]) -> tuple[Peak, ...]:
    """Measure part 2 with the first group's first model, one seed a worker; its place's cache `WARM` is filled."""
    group = settings.groups[0]
    model = group.models[0]
    peaks = []
    for count in settings.memory_workers:
        note(f"memory, {count} at once")
        suite = place.write_suite(group, models=[model], seeds=[1111 + n for n in range(count)])
        peaks += [_mmsa(place, suite, model, count), _harness(place, suite, count)]
    note("memory while the file is converted")
    suite = place.write_suite(group, models=[model], seeds=[1111])
    return (*peaks, _converting(place, suite))


def _mmsa(place: Place, suite: str, model: str, count: int) -> Peak:
    needed, free = _FILES_PER_RUN * place.file.stat().st_size * count, psutil.virtual_memory().available
    if needed > free:
        return Peak("MMSA", count, skipped=f"needs up to {needed / 2**30:.0f} GiB, {free / 2**30:.0f} GiB are free")
    with scratch(place) as folder, started(count, reference.IMPORTS, quiet=True) as children:
        for child in children:
            child.call(reference.make_ready)
        watch = _Watch(children)
        for child, spec in zip(children, specs(place, suite, model), strict=True):
            child.send(reference.run_once, spec, place.file, folder / f"{spec.run_id}.pth")
        return watch.until_done("MMSA", count)


def _harness(place: Place, suite: str, count: int) -> Peak:
    with scratch(place) as folder, _ready() as child:
        watch = _Watch([child])
        child.send(candidate.run_side_by_side, suite, place.folders(folder.name, WARM))
        return watch.until_done("harness", count)


def _converting(place: Place, suite: str) -> Peak:
    with scratch(place) as folder, _ready() as child:
        watch = _Watch([child])
        folders = place.folders(f"{folder.name}/runs", folder.name)
        child.send(candidate.run_whole_suite, suite, Selection(), folders, 1)
        return watch.until_done("harness, empty cache", 1)


@contextlib.contextmanager
def _ready() -> Iterator[Child]:
    with Child(candidate.IMPORTS) as child:
        child.receive()
        child.call(candidate.make_ready)
        yield child


class _Watch:
    """Looks at children and all their descendants until the children have answered."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = list(children)
        self._pss = self._uss = self._samples = 0
        self._idle = self._look()[0]

    def until_done(self, side: str, count: int) -> Peak:
        waiting = {child.connection: child for child in self._children}
        while waiting:
            pss, uss = self._look()
            self._pss, self._uss, self._samples = max(self._pss, pss), max(self._uss, uss), self._samples + 1
            for connection in wait(list(waiting), _EVERY):
                waiting.pop(connection).receive()  # type: ignore[call-overload]
        return Peak(side, count, self._pss, self._uss, self._idle, self._samples)

    def _look(self) -> tuple[int, int]:
        pss = uss = 0
        for child in self._children:
            for process in _family(child.pid):
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    memory = process.memory_full_info()
                    pss, uss = pss + memory.pss, uss + memory.uss
        return pss, uss


def _family(pid: int) -> list[psutil.Process]:
    try:
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
