"""What happens on the nodes of a Ray cluster: a check that a node fits, its copies of folders, and one run per task.

A folder that a node sees under the path of the machine that asks is used where it is. Any other is copied once per
node into its cache folder, in pieces that tasks on the asking machine read.
"""

from __future__ import annotations

import functools
import importlib
import platform
import shutil
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import platformdirs

from harness.data.storage import cannot_write, locked, need_space
from harness.disk import sync
from harness.errors import HarnessError, InputError
from harness.executors.base import Elsewhere, Event
from harness.executors.local import LocalExecutor
from harness.plan import sources_fingerprint
from harness.spec import Resources
from harness.store import RunStore
from harness.training.job import Job

__all__ = ["Ended", "Folder", "Site", "Task", "place_folders", "read_piece", "run_task"]

_PIECE = 16 * 2**20
_PIECES_AHEAD = 2
"""Few and small: the object store of a node may be small, and has other users."""
_MARKER_SECONDS = 5.0
"""How long a network file system may take to show a new file."""


@dataclass(frozen=True)
class Folder:
    """A folder that runs read, as the asking machine sees it.

    Attributes
    ----------
    path : Path
        Absolute.
    name : str
        Its place below a node's cache folder; holds a hash of the content.
    files : tuple of (str, int)
        Its files, by their path in it, with their sizes in bytes.
    """

    path: Path
    name: str
    files: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, path: Path, name: str) -> Folder:
        """List a folder; one that is not there has no files, and there is nothing to copy."""
        found = (file for file in sorted(path.rglob("*")) if file.is_file())
        return cls(path, name, tuple((file.relative_to(path).as_posix(), file.stat().st_size) for file in found))

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size in self.files)

    def is_whole(self, path: Path) -> bool:
        """Tell whether `path` holds all files in full size."""
        try:
            return all((path / name).stat().st_size == size for name, size in self.files)
        except OSError:
            return False


@dataclass(frozen=True)
class Site:
    """What every node must agree on, and where it finds the rest.

    Attributes
    ----------
    marker : Path
        A file in the runs folder, made for this call.
    word : str
        What is in it.
    sources : str
        The fingerprint of the sources that make numbers: they are part of a run's identity.
    source : str
        The Ray id of the node that can read all folders.
    cache : Path or None
        Where copies go; None means the user's cache folder on each node.
    """

    marker: Path
    word: str
    sources: str
    source: str
    cache: Path | None

    def check(self) -> None:
        """Check that this node shares the runs folder and has the same harness.

        Raises
        ------
        InputError
            If not; it names the node.
        """
        if not self._sees_marker():
            raise InputError(
                f"the Ray node {platform.node()} does not see the runs folder",
                where=str(self.marker.parents[1]),
                hint="put the runs folder on a file system that all nodes share, under the same path (--runs-dir)",
            )
        if sources_fingerprint() != self.sources:
            raise InputError(
                f"the Ray node {platform.node()} has another version of the harness",
                where=str(Path(__file__).parents[1]),
                hint="install the same version on all nodes: the sources are part of what a run is",
            )

    def _sees_marker(self) -> bool:
        end = time.monotonic() + _MARKER_SECONDS
        while True:
            with suppress(OSError):
                return self.marker.read_text(encoding="ascii") == self.word
            if time.monotonic() > end:
                return False
            time.sleep(0.2)


@dataclass(frozen=True)
class Task:
    """One run as it is sent to a node; the last three are what `LocalExecutor` is told there."""

    job: Job
    needs: Resources
    features: Folder
    encoder: Folder | None
    target: str
    preload: Sequence[str]
    stall_limit: float | None


@dataclass(frozen=True)
class Ended:
    """How a task ended by its own account; whether the run is done is for the store to say.

    Attributes
    ----------
    node : str
        The name of its host.
    began : bool
        Whether it began the run; another process may have ended it before.
    interrupted : bool
        Whether it was told to stop.
    error : HarnessError or None
        A fault that no other run would escape.
    """

    node: str
    began: bool = False
    interrupted: bool = False
    error: HarnessError | None = None


