"""How much main memory there is for runs: the machine's, or what the control groups of this process leave of it."""

from __future__ import annotations

from pathlib import Path

import psutil

from harness.executors.cores import control_groups

__all__ = ["available_memory", "kernel_kills", "private_memory", "total_memory"]

_LIMITS = ("memory.max", "memory.limit_in_bytes")
_USED = ("memory.current", "memory.usage_in_bytes")


def total_memory(system: Path = Path("/")) -> int:
    """Return the bytes of main memory that this process and its children may use at most.

    Parameters
    ----------
    system : Path
        Where the kernel's ``proc`` and ``sys`` are.
    """
    limits = [limit for folder in control_groups(system, "memory") if (limit := _number(folder, *_LIMITS)) is not None]
    return min([psutil.virtual_memory().total, *limits])


def available_memory(system: Path = Path("/")) -> int:
    """Return the bytes that can be taken without swapping: what is free, and caches that the kernel would give up."""
    left = [psutil.virtual_memory().available]
    for folder in control_groups(system, "memory"):
        limit, used = _number(folder, *_LIMITS), _number(folder, *_USED)
        if limit is not None and used is not None:
            left.append(limit - used + _file_cache(folder))
    return max(0, min(left))


def kernel_kills(system: Path = Path("/")) -> int:
    """Return how many processes the kernel has killed since its start because memory ran out; 0 where it does not say.

    That of a control group counts as well. Another machine's guest or container may be behind it.
    """
    try:
        lines = (system / "proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def private_memory(pid: int) -> int:
    """Return the bytes of a process and its children that are not pages of files; 0 for a process that is gone.

    Pages that a fresh process still shares with the fork server count as its own.
    """
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for one in family:
        try:
            used = one.memory_info()
        except psutil.Error:
            continue
        total += max(0, used.rss - getattr(used, "shared", 0))
    return total


def _number(folder: Path, *names: str) -> int | None:
    """Return the number in the first of these files that is there; None where it says "max" or nothing."""
    for name in names:
        try:
            value = int((folder / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        # Version 1 writes "no limit" as a number close to the largest.
        return value if value < 2**62 else None
    return None


def _file_cache(folder: Path) -> int:
    try:
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        values = dict(line.split() for line in lines)
        return int(values.get("inactive_file", 0)) + int(values.get("active_file", 0))
    except (OSError, ValueError):
        return 0
