"""A folder of files that a report writes as a whole: what an earlier one left and this one has not goes away."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from harness.disk import replace_file
from harness.errors import StoreError

__all__ = ["fill"]

_INDEX = "files.json"
_NAME = re.compile(r"[\w.-]*\w[\w.-]*")
"""A file of ours lies in the folder itself; a name that leads out of it is none of ours."""


def fill(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write texts under their names, and remove what the last call wrote and this one does not.

    Files that no call wrote are left alone, and each file appears whole or not at all.

    Parameters
    ----------
    folder : Path
        Created if missing.
    files : mapping
        Name to contents.

    Returns
    -------
    list of Path
        The files, in the order given.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = _read(folder / _INDEX)
        # The index names old and new files until all is done, so that a crash leaves none behind for ever.
        _write(folder / _INDEX, json.dumps(sorted({*before, *files}), indent=1) + "\n")
        for name, text in files.items():
            _write(folder / name, text)
        for name in before - set(files):
            (folder / name).unlink(missing_ok=True)
        _write(folder / _INDEX, json.dumps(sorted(files), indent=1) + "\n")
    except OSError as error:
        raise StoreError(
            f"cannot write the report: {error.strerror or error}",
            where=str(folder),
            hint="check space and permissions there, or name another folder with --reports-dir",
        ) from error
    return [folder / name for name in files]


def _read(index: Path) -> set[str]:
    """Return the names that the last call wrote; none where its index is missing or damaged."""
    try:
        names = json.loads(index.read_bytes())
    except (FileNotFoundError, ValueError):
        return set()
    return (
        {name for name in names if isinstance(name, str) and _NAME.fullmatch(name)}
        if isinstance(names, list)
        else set()
    )


def _write(path: Path, text: str) -> None:
    replace_file(path, lambda file: file.write(text.encode("utf-8")))
