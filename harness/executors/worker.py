"""The child's side of the local executor: what happens in the fresh process of one run."""

from __future__ import annotations

import errno
import faulthandler
import fcntl
import importlib
import logging
import multiprocessing
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeAlias

from harness.errors import HarnessError, RunError, StoreError
from harness.executors import preload
from harness.executors.messages import Kind, send
from harness.store import LOG_FILE, store_error
from harness.training.faults import is_out_of_memory
from harness.training.job import Job

__all__ = ["THREAD_VARIABLES", "Report", "Target", "probe", "work"]

Report: TypeAlias = Callable[[dict[str, Any]], None]
Target: TypeAlias = Callable[[Job, Report], None]

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_DISK_FULL = ("no space left on device", "disk quota exceeded", "os error 28", "os error 122")
_DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def probe(connection: Connection) -> None:
    """Tell the main process whether the fork server could import what it was asked to."""
    with suppress(OSError):  # interrupted meanwhile, it does not listen any more
        connection.send(preload.FAILURE)


def work(target: str, job: Job, variables: Mapping[str, str], connection: Connection) -> None:
    """Run one job to its end and say how it ended; the store, not this message, tells whether it is done.

    `variables` are put into the environment first.

    Messages (see `messages`): ``progress`` with what the run reports, ``failed`` with kind, reason and traceback,
    ``store`` with the parts of a `StoreError`, or ``returned``.
    """
    _die_with_main()
    _offer_to_the_kernel()
    os.environ.update(variables)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        if job.draft is not None:
            _log_to(job.draft / LOG_FILE)
        # The other threads are those of libraries and the watch below: they would push the cause out of the log's end.
        faulthandler.enable(2, all_threads=False)
        run = _load(target, job.spec.threads)
        run(job, lambda info: send(connection, "progress", info))
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:  # noqa: BLE001 - whatever ends a run is that run's result, SystemExit included
        text = traceback.format_exc()
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:  # the log lies on the full disk
            pass
        send(connection, *_verdict(error, text, job))
    else:
        send(connection, "returned")


def _verdict(error: BaseException, text: str, job: Job) -> tuple[Kind, tuple[str, str, str]]:
    if not isinstance(error, StoreError) and _is_disk(error):
        fault = error if isinstance(error, OSError) else OSError(errno.ENOSPC, str(error))
        error = store_error(fault, "a run could not write its files", job.draft or job.runs_dir)
    if isinstance(error, StoreError):
        return ("store", (error.what, error.where, error.hint))
    if is_out_of_memory(error):
        return ("failed", ("memory", f"out of memory on {job.device}: {error}", text))
    if isinstance(error, HarnessError):
        kind = getattr(error, "kind", "diverged") if isinstance(error, RunError) else "error"
        return ("failed", (kind, "; ".join(part for part in (error.what, error.hint) if part), text))
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ("failed", ("error", said, text))


def _is_disk(error: BaseException) -> bool:
    """Tell a full disk from other faults, also where a library reports it in words of its own (safetensors does)."""
    if isinstance(error, OSError) and error.errno in _DISK_ERRNOS:
        return True
    return any(phrase in str(error).lower() for phrase in _DISK_FULL)


def _offer_to_the_kernel() -> None:
    """Let the kernel take a run, and not the main process or somebody's shell, when memory runs out."""
    with suppress(OSError):
        file = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(file, b"800")
        os.close(file)


def _load(target: str, threads: int) -> Target:
    """Import the target with the run's number of threads in force."""
    # The server was started with one thread; a run may ask for more. Libraries imported from now on read the
    # variables; torch, which as a rule is there already, is told.
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    module, _, name = target.partition(":")
    function: Target = getattr(importlib.import_module(module), name)
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
    return function


def _log_to(path: Path) -> None:
    """Send stdout and stderr to a file, at the level of descriptors: C code and faulthandler write there as well."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    # Without this a crash would take the last lines with it.
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Callable[..., None] | None = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True, encoding="utf-8", errors="backslashreplace")
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s", force=True
    )


def _die_with_main() -> None:
    """Make this process, and whatever it starts, end when the main process does, kill -9 included.

    The parent in the sense of the kernel is the fork server, so its signals on a parent's death do not help. What the
    main process does hold is the write end of a pipe: on Linux the kernel is asked to answer its closing with SIGKILL
    to the group, which works even while C code holds the GIL; elsewhere it is waited for in a thread.
    """
    # A group of its own also keeps the terminal's Ctrl-C away: the main process decides what happens then.
    os.setpgid(0, 0)
    main = multiprocessing.parent_process()
    if main is None:
        return
    sentinel = main.sentinel

    def watch() -> None:
        wait([sentinel])
        os.killpg(os.getpid(), signal.SIGKILL)

    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(sentinel, fcntl.F_SETOWN, -os.getpid())
        fcntl.fcntl(sentinel, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(sentinel, fcntl.F_SETFL, fcntl.fcntl(sentinel, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([sentinel], [], [], 0)[0]:  # main died before the line above
            os.killpg(os.getpid(), signal.SIGKILL)
        return
    threading.Thread(target=watch, name="die-with-main", daemon=True).start()
