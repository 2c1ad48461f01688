"""What a run says to the main process: a line of JSON a message, so that nothing a broken run writes can hold it up.

Unlike multiprocessing's own messages, these are read as far as they have come, and are data and not code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any, Literal, TypeAlias, get_args

from harness.store import FailureKind

__all__ = ["Inbox", "Kind", "NoMessageError", "send"]

Kind: TypeAlias = Literal["progress", "failed", "store", "returned"]

_CHUNK = 2**16
_LONGEST = 2**24
"""Bytes of the longest message; a traceback of that length helps nobody."""


class NoMessageError(Exception):
    """What has come through the pipe is no message: the process is out of its mind."""


def send(connection: Connection, kind: Kind, content: Any = None) -> None:
    """Send one message; what JSON does not know goes as text.

    Raises
    ------
    OSError
        If the pipe is closed.
    """
    line = (json.dumps([kind, content], default=str) + "\n").encode()
    while line:
        line = line[os.write(connection.fileno(), line) :]


class Inbox:
    """The main process's end of a run's pipe.

    Parameters
    ----------
    connection : Connection
        Where to read.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.open = True
        self._rest = bytearray()
        os.set_blocking(connection.fileno(), False)

    def close(self) -> None:
        """Read no more."""
        self.open = False
        self.connection.close()

    def messages(self) -> Iterator[tuple[str, Any]]:
        """Yield every whole message that is there; at the end of the pipe `open` becomes False.

        Raises
        ------
        NoMessageError
            If something else is there.
        """
        while self.open:
            try:
                chunk = os.read(self.connection.fileno(), _CHUNK)
            except BlockingIOError:
                return
            except OSError:
                chunk = b""
            self.open = bool(chunk)
            self._rest += chunk
            while (end := self._rest.find(b"\n")) >= 0:
                line = bytes(self._rest[:end])
                del self._rest[: end + 1]
                yield _message(line)
            if len(self._rest) > _LONGEST:
                raise NoMessageError


def _message(line: bytes) -> tuple[str, Any]:
    try:
        kind, content = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        raise NoMessageError from None
    if not isinstance(kind, str) or not _fits(kind, content):
        raise NoMessageError
    return kind, content


def _fits(kind: str, content: Any) -> bool:
    if kind == "progress":
        return isinstance(content, dict)
    if kind == "returned":
        return content is None
    if not (isinstance(content, list) and len(content) == 3 and all(isinstance(part, str) for part in content)):
        return False
    # Kind, reason and traceback; or what, where and hint of a StoreError.
    return content[0] in get_args(FailureKind) if kind == "failed" else kind == "store"
