"""What lies in a runs folder besides what is asked for today, how large it is, and how it goes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from harness.errors import StoreError
from harness.spec import RunSpec
from harness.store.record import RECORD_FILE, read_failure, read_record
from harness.store.runs import RunStore

__all__ = [
    "Kind",
    "Lying",
    "checkpoints_without_use",
    "failures_of",
    "folder_size",
    "records_of",
    "relatives_of",
    "rubbish_of",
]

_FORGOTTEN_SECONDS = 30 * 24 * 3600.0

Kind: TypeAlias = Literal["record", "outdated record", "failure", "checkpoint", "rubbish"]


@dataclass(frozen=True)
class Lying:
    """One thing in a runs folder: of which run, where, and how many bytes."""

    kind: Kind
    run_id: str
    label: str
    path: Path
    size: int


def records_of(store: RunStore, runs: Iterable[RunSpec]) -> Iterator[Lying]:
    """Yield the records of `runs`."""
    for run in runs:
        place = store.folder(run)
        if (place / RECORD_FILE).is_file():
            yield Lying("record", run.run_id, run.label, place, folder_size(place))


def failures_of(store: RunStore, runs: Iterable[RunSpec]) -> Iterator[Lying]:
    """Yield the failures of `runs`, those that a record has overtaken included."""
    for run in runs:
        place = store.failure_folder(run)
        if place.is_dir():
            yield Lying("failure", run.run_id, run.label, place, folder_size(place))


def relatives_of(
    store: RunStore, runs: Iterable[RunSpec], knows_data: Callable[[RunSpec], bool] = lambda _run: True
) -> Iterator[Lying]:
    """Yield records and failures of the places of `runs` that other sources or data gave.

    What other hyper-parameters gave belongs to another suite, which may want it today, and so does what cannot be read.
    Where `knows_data` is false the run's data are a guess, and other sources alone count.
    """
    wanted: dict[Path, dict[str, RunSpec]] = {}
    ours: set[Path] = set()
    for run in runs:
        place = store.folder(run)
        wanted.setdefault(place.parent, {})[place.name.rpartition("-")[0]] = run
        ours |= {place, store.failure_folder(run)}
    for parent, kinds in sorted(wanted.items()):
        for path in sorted(parent.iterdir()) if parent.is_dir() else ():
            stem, _, rest = path.name.rpartition("-")
            if stem not in kinds or path in ours or not path.is_dir():
                continue
            run, made = kinds[stem], _spec_in(path)
            if made is None:
                continue
            other_data = knows_data(run) and made.data.sha256 != run.data.sha256
            if made.sources != run.sources or (other_data and made.data.setting == run.data.setting):
                yield Lying("outdated record", rest.partition(".")[0], run.label, path, folder_size(path))


def _spec_in(folder: Path) -> RunSpec | None:
    with suppress(StoreError):
        if (folder / RECORD_FILE).is_file():
            return read_record(folder).spec
        return read_failure(folder).spec
    return None


def checkpoints_without_use(store: RunStore, runs: Iterable[RunSpec]) -> Iterator[Lying]:
    """Yield the checkpoints of those of `runs` that have a record, and those that nobody has touched for a month.

    Whose any other checkpoint is cannot be seen: another suite's, or that of a run that waits in a queue.
    """
    done = {run.run_id: run.label for run in runs if store.status(run) == "done"}
    found = list(store.checkpoints.all())
    newest = max((path.stat().st_mtime for _, path, _ in found if path.exists()), default=0.0)
    for run_id, path, size in found:
        with suppress(OSError):
            forgotten = max(newest, time.time()) - path.stat().st_mtime > _FORGOTTEN_SECONDS
            if run_id in done or forgotten:
                label = done.get(run_id, f"{run_id}, untouched for a month")
                yield Lying("checkpoint", run_id, label, path, size)


def rubbish_of(store: RunStore) -> Iterator[Lying]:
    """Yield what a removal that was broken off has left, out of sight of everything else."""
    for path in sorted(store.root.glob("*/*/.*.removed")):
        yield Lying("rubbish", "", path.name, path, folder_size(path))


def folder_size(folder: Path) -> int:
    """Return the bytes of all files below a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += (Path(parent) / name).lstat().st_size
            except OSError:
                continue
    return total
