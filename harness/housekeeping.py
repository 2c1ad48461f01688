"""What can go: old records and failures, arrays and results that nothing uses any more. Listed first, removed after."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from harness.data.cache import is_of_today
from harness.data.use import unused
from harness.plan import Plan
from harness.spec import RunSpec
from harness.store import RunStore, store_error
from harness.store.inventory import (
    Lying,
    checkpoints_without_use,
    failures_of,
    folder_size,
    records_of,
    relatives_of,
    rubbish_of,
)

__all__ = ["Item", "cached", "in_cache", "in_runs", "remove"]

_DAY = 24 * 3600.0


@dataclass(frozen=True)
class Item:
    """One thing that can go.

    Attributes
    ----------
    kind : str
        What it is, for people.
    name : str
        Which one.
    path : Path
        A file or a folder.
    size : int
        Bytes.
    days : float or None
        Days since it was used last, as far as the file system tells.
    run_id : str
        Of a run, whose lease protects it.
    mapped : bool
        Whether runs map it while they train, so that a lock beside it protects it.
    """

    kind: str
    name: str
    path: Path
    size: int
    days: float | None = None
    run_id: str = ""
    mapped: bool = False


def in_runs(
    plan: Plan,
    store: RunStore,
    *,
    failures: bool,
    outdated: bool,
    records: bool,
    knows_data: Callable[[RunSpec], bool] = lambda _run: True,
) -> list[Item]:
    """List what of a suite can go from its runs folder; what somebody works on now is left out.

    Parameters
    ----------
    plan : Plan
    store : RunStore
    failures, outdated, records : bool
        Failed runs; what other sources or data gave; and the records of today. Checkpoints of runs that are done, and
        those untouched for a month, go with the outdated ones.
    knows_data : callable
        Whether a run's feature file was read, and its hash is no guess.
    """
    found: list[Lying] = []
    if failures:
        found += failures_of(store, plan.runs)
    if outdated:
        found += relatives_of(store, plan.runs, knows_data)
        found += checkpoints_without_use(store, plan.runs)
        found += rubbish_of(store)
    if records:
        found += records_of(store, plan.runs)
    return [
        Item(one.kind, one.label or one.run_id, one.path, one.size, _days(one.path), one.run_id)
        for one in found
        if not (one.run_id and store.leases.is_held(one.run_id))
    ]


def in_cache(cache: Path, *, unused_for: float | None = None, old: bool = False) -> list[Item]:
    """List what can go from the cache folder: all of it can be made again.

    Parameters
    ----------
    cache : Path
    unused_for : float, optional
        Only what was not used for so many days.
    old : bool
        Only what other versions of the code have made, or broken commands left behind.
    """
    items = list(cached(cache))
    if old:
        items = [item for item in items if item.kind.startswith("old")]
    if unused_for is not None:
        items = [item for item in items if item.days is not None and item.days >= unused_for]
    return items


def cached(cache: Path) -> Iterator[Item]:
    """Yield everything in a cache folder, those of its parts that nothing of today uses marked as old."""
    for path in _entries(cache / "features"):
        if path.is_dir():
            kind = "converted features" if is_of_today(path) else "old converted features"
            yield replace(_item(kind, path), mapped=True)
    for path in _entries(cache / "synthetic"):
        if path.suffix == ".pkl":
            yield _item("synthetic data", path)
    if (cache / "costs").is_dir():
        yield _item("counted costs", cache / "costs")  # hundreds of files of some bytes
    for path in _entries(cache / "memo"):
        yield _item("results of a report", path)
    for path in sorted([*cache.glob(".*.removed"), *cache.glob("*/.*.removed")]):
        yield _item("old rubbish", path)
    for path in _entries(cache):
        if path.is_dir() and path.name.startswith("verify-") and (_days(path) or 0.0) > 1.0:
            yield _item("old verification", path)


def remove(
    items: Sequence[Item], is_held: Callable[[str], bool] = lambda _run_id: False
) -> tuple[list[Item], list[Item]]:
    """Remove what was listed, and return it; second, what has come into use since and was left.

    A folder goes out of sight by one rename before its files go, so that a broken removal leaves no half of a record.

    Raises
    ------
    StoreError
        If the file system refuses.
    """
    gone: list[Item] = []
    left: list[Item] = []
    for item in items:
        if item.run_id and is_held(item.run_id):
            left.append(item)
            continue
        with unused(item.path) if item.mapped else nullcontext(True) as free:
            if not free:
                left.append(item)
                continue
            try:
                _remove(item.path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise store_error(error, "cannot remove it", item.path) from error
        gone.append(item)
    return gone, left


def _remove(path: Path) -> None:
    grave = path.with_name(f".{uuid.uuid4().hex[:12]}.removed")
    path.rename(grave)
    if grave.is_dir() and not grave.is_symlink():
        shutil.rmtree(grave)
    else:
        grave.unlink()


def _item(kind: str, path: Path) -> Item:
    size = folder_size(path) if path.is_dir() else path.stat().st_size
    return Item(kind, path.name, path, size, _days(path))


def _entries(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.suffix != ".lock")


def _days(path: Path) -> float | None:
    """Return the days since a file, or any file of a folder, was read or written, if the file system notes it."""
    try:
        files = [Path(parent) / name for parent, _, names in os.walk(path) for name in names] or [path]
        # Looking into a folder counts as reading it, so that its own time says nothing.
        latest = max(max(file.stat().st_atime, file.stat().st_mtime) for file in files)
    except OSError:
        return None
    return max(0.0, time.time() - latest) / _DAY
