"""One call of the Ray executor: tasks out, and what became of their runs in the store."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from harness.errors import InputError, StoreError
from harness.executors.base import Observer, Outcome
from harness.executors.ray_cluster import Node, nodes
from harness.executors.ray_nodes import Ended, Folder, Site, Task, place_folders, run_task
from harness.executors.watching import Watched, Watching
from harness.spec import Resources
from harness.store import FailureKind, RunStore
from harness.training.job import Job

if TYPE_CHECKING:
    from harness.executors.ray_executor import RayExecutor

__all__ = ["Run", "Session"]

_LOOK_SECONDS = 1.0
_NODES_SECONDS = 10.0
_QUEUED = 256
"""Tasks that wait in Ray beyond those that run: enough for a cluster that grows with its demand."""
_STOP_SECONDS = 10.0
_GIB = 2**30


@dataclass(eq=False)
class Run(Watched):
    """A run that has not ended.

    Attributes
    ----------
    needs : Resources
    tries : int
        Tasks that ended without a word.
    until : float or None
        Where its task has ended: the monotonic time until which the store may take to show it.
    """

    needs: Resources = field(default_factory=Resources)
    tries: int = 0
    until: float | None = None

    def options(self) -> dict[str, Any]:
        """Return what Ray is asked for."""
        asked: dict[str, Any] = {"num_cpus": self.job.spec.threads, "num_gpus": 0}
        if self.job.device != "cpu":
            asked["num_gpus"] = self.needs.gpus or 1.0
        if self.needs.memory_gib:
            asked["memory"] = int(self.needs.memory_gib * _GIB)
        return asked

    def amounts(self) -> dict[str, float]:
        """Return the same by the names that nodes use."""
        names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
        return {names[key]: amount for key, amount in self.options().items() if amount}


@dataclass
class Session:
    """One call of `RayExecutor.run`, connected."""

    options: RayExecutor
    store: RunStore
    observer: Observer
    outcome: Outcome
    ray: Any
    site: Site
    bell: int
    queue: deque[Run] = field(default_factory=deque)
    tasks: dict[Any, Run] = field(default_factory=dict)
    late: list[Run] = field(default_factory=list)
    folders: dict[str, Folder] = field(default_factory=dict)
    limit: int = _QUEUED
    looked: float = 0.0
    looked_at_nodes: float = field(default_factory=time.monotonic)
    misfit: float | None = None

    def __post_init__(self) -> None:
        self.remote = self.ray.remote(run_task)
        self.watching = Watching(self.store, self.observer, self.outcome)

    def work_off(self, runs: Sequence[Run]) -> None:
        """Prepare the nodes, and keep the cluster busy until every run has ended."""
        self.queue.extend(runs)
        self.folders = {folder.name: folder for folder in _folders(run.job for run in runs)}
        alive = nodes(self.ray)
        _check_sizes(alive, runs)
        self._prepare([node for node in alive if any(node.fits(run.amounts()) for run in runs)])
        self.limit = self.options.workers or int(sum(node.resources.get("CPU", 0) for node in alive)) + _QUEUED
        try:
            while self._submit():
                for ref in self._wait(list(self.tasks)):
                    self._settle(self.tasks.pop(ref), self._answer(ref))
                self._look()
        finally:
            self._stop()

    def _prepare(self, there: Sequence[Node]) -> None:
        """Check every node that runs may come to, and place folders on it; one that is lost meanwhile is no matter."""
        task = self.ray.remote(place_folders)
        strategy = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        folders = list(self.folders.values())
        asked = {}
        try:
            for node in there:
                options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": strategy(node.id, soft=False)}
                asked[task.options(**options).remote(folders, self.site)] = node
            while asked:
                for ref in self._wait(list(asked)):
                    node = asked.pop(ref)
                    if isinstance(error := self._answer(ref), self.ray.exceptions.RayTaskError):
                        raise InputError(f"the Ray node {node.name} cannot be used: {_reason(error)}") from error
        finally:
            for ref in asked:
                self.ray.cancel(ref, force=True)

    def _submit(self) -> bool:
        """Fill Ray's queue, and tell whether there is anything to wait for."""
        while self.queue and len(self.tasks) < self.limit:
            run = self.queue.popleft()
            features, encoder = _places(run.job)
            task = Task(
                run.job,
                run.needs,
                self.folders[features],
                self.folders[encoder] if encoder else None,
                self.options.target,
                tuple(self.options.preload),
                self.options.stall_limit,
            )
            # Ray would try again by itself, and knows nothing of the store.
            options = run.options() | {"max_retries": 0, "name": run.job.spec.label}
            self.tasks[self.remote.options(**options).remote(task, self.site)] = run
        return bool(self.tasks or self.late)

    def _wait(self, refs: list[Any]) -> list[Any]:
        """Return the tasks that have ended, after a second at most."""
        ready: list[Any] = []
        if refs:
            first, _ = self.ray.wait(refs, num_returns=1, timeout=_LOOK_SECONDS)
            # It never returns more than it was asked for.
            ready = self.ray.wait(refs, num_returns=len(refs), timeout=0)[0] if first else []
        if wait([self.bell], 0 if refs else _LOOK_SECONDS):
            raise KeyboardInterrupt
        return ready

    def _answer(self, ref: Any) -> Ended | Exception:
        """Return how a task ended, or an error of Ray; raise what no other task would escape."""
        try:
            ended: Ended = self.ray.get(ref)
        except self.ray.exceptions.RayError as error:
            return error  # type: ignore[no-any-return]
        if isinstance(ended.error, InputError | StoreError):
            raise type(ended.error)(
                f"{ended.error.what} (on the Ray node {ended.node})", where=ended.error.where, hint=ended.error.hint
            )
        if ended.error is not None:
            raise ended.error
        return ended

    def _settle(self, run: Run, ended: Ended | Exception) -> None:
        """Close a run whose task has ended, by the store."""
        ours = isinstance(ended, Exception) or ended.began or run.started is not None
        if self.watching.ended(run, ours=ours):
            return
        if isinstance(ended, Exception):
            kind: FailureKind = "memory" if type(ended).__name__ == "OutOfMemoryError" else "crash"
            self._lost(run, _reason(ended), kind)
        elif ended.interrupted:
            self._lost(run, f"the worker on {ended.node} was told to stop")
        else:
            run.until = time.monotonic() + self.options.patience
            self.late.append(run)

    def _lost(self, run: Run, reason: str, kind: FailureKind = "crash") -> None:
        """Try a run again, or give it up."""
        run.tries += 1
        if run.tries > self.options.retries:
            self.watching.give_up(run, kind, f"given up after {run.tries} task(s): {reason}")
            return
        self.watching.put_back(run, reason)
        run.until = None
        self.queue.append(run)

    def _look(self) -> None:
        """See once a second what the runs say in the store, and now and then which nodes are left."""
        now = time.monotonic()
        if now - self.looked < _LOOK_SECONDS:
            return
        self.looked = now
        running = {run.job.spec.run_id: run for run in self.tasks.values()}
        for lease in self.store.leases.all():
            if lease.run_id in running and lease.about.get("engine") == "ray":
                self.watching.follow(running[lease.run_id], lease)
        for run in list(self.late):
            if self.watching.ended(run):
                self.late.remove(run)
            elif run.until is not None and now > run.until:
                self.late.remove(run)
                self._lost(run, "the task ended, but the store shows neither a record nor a failure")
        if now - self.looked_at_nodes > _NODES_SECONDS:
            self.looked_at_nodes = now
            self._look_at_nodes()

    def _look_at_nodes(self) -> None:
        """Give up if the nodes that a run fits on are gone, and stay so."""
        try:
            _check_sizes(nodes(self.ray), [*self.queue, *self.tasks.values()])
            self.misfit = None
        except InputError:
            self.misfit = self.misfit or time.monotonic()
            if time.monotonic() - self.misfit > self.options.patience:
                raise

    def _stop(self) -> None:
        """Cancel what still runs; a run that published in time keeps its record."""
        refs = list(self.tasks)
        for ref in refs:
            self.ray.cancel(ref, force=False)
        if refs:
            _, left = self.ray.wait(refs, num_returns=len(refs), timeout=_STOP_SECONDS)
            for ref in left:  # its process, which takes all that it has started along
                self.ray.cancel(ref, force=True)
        open_runs = [*self.tasks.values(), *self.late]
        self.outcome.done.extend(run.job.spec for run in open_runs if self.store.status(run.job.spec) == "done")


