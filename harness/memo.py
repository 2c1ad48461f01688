"""What was computed once and would come out the same again: small results, kept in one file between commands.

A memo is never trusted with what must be true: its keys cover everything that a result depends on (contents by their
hashes, settings, the code), so that a changed input finds nothing and is computed. It can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from harness.disk import replace_file

__all__ = ["Memo"]

_MAX_BYTES = 64 * 2**20
"""Room for the results of some 40,000 runs; what was not asked for longest is dropped first."""


class Memo:
    """Results by key, read from a file and written back to it.

    One line an entry, parsed when asked for, under a first line that holds the SHA-256 of the others. A file that is
    missing, unreadable or damaged is an empty memo. Of two processes that write at the same time the later one stays.

    Parameters
    ----------
    path : Path
        The file; its folder is made by `save`.
    max_bytes : int
        Size above which `save` drops the entries that were not used longest.
    """

    def __init__(self, path: Path, max_bytes: int = _MAX_BYTES) -> None:
        self._path, self._max_bytes = path, max_bytes
        self._lines = _read(path)
        self._changed = False

    @staticmethod
    def key(*parts: Any) -> str:
        """Return the key of a result that depends on `parts`, which are plain values as JSON has them."""
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def get(self, key: str) -> Any:
        """Return what is kept under `key`, None if nothing is; floats come back with every bit, NaN included."""
        line = self._lines.pop(key, None)
        if line is None:
            return None
        self._lines[key] = line  # now the one used last
        return json.loads(line)

    def put(self, key: str, value: Any) -> None:
        """Keep a plain value as JSON has them, tuples read back as lists; `save` writes it."""
        self._lines.pop(key, None)
        self._lines[key] = json.dumps(value)
        self._changed = True

    def save(self) -> None:
        """Write the file if something was put; without room or permission nothing is kept, which is no error."""
        if not self._changed:
            return
        content = "".join(f"{key} {line}\n" for key, line in self._kept()).encode("ascii")

        def write(file: IO[bytes]) -> None:
            file.write(f"{hashlib.sha256(content).hexdigest()}\n".encode("ascii"))
            file.write(content)

        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, write)
            self._changed = False

    def _kept(self) -> list[tuple[str, str]]:
        """Return as many entries as there is room for, those used last at the end."""
        kept, size = [], 0
        for key, line in reversed(self._lines.items()):
            size += len(key) + len(line) + 2
            if size > self._max_bytes:
                break
            kept.append((key, line))
        return kept[::-1]


def _read(path: Path) -> dict[str, str]:
    try:
        told, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return {}
    if hashlib.sha256(content).hexdigest().encode("ascii") != told:
        return {}
    return dict(line.split(" ", 1) for line in content.decode("ascii").splitlines())
