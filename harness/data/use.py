"""Who uses converted features: told by a shared lock on a file beside them, which the kernel drops with its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

__all__ = ["hold", "unused", "using"]

_FOR_LIFE = ExitStack()


def hold(folder: Path) -> None:
    """Say, for as long as this process lives, that it uses the arrays in `folder`; see `using`."""
    _FOR_LIFE.enter_context(using([folder]))


@contextmanager
def using(folders: Iterable[Path]) -> Iterator[None]:
    """Say meanwhile that this process uses the arrays in `folders`.

    On a file system without locks, or where nothing can be written, nobody is told.
    """
    files = []
    try:
        for folder in {folder.resolve() for folder in folders}:
            with suppress(OSError):
                files.append(os.open(_mark(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))
                fcntl.flock(files[-1], fcntl.LOCK_SH)
        yield
    finally:
        for file in files:
            os.close(file)


@contextmanager
def unused(folder: Path) -> Iterator[bool]:
    """Tell whether nobody uses the arrays in `folder`, and keep it so meanwhile: who begins to use them waits."""
    try:
        file = os.open(_mark(folder.resolve()), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        yield True
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = True
    except BlockingIOError:
        free = False
    except OSError:
        free = True
    try:
        yield free
    finally:
        os.close(file)


def _mark(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.use")
