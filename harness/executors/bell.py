"""Ctrl-C and SIGTERM as a byte on a pipe, so that an interrupt comes where the executor waits and nowhere else."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["signals_as_bytes"]


@contextmanager
def signals_as_bytes() -> Iterator[int]:
    """Turn SIGINT and SIGTERM into a byte on a pipe, whose read end is given, while the context lasts.

    So an interrupt comes at one place of the loop only, never between a process's start and its being known. A
    thread other than the main one cannot set handlers; nothing interrupts it either.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def ring(number: int, frame: object) -> None:
        del number, frame
        with suppress(BlockingIOError):
            os.write(writer, b"!")

    before: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            # An ignored signal stays ignored: nohup and background jobs mean it.
            if signal.getsignal(number) is not signal.SIG_IGN:
                with suppress(ValueError):
                    before[number] = signal.signal(number, ring)
        yield reader
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
