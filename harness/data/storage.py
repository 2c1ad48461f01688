"""Writing into the cache folder so that a file is there whole or not at all."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from harness import disk
from harness.disk import replace_file
from harness.errors import StoreError

__all__ = ["cannot_write", "locked", "make_folder", "need_space", "write_atomically"]


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
    """Check that the disk of the cache folder `folder` (which exists) has `size` bytes left.

    Raises
    ------
    StoreError
        If not; it says how much is needed, how much is free, and where.
    """
    hint = "free some space, or name another folder with --cache-dir or HARNESS_CACHE_DIR"
    disk.need_space(folder, size, purpose, hint=hint)


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the lock of a file or folder to be made; wait for whoever has it, in whatever process.

    Yields whether the lock is really held: some network file systems know no locks. A thing may then be made twice at
    once, which renaming into place keeps safe, but nobody may remove a half-made one: it could be another's.

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
        held = False
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
            held = True
        yield held


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it into place.

    Raises
    ------
    StoreError
        If the disk refuses; nothing is left behind then.
    """
    make_folder(path.parent)
    try:
        replace_file(path, write)
    except OSError as error:
        raise cannot_write(path.parent, error) from error
