"""Imported by the fork server alone: imports what every run needs, once, before the first fork.

The server swallows an ImportError of its preload modules, and each run would then pay, or fail, for itself. So this
module never raises: it keeps the traceback in `FAILURE`, and the first process forked from it reports that.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import io
import os
import signal
import sys
import traceback
import warnings

__all__ = ["FAILURE", "MAIN", "MODULES", "PYTHONPATH"]

MODULES = "HARNESS_PRELOAD"
"""Environment variable with the modules to import, separated by commas."""
PYTHONPATH = "HARNESS_PYTHONPATH"
"""Environment variable with the PYTHONPATH to put back; the server gets the importing process's whole path in it."""
MAIN = "HARNESS_MAIN_PROCESS"
"""Environment variable with the id of the main process."""
FAILURE = ""
"""The traceback of the import that failed, if one did."""


def _load() -> str:
    # Ctrl-C goes to the whole terminal group; the server protects itself only after its imports.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the server's start held it back
    path = os.environ.pop(PYTHONPATH, None)
    if path:
        os.environ["PYTHONPATH"] = path
    elif path is not None:
        os.environ.pop("PYTHONPATH", None)
    _tie_to(int(os.environ.pop(MAIN, "0")))
    names = [name for name in os.environ.pop(MODULES, "").split(",") if name]
    said = io.StringIO()
    try:
        # What packages say on import would tear the live display of the main process.
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in names:
                importlib.import_module(name)
    except BaseException:  # noqa: BLE001 - SystemExit of a careless package too: the server must live to tell
        return said.getvalue() + traceback.format_exc()
    # Keeps the collector from touching, and so from copying, the pages that all runs share.
    gc.collect()
    gc.freeze()
    _tie_to(0)
    return ""


def _tie_to(main: int) -> None:
    """Let the kernel kill this process when its parent dies; 0 ends that.

    The server looks after its parent by itself, but only once the imports, which take seconds, are over.
    """
    if not sys.platform.startswith("linux"):
        return
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL if main else 0, 0, 0, 0)
    if main and os.getppid() != main:  # it died before the line above
        os._exit(1)


if MODULES in os.environ:
    FAILURE = _load()
