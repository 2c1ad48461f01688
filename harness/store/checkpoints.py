"""Training states of runs that are not done: one file per run, whole or not at all, replaced from time to time.

What is in the file is the business of `harness.training.resume`. A checkpoint is worth something until its run has a
record, or has failed in a way that it would repeat; `RunStore.publish` and training drop it then.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from harness.disk import sync
from harness.store.disk import store_error, writing
from harness.store.owners import is_stale, owner

__all__ = ["Checkpoints"]

_SUFFIX = ".pt"
_SPARE = 64 * 2**20
"""Bytes that a checkpoint leaves free: records and logs are worth more."""


class Checkpoints:
    """The checkpoints of one store.

    Parameters
    ----------
    root : Path
        The runs folder; the folder of checkpoints is made when the first is written.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / ".checkpoints"

    def path(self, run_id: str) -> Path:
        """Return the place of a run's checkpoint, whether it exists or not."""
        return self.folder / f"{run_id}{_SUFFIX}"

    def write(self, run_id: str, fill: Callable[[IO[bytes]], object], *, size: int = 0) -> None:
        """Let `fill` write a checkpoint, and put it in the place of the run's last one once it is safe on the disk.

        Parameters
        ----------
        run_id : str
        fill : callable
            Gets a temporary file, opened for writing bytes.
        size : int
            About how many bytes it will write.

        Raises
        ------
        StoreError
            If the disk refuses or has too little space left. The last checkpoint stays, and nothing else is left
            behind. What else `fill` raises is passed on.
        """
        path = self.path(run_id)
        with writing(path, "cannot write the checkpoint of a run"):
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = self.folder / f"{owner(os.getpid())}.{uuid.uuid4().hex[:12]}"
            try:
                with draft.open("xb") as file:
                    self.sweep()
                    if shutil.disk_usage(self.folder).free < size + _SPARE:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    fill(file)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(path)
            except BaseException as error:
                with suppress(OSError):
                    draft.unlink()
                # torch's writer answers a full disk with an error of its own, raised while it handles the true one.
                if isinstance(error.__context__, OSError):
                    raise store_error(error.__context__, "cannot write the checkpoint of a run", path) from error
                raise
            sync(self.folder)

    def open(self, run_id: str) -> IO[bytes] | None:
        """Return a run's checkpoint, opened for reading, or None where there is none.

        Raises
        ------
        StoreError
            If there is one that cannot be opened.
        """
        path = self.path(run_id)
        try:
            return path.open("rb")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise store_error(error, "cannot open the checkpoint of a run", path) from error

    def drop(self, run_id: str) -> None:
        """Remove a run's checkpoint; that there is none is no error.

        Raises
        ------
        StoreError
            If it cannot be removed.
        """
        path = self.path(run_id)
        with writing(path, "cannot remove the checkpoint of a run"):
            path.unlink(missing_ok=True)

    def all(self) -> list[tuple[str, Path, int]]:
        """Return run id, path and size in bytes of every checkpoint, in the order of run ids."""
        found = []
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            with suppress(OSError):  # dropped just now
                found.append((path.stem, path, path.stat().st_size))
        return found

    def sweep(self) -> None:
        """Remove what writers left that were killed, of this host, as the drafts of dead processes are."""
        with suppress(OSError):
            now = self.folder.stat().st_mtime
            for path in self.folder.iterdir():
                if path.suffix != _SUFFIX and is_stale(path, now):
                    path.unlink(missing_ok=True)
