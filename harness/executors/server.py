"""The fork server of the local executor: started with the right environment, checked, and used to start processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from harness.errors import InputError
from harness.executors import preload
from harness.executors.worker import THREAD_VARIABLES, probe

__all__ = ["TRIES", "ServerDiedError", "deaths_at_the_start", "start_process", "start_server"]

_DYING_SECONDS = 0.2
"""A killed server still takes connections until the kernel has freed its memory."""
TRIES = 3
"""Processes that may die at their start, one after the other, before one gives up."""

# By default glibc gives a large tensor's memory back to the kernel when it is freed and asks anew in the next step:
# millions of page faults, half of TFN's training time. Kept in the process, the same bits come in half the time.
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
_context = multiprocessing.get_context("forkserver")
# The modules our server was started with: a process has one server, and its preload is fixed at its start.
_running: dict[str, tuple[str, ...]] = {}


class ServerDiedError(Exception):
    """The fork server died while it was asked for a process; nobody knows whether it has started one."""


def start_server(modules: tuple[str, ...]) -> None:
    """Start the fork server with `modules` imported, or keep the one that has them; wait until it is ready.

    The server runs with one thread per numeric library, so that imports start no threads that a fork would lose.

    Raises
    ------
    InputError
        If one of the modules cannot be imported, or processes die at their start.
    """
    if _running.get("modules", modules) != modules:
        stop_server()
    _context.set_forkserver_preload([preload.__name__])
    _running["modules"] = modules
    failure = _ask()
    if failure:
        stop_server()
        raise InputError(
            f"a worker process cannot import what runs need:\n{failure.rstrip()}",
            where=", ".join(modules),
            hint="mend the installation (or the plug-in named above)",
        )


def stop_server() -> None:
    """Stop the server, so that the next start takes other modules; its processes must have ended."""
    _running.clear()
    # There is no public way. Without it the next processes would only be slower, so its absence is no error.
    stop: Callable[[], None] | None = getattr(forkserver._forkserver, "_stop", None)  # noqa: SLF001
    if stop is not None:
        stop()


def start_process(
    function: Callable[..., None], *args: Any, name: str | None = None
) -> tuple[ForkServerProcess, Connection]:
    """Fork a process that runs ``function(*args, connection)``; return it and the end to read its messages from.

    Raises
    ------
    ServerDiedError
        If the server died meanwhile; the next call starts another.
    """
    resource_tracker.ensure_running()  # it would lift the hold on Ctrl-C again
    reader, writer = _context.Pipe(duplex=False)
    try:
        process = _context.Process(target=function, args=(*args, writer), name=name, daemon=True)
        # Whenever the server is gone, multiprocessing starts another by itself: it must be one of ours.
        with _no_main_module(), _environment(_variables()), _ctrl_c_held():
            process.start()
    except (EOFError, ConnectionError) as error:
        reader.close()
        time.sleep(_DYING_SECONDS)
        raise ServerDiedError from error
    except BaseException:
        reader.close()
        raise
    finally:
        # The child must hold the only write end, or its death would not close the pipe.
        writer.close()
    return process, reader


def deaths_at_the_start(modules: tuple[str, ...]) -> InputError:
    """Return the error for processes that die at their start, one after the other."""
    return InputError(
        f"{TRIES} worker processes died at their start, one after the other",
        where=", ".join(modules),
        hint="something kills them: the kernel's log (dmesg) tells whether memory ran out; "
        f"import them in a Python of your own to see whether that crashes: {', '.join(modules)}",
    )


def _variables() -> dict[str, str]:
    """Return what a new server finds in its environment."""
    memory = {name: value for name, value in _MEMORY.items() if name not in os.environ}
    return (
        dict.fromkeys(THREAD_VARIABLES, "1")
        | memory
        | {
            "TOKENIZERS_PARALLELISM": "false",
            "JE_ARROW_MALLOC_CONF": "background_thread:false",
            preload.MODULES: ",".join(_running.get("modules", ())),
            preload.MAIN: str(os.getpid()),
            # The server of Python 3.11 ignores this process's sys.path unless it comes as an environment variable.
            preload.PYTHONPATH: os.environ.get("PYTHONPATH", ""),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
    )


def _ask() -> str:
    for _ in range(TRIES):
        with suppress(ServerDiedError, EOFError):
            process, connection = start_process(probe)
            with connection:
                failure = str(connection.recv())
            process.join()
            process.close()
            return failure
    raise deaths_at_the_start(_running["modules"])


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Hold SIGINT back, for the server too: it inherits the mask, and `preload` lifts it once it ignores the signal."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Hide the main script from multiprocessing for a moment.

    Every child would import it again: half a second for the command line, and a script without a
    ``__name__`` guard would start its own suite in each worker. Nothing that is sent to a worker lives there.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
