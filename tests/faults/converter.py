"""A process that converts a feature file, to be killed at it."""

from __future__ import annotations

import errno
import fcntl
import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.data import cache, load_definition, open_features
from harness.errors import HarnessError

__all__ = ["DEFINITION", "SETTING", "convert"]

SETTING = "unaligned"
DEFINITION = load_definition(
    {
        "name": "synthetic-faults",
        "synthetic": {
            "like": "sims",
            "samples": {"train": 200, "valid": 20, "test": 20},
            "lengths": {"text": 12, "audio": 30, "vision": 25},
        },
    }
)


def convert(path: Path, cache_dir: Path, broken: list[str], connection: Connection) -> None:
    """Open a feature file, and say ``begins`` and then ``done`` or what was wrong.

    Parameters
    ----------
    path, cache_dir : Path
    broken : list of str
        ``locks``: the file system knows none; ``space``: nobody asks how much there is.
    connection : Connection
        Where to say it.
    """
    if "locks" in broken:
        fcntl.flock = _no_locks
    if "space" in broken:
        setattr(cache, "need_space", _ignore)  # noqa: B010 - mypy takes no other function in its place
    connection.send("begins")
    try:
        open_features(path, DEFINITION, SETTING, cache_dir)
    except HarnessError as error:
        connection.send(str(error))
    else:
        connection.send("done")


def _no_locks(*_: Any) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def _ignore(*_: Any) -> None:
    """Notice nothing."""
