"""Files written for good, and faults of a disk told in the store's words."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.disk import sync
from harness.errors import StoreError

__all__ = ["flush", "make_durable", "read_json", "reading", "sha256_of", "store_error", "write_json", "writing"]

_FULL = {errno.ENOSPC, errno.EDQUOT}


def write_json(path: Path, data: Any) -> None:
    """Write `data` as JSON: sorted keys, NaN and infinities as null, numpy scalars as numbers, newline at the end.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    text = json.dumps(_plain(data), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with writing(path, "cannot write the file"):
        # Lone surrogates (undecodable file names) become \udcXX, which JSON reads back as the same character.
        path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def store_error(error: OSError, what: str, where: Path | str) -> StoreError:
    """Say in the words of the store what an operating system error means."""
    hint = "check that the folder exists on a healthy disk and that you may write there"
    if error.errno in _FULL:
        hint = "free some space (or raise the quota) and run the same command again: finished runs are kept"
    elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        hint = "choose a folder that you may write to with --runs-dir, or change its permissions"
    elif error.errno in {errno.EEXIST, errno.ENOTDIR}:
        hint = "a file stands where a folder is needed: choose another folder with --runs-dir, or move the file away"
    return StoreError(f"{what}: {error.strerror or error}", where=str(where), hint=hint)


@contextmanager
def writing(where: Path, what: str) -> Iterator[None]:
    """Turn a fault of the operating system into a `StoreError`."""
    try:
        yield
    except OSError as error:
        raise store_error(error, what, where) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file makes its reader raise into a `StoreError` that names the file."""
    try:
        yield
    # The readers of Parquet and safetensors raise what they like on a damaged file.
    except Exception as error:
        raise StoreError(
            f"a file of a record cannot be read: {error}",
            where=str(path),
            hint="delete the folder it is in and run again, or put the file back",
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object."""
    with reading(path):
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise TypeError(f"expected an object, found {type(data).__name__}")
        return data


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_durable(folder: Path, root: Path) -> None:
    """Create `folder` and flush every folder between it and `root`, so that a new branch outlives a power cut."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for parent in (folder, *folder.parents):
        sync(parent)
        if parent == root:
            break


def flush(folder: Path) -> None:
    """Flush a folder and all that is in it to the disk."""
    for parent, _, files in os.walk(folder):
        for name in files:
            sync(Path(parent) / name)
        sync(Path(parent))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if type(value).__module__ == "numpy":
        return _plain(value.tolist())
    return value
