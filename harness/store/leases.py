"""Who works on which run: leases with a heartbeat, so that several harness processes share one store.

A lease is a file, ``runs/.leases/<run_id>.json``. It names its holder as a draft does (`harness.store.owners`), counts
its heartbeats, and says what it is for. Making it is one ``link``, which on every POSIX file system, network ones
included, either makes the name or finds it taken.

A lease is stale when its holder can be seen to be dead (same host, boot and PID namespace), or when its count of beats
has not moved for a minute of the *observer's* monotonic time. No clock of any host takes part, so that a clock that
jumps or differs takes no lease away.

Leases save work and guard nothing: a holder that was asleep for longer than that, or two processes that take the same
stale lease over within the same microseconds, run one spec twice. Publishing is an atomic rename where the first wins,
so that the store is the same afterwards.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.store.disk import writing
from harness.store.owners import is_dead_here, is_stale, owner

__all__ = ["Lease", "Leases"]

_BEAT_SECONDS = 5.0
_PATIENCE_SECONDS = 60.0
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}


@dataclass(frozen=True)
class Lease:
    """A run that somebody works on.

    Attributes
    ----------
    run_id : str
    holder : str
        The process, named as in `harness.store.owners`, and a part that is its own.
    beat : int
        How often it has said that it lives.
    about : mapping
        For people: ``label``, ``engine``, ``host``, ``pid``, ``worker``, ``device``, ``started``, ``log`` and
        ``progress``.
    """

    run_id: str
    holder: str
    beat: int
    about: Mapping[str, Any]


@dataclass
class _Held:
    about: dict[str, Any]
    beat: int = 0
    lost: bool = False


@dataclass
class Leases:
    """The leases of one store, as one process sees and holds them.

    Parameters
    ----------
    folder : Path
        Where they lie; made when the first is taken.
    beat_seconds : float
        Time between two heartbeats.
    patience : float
        Seconds without a beat after which a lease of a holder that cannot be asked counts as stale.
    clock : callable
        Monotonic seconds.
    """

    folder: Path
    beat_seconds: float = _BEAT_SECONDS
    patience: float = _PATIENCE_SECONDS
    clock: Callable[[], float] = time.monotonic
    _held: dict[str, _Held] = field(default_factory=dict)
    _seen: dict[str, tuple[tuple[str, int], float]] = field(default_factory=dict)
    _holder: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def take(self, run_id: str, about: Mapping[str, Any]) -> bool:
        """Take the lease of a run, over a stale one if need be; return whether it is ours now.

        Raises
        ------
        StoreError
            If the folder cannot be written.
        """
        with writing(self.folder, "cannot take the lease of a run"):
            self.folder.mkdir(parents=True, exist_ok=True)
            held = _Held(dict(about))
            if not self._make(run_id, held):
                there = self._read(run_id)
                if there is None or not self._is_stale(there) or not self._evict(there) or not self._make(run_id, held):
                    return False
        with self._lock:
            self._held[run_id] = held
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat_on, name="leases", daemon=True)
                self._thread.start()
        return True

    def say(self, run_id: str, **more: Any) -> None:
        """Let the next heartbeat of a held lease say more about its run, such as ``progress`` or where its log is."""
        with self._lock:
            if run_id in self._held:
                self._held[run_id].about.update(more)

    def release(self, run_id: str) -> None:
        """Give a lease back; one that is not held, or was lost, is no error."""
        with self._lock:
            held = self._held.pop(run_id, None)
            there = self._read(run_id) if held is not None else None
            if there is not None and there.holder == self._holder:
                # A disk that fails now: the lease turns stale by itself.
                with suppress(OSError):
                    self._path(run_id).unlink()

    def all(self) -> list[Lease]:
        """Return every lease whose holder is not known to be dead, in the order of run ids."""
        try:
            names = sorted(path.stem for path in self.folder.iterdir() if not path.name.startswith("."))
        except OSError:
            return []
        found = [lease for name in names if (lease := self._read(name)) is not None]
        return [lease for lease in found if not is_dead_here(lease.holder)]

    def is_held(self, run_id: str) -> bool:
        """Tell whether somebody, this process included, holds a lease that is not stale."""
        there = self._read(run_id)
        return there is not None and not self._is_stale(there)

    def sweep(self) -> None:
        """Remove the leases of dead processes of this host, and the temporary files of all dead ones."""
        with suppress(OSError):
            now = self.folder.stat().st_mtime
            for path in self.folder.iterdir():
                if path.name.startswith("."):
                    if is_stale(path, now):
                        path.unlink(missing_ok=True)
                elif (lease := self._read(path.stem)) is not None and is_dead_here(lease.holder):
                    self._evict(lease)

    def _path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.json"

    def _read(self, run_id: str) -> Lease | None:
        """Return a lease, or None where there is none; one that cannot be understood has no holder."""
        try:
            data = json.loads(self._path(run_id).read_text(encoding="utf-8"))
            return Lease(run_id, str(data["holder"]), int(data["beat"]), dict(data["about"]))
        except OSError:
            return None
        except (ValueError, TypeError, KeyError):
            return Lease(run_id, "", 0, {})

    def _is_stale(self, lease: Lease) -> bool:
        if is_dead_here(lease.holder):
            return True
        now, sign = self.clock(), (lease.holder, lease.beat)
        before = self._seen.get(lease.run_id)
        if before is None or before[0] != sign:
            self._seen[lease.run_id] = (sign, now)
            return False
        return now - before[1] > self.patience

    def _evict(self, lease: Lease) -> bool:
        """Take a stale lease away; return False if it has come to life, or somebody was quicker."""
        path, grave = self._path(lease.run_id), self._temporary()
        try:
            path.rename(grave)
            data = grave.read_text(encoding="utf-8")
        except OSError:
            return False
        self._seen.pop(lease.run_id, None)
        if lease.holder and (lease.holder, lease.beat) != _sign(data):
            # Between our look and our rename somebody else has taken it over: back with it.
            with suppress(OSError):
                os.link(grave, path)
            grave.unlink(missing_ok=True)
            return False
        grave.unlink(missing_ok=True)
        return True

    def _make(self, run_id: str, held: _Held) -> bool:
        draft = self._temporary()
        try:
            draft.write_text(self._text(held), encoding="utf-8")
            os.link(draft, self._path(run_id))
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._make_without_links(run_id, held)
        finally:
            draft.unlink(missing_ok=True)
        return True

    def _make_without_links(self, run_id: str, held: _Held) -> bool:
        """Do the same where files have one name only; a reader may find the file empty for a moment."""
        path = self._path(run_id)
        try:
            file = path.open("x", encoding="utf-8")
        except FileExistsError:
            return False
        try:
            with file:
                file.write(self._text(held))
        except OSError:  # an empty lease has no holder that could be asked
            path.unlink(missing_ok=True)
            raise
        return True

    def _text(self, held: _Held) -> str:
        return json.dumps({"holder": self._name(), "beat": held.beat, "about": held.about}, sort_keys=True, default=str)

    def _name(self) -> str:
        if not self._holder:
            self._holder = f"{owner(os.getpid())}.{uuid.uuid4().hex[:12]}"
        return self._holder

    def _temporary(self) -> Path:
        return self.folder / f".{owner(os.getpid())}.{uuid.uuid4().hex[:12]}"

    def _beat_on(self) -> None:
        while True:
            time.sleep(self.beat_seconds)
            with self._lock:
                if not self._held:
                    self._thread = None
                    return
            self.beat()

    def beat(self) -> None:
        """Say once, for every lease that is held, that its holder lives; the heartbeat thread does so by itself."""
        with self._lock:
            for run_id, held in self._held.items():
                there = self._read(run_id)
                if held.lost or there is None or there.holder != self._holder:
                    held.lost = True  # taken over while this process slept: the run goes on, and may come second
                    continue
                held.beat += 1
                draft = self._temporary()
                try:
                    draft.write_text(self._text(held), encoding="utf-8")
                    draft.replace(self._path(run_id))
                except OSError:  # a full disk stops the run itself soon enough
                    with suppress(OSError):
                        draft.unlink(missing_ok=True)


def _sign(text: str) -> tuple[str, int]:
    try:
        data = json.loads(text)
        return str(data["holder"]), int(data["beat"])
    except (ValueError, TypeError, KeyError):
        return "", 0
