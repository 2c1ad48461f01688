"""What lies in a runs folder besides what is asked for today, how large it is, and how it goes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from harness.spec import RunSpec
from harness.store.record import RECORD_FILE
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


def relatives_of(store: RunStore, runs: Iterable[RunSpec]) -> Iterator[Lying]:
    """Yield records and failures of the places of `runs` that other sources, data or hyper-parameters gave."""
    wanted: dict[Path, dict[str, RunSpec]] = {}
    ours: set[Path] = set()
    for run in runs:
        place = store.folder(run)
        wanted.setdefault(place.parent, {})[place.name.rpartition("-")[0]] = run
        ours |= {place, store.failure_folder(run)}
    for parent, kinds in sorted(wanted.items()):
        for path in sorted(parent.iterdir()) if parent.is_dir() else ():
            stem, _, rest = path.name.rpartition("-")
            if stem in kinds and path not in ours and path.is_dir():
                run_id = rest.partition(".")[0]
                yield Lying("outdated record", run_id, kinds[stem].label, path, folder_size(path))


def checkpoints_without_use(store: RunStore, runs: Iterable[RunSpec]) -> Iterator[Lying]:
    """Yield the checkpoints of runs that are not among `runs`, or have a record."""
    open_runs = {run.run_id for run in runs if store.status(run) != "done"}
    for run_id, path, size in store.checkpoints.all():
        if run_id not in open_runs:
            yield Lying("checkpoint", run_id, "", path, size)


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