def _check_sizes(alive: Sequence[Node], runs: Iterable[Run]) -> None:
    """Check that every run fits on some node.

    Raises
    ------
    InputError
        If not: Ray would wait for ever.
    """
    for run in runs:
        asked = run.amounts()
        if not any(node.fits(asked) for node in alive):
            largest = {kind: max((node.resources.get(kind, 0.0) for node in alive), default=0.0) for kind in asked}
            raise InputError(
                f"no Ray node is large enough for {run.job.spec.label}: it asks for {_amounts(asked)}, "
                f"and the most that one of {len(alive)} node(s) has is {_amounts(largest)}",
                where="threads and resources of the suite",
                hint="ask for less, or add a larger node",
            )


def _amounts(amounts: Mapping[str, float]) -> str:
    words = {"CPU": "{:g} CPU(s)", "GPU": "{:g} GPU(s)"}
    return ", ".join(
        f"{amount / _GIB:.1f} GiB of memory" if kind == "memory" else words[kind].format(amount)
        for kind, amount in amounts.items()
    )


def _reason(error: Exception) -> str:
    """Return why a task ended, in a sentence: Ray's own messages are essays, and tracebacks end with the error."""
    lines = str(error).strip().splitlines() or [""]
    said = lines[-1] if "Traceback" in str(error) else lines[0].partition(". ")[0]
    return f"{type(error).__name__}: {said}"


def _places(job: Job) -> tuple[str, str | None]:
    """Return where a node would keep the features and the encoder of a job; the former as this machine's cache does."""
    encoder = job.spec.text_encoder
    named = f"encoders/{encoder.sha256}" if job.encoder is not None and encoder is not None else None
    return f"features/{job.features.name}", named


def _folders(jobs: Iterable[Job]) -> Iterator[Folder]:
    seen = set()
    for job in jobs:
        for name, path in zip(_places(job), (job.features, job.encoder), strict=True):
            if name is not None and path is not None and name not in seen:
                seen.add(name)
                yield Folder.of(path, name)
