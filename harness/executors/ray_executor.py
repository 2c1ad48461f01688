"""Runs as tasks on a Ray cluster: on this machine, or on one that is there.

Ray finds a place and starts a task; the task runs `LocalExecutor` on its node. Whether a run is done is read from the
store alone. A task that ended without a word there, as when its node is lost, is tried again, elsewhere if need be.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import InputError, StoreError
from harness.executors.base import Observer, Outcome, ignore
from harness.executors.bell import signals_as_bytes
from harness.executors.local import PRELOAD, STALL_SECONDS
from harness.executors.ray_cluster import connected
from harness.executors.ray_nodes import Site
from harness.executors.ray_session import Run, Session
from harness.executors.waiting import Waiting
from harness.plan import sources_fingerprint
from harness.spec import Resources, RunSpec
from harness.store import RunStore
from harness.training.job import Job

__all__ = ["RayExecutor"]


@dataclass(frozen=True)
class RayExecutor:
    """Tasks on a Ray cluster, one per run.

    The nodes must share the runs folder, under the same path, and have the same harness. Feature files and text
    encoders that a node does not see are copied to it once.

    Parameters
    ----------
    address : str, optional
        An existing cluster, ``auto`` or ``HOST:PORT``, which is left running; this machine must be part of it. None
        starts one on this machine, and stops it at the end.
    workers : int, optional
        Most runs at once; the default leaves it to Ray.
    resources : callable, optional
        What a run needs: memory, its share of a GPU (one where it names none and trains on one), its time. Cores are
        its threads.
    retries : int
        How often a run is tried again whose task ended without a record and without a failure.
    node_cache : Path, optional
        Where nodes keep their copies; the default is the user's cache folder on each.
    patience : float
        Seconds that the shared runs folder may take to show what a task has written, and that a run waits for a node
        that it fits on once those are lost.
    time_limit, target, preload, stall_limit
        As in `LocalExecutor`, on the node.
    """

    address: str | None = None
    workers: int | None = None
    resources: Callable[[RunSpec], Resources] | None = None
    time_limit: float | None = None
    target: str = "harness.training.run:execute"
    preload: Sequence[str] = PRELOAD
    stall_limit: float | None = STALL_SECONDS
    retries: int = 2
    node_cache: Path | None = None
    patience: float = 60.0

    def run(self, jobs: Sequence[Job], store: RunStore, *, observer: Observer = ignore) -> Outcome:
        """Run the jobs that have no record yet; Ray begins them in their order.

        Ctrl-C and SIGTERM cancel the tasks, and return with ``interrupted`` set.

        Raises
        ------
        InputError
            If Ray is missing or cannot be reached, no node is large enough for a run, or a node does not see the runs
            folder or has another harness.
        StoreError
            If the store, or the cache folder of a node, fails; all tasks are cancelled first.
        """
        if self.workers is not None and self.workers < 1:
            raise InputError(f"at least one run at a time is needed, not {self.workers}", where="--workers")
        outcome = Outcome()
        marks = {job.spec.run_id: store.failure_mark(job.spec) for job in jobs}
        taken = Waiting(store, outcome, observer).take(jobs)
        if taken:
            runs = [Run(_absolute(job), marks[job.spec.run_id], needs=self._needs(job.spec)) for job in taken]
            try:
                with connected(self.address) as ray, signals_as_bytes() as bell, _marker(store) as (marker, word):
                    here = ray.get_runtime_context().get_node_id()
                    site = Site(marker, word, sources_fingerprint(), here, self.node_cache)
                    Session(self, store, observer, outcome, ray, site, bell).work_off(runs)
            except KeyboardInterrupt:
                outcome.interrupted = True
        ended = {spec.run_id for spec in outcome.done + outcome.failed + outcome.already}
        outcome.not_run = [job.spec for job in taken if job.spec.run_id not in ended]
        return outcome

    def _needs(self, spec: RunSpec) -> Resources:
        needs = self.resources(spec) if self.resources else Resources()
        return needs if needs.time_limit else needs.model_copy(update={"time_limit": self.time_limit})


@contextmanager
def _marker(store: RunStore) -> Iterator[tuple[Path, str]]:
    """Write a file into the runs folder by which nodes know it again; give its place and its content."""
    folder = store.engine_folder("ray")
    marker, word = folder / uuid.uuid4().hex, secrets.token_hex(16)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        marker.write_text(word, encoding="ascii")
    except OSError as error:
        raise StoreError(f"cannot write into the runs folder: {error.strerror}", where=str(marker)) from error
    try:
        yield marker.absolute(), word
    finally:
        with suppress(OSError):
            marker.unlink()
            folder.rmdir()


def _absolute(job: Job) -> Job:
    encoder = None if job.encoder is None else job.encoder.absolute()
    return replace(job, runs_dir=job.runs_dir.absolute(), features=job.features.absolute(), encoder=encoder)
