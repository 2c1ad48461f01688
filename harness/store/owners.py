"""Who owns a draft: a process, named so that the same host can tell later whether it still lives.

A name holds the host, the boot (a hash of the kernel's boot id), the PID namespace, the process id and the moment the
process began. Within one boot and one namespace a process id together with the clock ticks between boot and the
process's start means one process for ever, whatever happens to the clock. Where the kernel tells neither (no
``/proc``), psutil's start time by the clock stands in.

When a draft is stale:

* Same host, boot and namespace: when its owner is dead, and never before.
* Same host, same boot, another namespace (a container beside this one): never, because nobody here can ask.
* Same host name, another boot: when nothing in it was written for seven days. After a reboot every older draft is dead,
  but two hosts that share a name and a network file system differ by their boots just the same. A run takes hours, so
  a week without a written byte separates the two. Both times come from the file system that holds the drafts: no clock
  of a host takes part.
* Another host name: never.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
from pathlib import Path

import psutil

__all__ = ["is_dead_here", "is_stale", "owner"]

_PROC = Path("/proc")
_NO_BOOT = "unknown"
# Seven digits: what Linux allows at most, and never more than the system call takes.
_NAME = re.compile(
    r"(?P<host>[^.]+)\.(?P<boot>\w+)\.(?P<space>\d+)\.(?P<pid>\d{1,7})\.(?P<start>\d+)\.[0-9a-f]+", re.ASCII
)
_OWN: dict[tuple[int, Path], str] = {}
_SILENCE_SECONDS = 7 * 24 * 3600.0
# psutil derives a start time from the clock, which may be set while a process lives. Too wide only leaves litter.
_CLOCK_SLACK_MS = 10_000


def owner(pid: int) -> str:
    """Name a process: host, boot, PID namespace, process id, and start in ticks since boot (or clock milliseconds)."""
    return _own_name(_PROC) if pid == os.getpid() else _name(pid)


def _own_name(proc: Path) -> str:
    """Return the name of this process, which never changes, without reading it every time."""
    key = (os.getpid(), proc)
    if key not in _OWN:
        _OWN.clear()  # after a fork
        _OWN[key] = _name(os.getpid())
    return _OWN[key]


def _name(pid: int) -> str:
    boot = _boot()
    start = _clock_start(pid) if boot == _NO_BOOT else _state_and_ticks(pid)[1]
    return f"{_host()}.{boot}.{_namespace()}.{pid}.{start}"


def is_dead_here(name: str) -> bool:
    """Tell whether the process that `name` begins with is known to be dead; one that cannot be asked is not."""
    match = _NAME.fullmatch(name)
    if match is None or (match["host"], match["boot"], match["space"]) != (_host(), _boot(), _namespace()):
        return False
    return _is_dead(int(match["pid"]), int(match["start"]))


def is_stale(draft: Path, now: float) -> bool:
    """Tell whether nobody can be writing into `draft` any more; the module says when that is.

    Parameters
    ----------
    draft : Path
        A file or folder whose name begins with what `owner` gave, behind a dot or not; any other name is not stale.
    now : float
        The time in seconds by the clock of the draft's file system.
    """
    name = draft.name.removeprefix(".")
    match = _NAME.fullmatch(name)
    if match is None or match["host"] != _host():
        return False
    if match["boot"] != _boot():
        return now - _last_written(draft, now) > _SILENCE_SECONDS
    return is_dead_here(name)


def _is_dead(pid: int, start: int) -> bool:
    if _boot() == _NO_BOOT:
        return _is_dead_by_clock(pid, start)
    try:
        state, ticks = _state_and_ticks(pid)
    except OSError:
        # Gone, or hidden from this user (the mount option hidepid): a signal that is not sent tells which.
        return not _exists(pid)
    # Z: dead, and its parent has not asked yet.
    return state in {"Z", "X"} or ticks != start


def _is_dead_by_clock(pid: int, start: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE or abs(_clock_start(pid) - start) > _CLOCK_SLACK_MS
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _last_written(draft: Path, now: float) -> float:
    """Return when anything in a draft was written last; `now` where that cannot be told."""
    try:
        # A folder's own time moves with its entries only, not with what is written into them.
        return max(path.stat().st_mtime for path in (draft, *draft.rglob("*")))
    except OSError:
        return now


def _state_and_ticks(pid: int) -> tuple[str, int]:
    """Return a process's state and its start in clock ticks since boot (fields 3 and 22 of its stat file)."""
    text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    # The second field is the program's name in parentheses, and the name may hold spaces and parentheses itself.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _clock_start(pid: int) -> int:
    return int(psutil.Process(pid).create_time() * 1000)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", platform.node()) or "host"


def _boot() -> str:
    return _boot_of(_PROC)


@functools.cache
def _boot_of(proc: Path) -> str:
    try:
        text = (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return _NO_BOOT
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _namespace() -> str:
    return _namespace_of(_PROC)


@functools.cache
def _namespace_of(proc: Path) -> str:
    """Name the PID namespace: within it, and within one boot, a process id means one process at a time."""
    try:
        return re.sub(r"\D", "", str((proc / "self/ns/pid").readlink())) or "0"
    except OSError:
        return "0"
