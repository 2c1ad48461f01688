"""How many cores this process may use: its affinity and the quotas of its control groups."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_cores", "control_groups"]


def available_cores(system: Path = Path("/")) -> int:
    """Return how many cores this process may use, which can be fewer than the machine has.

    The smaller of the CPU affinity and the CPU quota of the process's control groups (containers, services, batch
    systems), the quota rounded up.

    Parameters
    ----------
    system : Path
        Where the kernel's ``proc`` and ``sys`` are.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = min((_quota(folder) for folder in control_groups(system, "cpu")), default=math.inf)
    return max(1, cores if quota == math.inf else min(cores, math.ceil(quota)))


def control_groups(system: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups that may limit this process, each with its parents: all of them count.

    A container without a namespace of its own is told its path on the host, but finds its group at the root: folders
    that are not there say nothing, and the root is always among the parents.
    """
    try:
        lines = (system / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    mount = system / "sys/fs/cgroup"
    for line in lines:
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        # Version 2 has one tree for all controllers and names none; version 1 mounts one tree for each.
        root = mount / controller if controllers else mount
        # A group outside this namespace shows as /.. and cannot be looked into.
        below = [part for part in path.split("/") if part]
        parts = [] if ".." in below else below
        for depth in range(len(parts) + 1):
            yield root.joinpath(*parts[:depth])


def _quota(folder: Path) -> float:
    """Return the cores that one control group grants; infinity where it sets no limit or cannot be read."""
    try:
        # Version 2 has "<microseconds or max> <period>" in one file, version 1 a file for each, -1 for no limit.
        if (folder / "cpu.max").exists():
            granted, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            granted, period = (
                (folder / name).read_text(encoding="ascii") for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            )
        quota = math.inf if granted == "max" else int(granted) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
    return quota if quota > 0 else math.inf
