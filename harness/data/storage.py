"""Writing into the cache folder so that a file is there whole or not at all."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from harness.errors import StoreError

__all__ = ["cannot_write", "locked", "make_folder", "need_space", "sync_folder", "write_atomically"]

_STALE_SECONDS = 3600
_SPARE = 16 * 2**20  # what a nearly full disk needs besides the arrays: folders, metadata, somebody's log


def cannot_write(folder: Path, error: OSError) -> StoreError:
    """Return the error for a place that cannot be written."""
    return StoreError(
        f"cannot write there: {error.strerror or error}",
        where=str(folder),
        hint="name another folder with --cache-dir or HARNESS_CACHE_DIR, or free some space",
    )


def make_folder(folder: Path) -> Path:
    """Create `folder` and its parents where they are missing.

    Raises
    ------
    StoreError
        If that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder


def need_space(folder: Path, size: int, purpose: str) -> None:
    """Check that the disk of `folder` (which exists) has `size` bytes left.

    Raises
    ------
    StoreError
        If not; it says how much is needed, how much is free, and where.
    """
    free = shutil.disk_usage(folder).free
    if free < size + _SPARE:
        raise StoreError(
            f"{purpose} needs {_readable(size + _SPARE)}, and {_readable(free)} are free",
            where=str(folder),
            hint="free some space, or name another folder with --cache-dir or HARNESS_CACHE_DIR",
        )


def _readable(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder to be made; wait for whoever has it, in whatever process.

    The kernel drops the lock when its holder dies. The lock file beside `path` stays: deleting it would race.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    make_folder(path.parent)
    try:
        file = path.with_name(f"{path.name}.lock").open("ab")
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    with file:
        # Some network file systems know no locks. Then a thing may be made twice at once; renaming keeps that safe.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it into place.

    Raises
    ------
    StoreError
        If the disk refuses; nothing is left behind then.
    """
    make_folder(path.parent)
    _drop_stale_drafts(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path.parent, error) from error


def _drop_stale_drafts(path: Path) -> None:
    """Remove what a killed writer of the same file left; an hour is longer than any of them takes."""
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError):
            if time.time() - draft.stat().st_mtime > _STALE_SECONDS:
                draft.unlink()
