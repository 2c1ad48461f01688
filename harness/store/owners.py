"""Who owns a draft: a process, named so that the same host can tell later whether it still lives."""

from __future__ import annotations

import platform
import re
from functools import cache
from pathlib import Path

import psutil

__all__ = ["is_stale", "owner"]

# psutil derives a start time from the clock, which may be set while a process lives. Too wide only leaves litter.
_CLOCK_SLACK_SECONDS = 10.0


@cache
def owner(pid: int) -> str:
    """Name a process: host, PID namespace, process id, start time in milliseconds (cached: forks ask again)."""
    return f"{_place_of_process()}.{pid}.{int(psutil.Process(pid).create_time() * 1000)}"


def is_stale(name: str) -> bool:
    """Tell whether a draft's name says that its owner was a process of this host which is dead."""
    match = re.fullmatch(r"(.+\.\d+)\.(\d+)\.(\d+)\.[0-9a-f]+", name)
    if match is None or match[1] != _place_of_process():
        return False
    try:
        process = psutil.Process(int(match[2]))
        if process.status() == psutil.STATUS_ZOMBIE:  # dead, and its parent has not asked yet
            return True
        started = process.create_time()
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
    return abs(started - int(match[3]) / 1000) > _CLOCK_SLACK_SECONDS


def _place_of_process() -> str:
    """Name the host and the PID namespace: within both, a process id means one process at a time."""
    try:
        namespace = re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        namespace = "0"
    return f"{re.sub(r'[^A-Za-z0-9-]+', '-', platform.node()) or 'host'}.{namespace}"
