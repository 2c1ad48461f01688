"""Who runs the specs: one small protocol, and an executor on this machine. Nothing here imports torch."""

from __future__ import annotations

from harness.executors.base import (
    Elsewhere,
    Event,
    Executor,
    Failed,
    Finished,
    Observer,
    Outcome,
    Progress,
    PutBack,
    Started,
    available_cores,
    ignore,
    workers_for,
)
from harness.executors.local import LocalExecutor

__all__ = [
    "Elsewhere",
    "Event",
    "Executor",
    "Failed",
    "Finished",
    "LocalExecutor",
    "Observer",
    "Outcome",
    "Progress",
    "PutBack",
    "Started",
    "available_cores",
    "ignore",
    "workers_for",
]
