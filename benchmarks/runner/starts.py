"""What starting a run costs: imports paid once by the fork server, against an interpreter of its own for every run."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median

from harness.executors.local import PRELOAD
from harness.executors.server import start_process, start_server
from harness.executors.worker import probe

__all__ = ["Starts", "measure_starts"]


@dataclass(frozen=True)
class Starts:
    """Seconds until a process of the harness is ready to train.

    Attributes
    ----------
    first : float
        The first one, which waits for the fork server's imports.
    next : float
        Each further one (median).
    own : float
        A fresh interpreter that imports the same (median).
    """

    first: float
    next: float
    own: float


def measure_starts(repetitions: int) -> Starts:
    """Start processes in all three ways."""
    begun = time.perf_counter()
    start_server(PRELOAD)
    first = time.perf_counter() - begun
    further = [_forked() for _ in range(repetitions)]
    command = [sys.executable, "-c", f"import {', '.join(PRELOAD)}"]
    own = []
    for _ in range(max(1, repetitions // 5)):
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        own.append(time.perf_counter() - begun)
    return Starts(first, median(further), median(own))


def _forked() -> float:
    begun = time.perf_counter()
    process, connection = start_process(probe)
    with connection:
        connection.recv()
    ready = time.perf_counter() - begun
    process.join()
    process.close()
    return ready
