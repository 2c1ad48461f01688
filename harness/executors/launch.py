"""A process for a run, with a draft of its own."""

from __future__ import annotations

import os
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from harness.executors.server import TRIES, ServerDiedError, deaths_at_the_start, start_process
from harness.executors.worker import work
from harness.store import RunStore
from harness.training.job import Job

__all__ = ["launch"]

_DEVICE_VARIABLES = ("CUDA_VISIBLE_DEVICES",)


def launch(
    store: RunStore, job: Job, target: str, preload: tuple[str, ...]
) -> tuple[Path, ForkServerProcess, Connection]:
    """Start a process for a job; return its draft, the process, and where to read its messages.

    Raises
    ------
    InputError
        If processes die at their start, one after the other.
    StoreError
        If no draft can be made.
    """
    for _ in range(TRIES):
        # One that a dying server has started unseen may still write into the last draft.
        draft = store.begin(job.spec)
        try:
            return draft, *start_process(work, target, replace(job, draft=draft), _visible(), name="harness-run")
        except ServerDiedError:
            store.discard(draft)
        except BaseException:
            store.discard(draft)
            raise
    raise deaths_at_the_start(preload)


def _visible() -> dict[str, str]:
    """Return what the fork server may have seen another value of when it was started, as inside a Ray worker."""
    return {name: os.environ[name] for name in _DEVICE_VARIABLES if name in os.environ}
