"""Finding feature files, and knowing them by their content."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any, TypeAlias

from harness.data.definitions import setting_of
from harness.data.storage import locked, write_atomically
from harness.data.synthetic import generate, synthetic_file_name, write_pickle
from harness.errors import DataError
from harness.spec import DatasetSpec

__all__ = ["Identity", "fingerprint", "identity", "locate"]

_BLOCK = 2**20
_SETTLED_NS = 2 * 10**9


def locate(definition: DatasetSpec, setting: str, data_dir: Path | None, cache_dir: Path) -> Path:
    """Return the feature file of one setting of a data set; a synthetic set is generated when it is not there yet.

    Parameters
    ----------
    definition : DatasetSpec
        The data set.
    setting : str
        ``aligned`` or ``unaligned``.
    data_dir : Path or None
        The folder that the definition's file names are relative to.
    cache_dir : Path
        Where synthetic files are kept.

    Raises
    ------
    DataError
        If the data set has no such setting, or the file is not there; the message says which file, where it was
        looked for, its SHA-256 where known, where people get it, and the suite that needs none.
    StoreError
        If a synthetic file cannot be written.
    """
    chosen = setting_of(definition, setting)
    if definition.synthetic is not None and chosen.file is None:
        path = cache_dir / "synthetic" / synthetic_file_name(definition)
        if not path.is_file():
            with locked(path):
                if not path.is_file():  # somebody else may have been faster
                    write_pickle(generate(definition), path)
        return path
    assert chosen.file is not None  # DatasetSpec demands it of every set that is not synthetic
    path = Path(chosen.file) if data_dir is None else data_dir / chosen.file
    if path.is_file() and (data_dir is not None or path.is_absolute()):
        return path
    place = "no data folder was named" if data_dir is None else f"looked for {path}"
    known = f"; its SHA-256 is {chosen.sha256}" if chosen.sha256 else ""
    source = f"{definition.source.strip()}; then " if definition.source else ""
    raise DataError(
        f"the {setting} feature file of {definition.title} is missing: {chosen.file}{known}",
        where=place,
        hint=f"{source}name the folder with --data-dir or HARNESS_DATA_DIR; 'harness run --suite quick' needs no data",
    )


Identity: TypeAlias = tuple[int, int, int, int, int]


def identity(path: Path) -> Identity:
    """Return size, times of modification and change in ns, inode and device: what changes when somebody changes a file.

    A program can set the time of modification back; the time of change is the kernel's.

    Raises
    ------
    DataError
        If the file is not there.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}", where=str(path)) from error
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev


def fingerprint(path: Path, cache_dir: Path) -> str:
    """Return the SHA-256 of a file, remembered in `cache_dir` by its path and `identity`.

    Raises
    ------
    DataError
        If the file cannot be read, or changes meanwhile.
    StoreError
        If the cache folder cannot be written.
    """
    path = Path(os.path.realpath(path))
    seen = identity(path)
    note = cache_dir / "fingerprints" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
    if (remembered := _remembered(note, path, seen)) is not None:
        return remembered
    digest = _digest(path)
    if identity(path) != seen:
        raise DataError("the file changed while it was read", where=str(path), hint="wait until it is complete")
    # A file changed twice within the clock's tick keeps its times, so a very young one is not remembered.
    if time.time_ns() - max(seen[1:3]) > _SETTLED_NS:
        entry = json.dumps({"path": str(path), "identity": seen, "sha256": digest}, sort_keys=True)
        write_atomically(note, lambda file: file.write(entry.encode()))
    return digest


def _remembered(note: Path, path: Path, seen: Identity) -> str | None:
    try:
        entry: Any = json.loads(note.read_text(encoding="utf-8"))
        if entry["path"] == str(path) and tuple(entry["identity"]) == seen:
            return str(entry["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # absent or damaged: the file is hashed again
    return None


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}", where=str(path)) from error
    return digest.hexdigest()
