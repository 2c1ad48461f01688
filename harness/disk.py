"""Files that are there whole or not at all, and outlive a power cut."""

from __future__ import annotations

import glob
import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from harness.errors import StoreError

__all__ = ["need_space", "readable_size", "replace_file", "sync"]

_STALE_SECONDS = 3600  # longer than any file takes to be written
_SPARE = 16 * 2**20  # what a nearly full disk needs besides the files: folders, metadata, somebody's log


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk.

    Raises
    ------
    OSError
        If it is not there, or the disk fails.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in the place of `path`.

    Readers see the old file or the new one. If anything goes wrong, the old file stays and nothing is left behind;
    what a killed writer of the same file left is removed once it is an hour old.

    Parameters
    ----------
    path : Path
        The file; its folder exists.
    write : callable
        Gets the temporary file, opened for writing bytes.

    Raises
    ------
    OSError
        If the disk refuses. What `write` raises is passed on.
    """
    # Not tempfile: its files are for the owner alone, and a cache or a report may be shared.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with draft.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            now = os.fstat(file.fileno()).st_mtime
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    sync(path.parent)
    _drop_stale_drafts(path, now)


def _drop_stale_drafts(path: Path, now: float) -> None:
    """Remove what killed writers left; `now` is by the clock of the disk, which need not be ours."""
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError):
            if now - draft.stat().st_mtime > _STALE_SECONDS:
                draft.unlink()


def need_space(folder: Path, size: int, purpose: str, *, hint: str) -> None:
    """Check that the disk of `folder` (which exists) has `size` bytes left, and a little more.

    Raises
    ------
    StoreError
        If not; it says how much is needed, how much is free, and where.
    """
    free = shutil.disk_usage(folder).free
    if free < size + _SPARE:
        needed, left = readable_size(size + _SPARE), readable_size(free)
        raise StoreError(
            f"too little space for {purpose}: {needed} are needed, {left} are free", where=str(folder), hint=hint
        )


def readable_size(size: int) -> str:
    """Return a number of bytes as people read it."""
    for unit, bytes_of in (("GiB", 2**30), ("MiB", 2**20)):
        if size >= 0.95 * bytes_of:
            return f"{size / bytes_of:.1f} {unit}"
    return f"{size / 2**10:.1f} KiB"