def run_task(task: Task, site: Site) -> Ended:
    """Run one job under the local executor: its isolation, limits, lease, log and failures."""
    job, began = task.job, False
    store = RunStore(job.runs_dir)

    def note(event: Event) -> None:
        nonlocal began
        began = began or not isinstance(event, Elsewhere)
        store.leases.say(job.spec.run_id, job=_task_id())

    try:
        _check_once(site)
        job = replace(job, features=at_hand(task.features, site))
        if task.encoder is not None:
            job = replace(job, encoder=at_hand(task.encoder, site))
        executor = LocalExecutor(
            workers=1,
            target=task.target,
            preload=task.preload,
            resources=lambda _spec: task.needs,
            stall_limit=task.stall_limit,
            engine="ray",
        )
        outcome = executor.run([job], store, observer=note)
    except HarnessError as error:
        return Ended(platform.node(), error=error)
    return Ended(platform.node(), began, outcome.interrupted)


def place_folders(folders: Sequence[Folder], site: Site) -> Ended:
    """Check a node, and copy to it what it does not see: run once on each node before the runs."""
    try:
        _check_once(site)
        for folder in folders:
            at_hand(folder, site)
    except HarnessError as error:
        return Ended(platform.node(), error=error)
    return Ended(platform.node())


@functools.cache
def _check_once(site: Site) -> None:
    """Check a node for one call of the executor; a process of Ray's runs many tasks."""
    site.check()


def at_hand(folder: Folder, site: Site) -> Path:
    """Return where this node can read a folder; copy it into the node's cache folder if need be.

    Several processes may call this at once: one copies, the others wait.

    Raises
    ------
    StoreError
        If the cache folder cannot be written, or has too little space.
    """
    if folder.is_whole(folder.path):
        return folder.path
    target = (site.cache or platformdirs.user_cache_path("msa-harness")) / folder.name
    if not folder.is_whole(target):
        with locked(target) as alone:
            if alone:
                _sweep(target)
            if not folder.is_whole(target):
                _copy(folder, site.source, target)
    return target


def _sweep(target: Path) -> None:
    """Remove what copies left behind that were killed; the lock is held."""
    for leftover in target.parent.glob(f".tmp-{target.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _copy(folder: Folder, source: str, target: Path) -> None:
    need_space(target.parent, folder.size, f"this node's copy of {folder.path}")
    draft, damaged = (target.with_name(f".tmp-{target.name}-{uuid.uuid4().hex[:12]}") for _ in range(2))
    try:
        for name, size in folder.files:
            file = draft / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("xb") as copy:
                copy.writelines(_pieces(folder.path / name, size, source))
            sync(file)
        if not folder.is_whole(draft):
            raise InputError(
                "a folder changed while it was copied to a Ray node", where=str(folder.path), hint="run again"
            )
        with suppress(FileNotFoundError):
            target.rename(damaged)  # whoever has its files open keeps them
        draft.rename(target)
        sync(target.parent)
    except OSError as error:
        if folder.is_whole(target):  # where there are no locks, somebody was faster
            return
        raise cannot_write(target.parent, error) from error
    finally:
        for leftover in (draft, damaged):
            shutil.rmtree(leftover, ignore_errors=True)


def _pieces(path: Path, size: int, source: str) -> Iterator[bytes]:
    """Read a file of another node, piece by piece, a few at a time."""
    ray: Any = importlib.import_module("ray")
    strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
    there = strategies.NodeAffinitySchedulingStrategy(source, soft=False)
    read = ray.remote(read_piece).options(num_cpus=0, max_retries=3, scheduling_strategy=there)
    asked: deque[Any] = deque()
    for start in range(0, size, _PIECE):
        asked.append(read.remote(path, start))
        if len(asked) > _PIECES_AHEAD:
            yield ray.get(asked.popleft())
    while asked:
        yield ray.get(asked.popleft())


def read_piece(path: Path, start: int) -> bytes:
    """Return a piece of a file."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read(_PIECE)


def _task_id() -> str:
    ray: Any = importlib.import_module("ray")
    return str(ray.get_runtime_context().get_task_id())
