"""The harness's side: suites through `harness.workflow` and its local executor, and two ways around them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.throughput.runs import Pass, Run
from harness.data import load_features, open_features
from harness.executors import Event, Finished, LocalExecutor
from harness.executors.messages import Inbox
from harness.executors.server import start_process, start_server
from harness.executors.worker import work
from harness.plan import Selection
from harness.spec import RunSpec
from harness.store import RunStore
from harness.training.job import Job
from harness.workflow import Folders, Planned, RunOptions, plan_suite, run_suite

if TYPE_CHECKING:
    from harness.data.batching import Batch

__all__ = ["IMPORTS", "convert", "make_ready", "run_bare", "run_side_by_side", "run_whole_suite"]

IMPORTS = ("harness.workflow", __name__)


def make_ready() -> None:
    """Start the fork server with its imports; the executor would do so before the first run, and keeps this one."""
    start_server(tuple(LocalExecutor().preload))


def run_whole_suite(suite: str, pick: Selection, folders: Folders, workers: int) -> Pass:
    """Do what ``harness run`` does up to the report: plan, hash and convert the file where needed, run, publish.

    Raises
    ------
    RuntimeError
        If a run failed.
    """
    slots: dict[str, float] = {}

    def observe(event: Event) -> None:
        if isinstance(event, Finished):
            slots[event.spec.run_id] = event.seconds

    started = time.perf_counter()
    planned = plan_suite(suite, pick, folders, need_data=True)
    outcome = run_suite(planned, folders, RunOptions(workers=workers, device="cpu"), observer=observe)
    seconds = time.perf_counter() - started
    for spec in outcome.failed:
        failure = planned.store.failure(spec)
        raise RuntimeError(f"{spec.label} failed: {failure.reason if failure else ''}")
    return Pass(seconds, tuple(_read(planned.store, spec, slots[spec.run_id]) for spec in planned.plan.runs))


def _read(store: RunStore, spec: RunSpec, seconds: float) -> Run:
    record = store.record(spec)
    if record is None:
        raise RuntimeError(f"{spec.label} has no record")
    frame = record.predictions()
    test = frame[frame["split"] == "test"]
    return Run(
        label=spec.label,
        epochs=int(record.data["epochs"]),
        seconds=seconds,
        training=sum(epoch["seconds"] for epoch in record.history()),
        sleep=0.0,
        predictions=dict(zip(test["id"], test["pred"].tolist(), strict=True)),
    )


def convert(suite: str, folders: Folders) -> None:
    """Make the cache warm: convert the one feature file of a suite."""
    _converted(plan_suite(suite, Selection(), folders, need_data=True), folders)


def _converted(planned: Planned, folders: Folders) -> Path:
    (source,) = planned.plan.sources
    file = planned.files[source.dataset.name, source.setting]
    return open_features(file, source.dataset, source.setting, folders.cache).folder


def run_side_by_side(suite: str, folders: Folders) -> None:
    """Run all of a suite's runs at once, however few cores there are.

    The executor refuses more threads than cores, as it should. These processes are the ones it would start: forked from
    its server, by its functions, with a draft each; only its queue is left out.

    Raises
    ------
    RuntimeError
        If a run left no record.
    """
    planned = plan_suite(suite, Selection(), folders, need_data=True)
    features = _converted(planned, folders)
    store = planned.store
    store.prepare()
    make_ready()
    processes = []
    inboxes: dict[Connection, Inbox] = {}
    for spec in planned.plan.runs:
        job = Job(spec, features, store.root, "cpu", store.begin(spec))
        process, pipe = start_process(work, LocalExecutor().target, job, {})
        processes.append(process)
        inboxes[pipe] = Inbox(pipe)
    while inboxes:  # progress is read, so that no worker ever waits for room in its pipe
        for ready in wait(list(inboxes)):
            assert isinstance(ready, Connection)
            inbox = inboxes[ready]
            for _ in inbox.messages():
                pass
            if not inbox.open:
                inboxes.pop(ready).close()
    for process in processes:
        process.join()
    missing = [spec.label for spec in planned.plan.runs if store.status(spec) != "done"]
    if missing:
        raise RuntimeError(f"no record of {', '.join(missing)}")


def run_bare(suite: str, pick: Selection, folders: Folders) -> list[Run]:
    """Train runs one after the other in this process, with nothing around the loop, and time the loop alone.

    The data is open already, the model built, torch imported; predictions are made after the clock has stopped.
    """
    import torch

    from harness.training.loop import evaluate
    from harness.training.run import Prepared

    planned = plan_suite(suite, pick, folders, need_data=True)
    features = load_features(_converted(planned, folders))
    runs = []
    for spec in planned.plan.runs:
        torch.set_num_threads(spec.threads)
        run = Prepared(spec, features, "cpu")
        started = time.perf_counter()
        run.trainer.run(lambda _epoch: None)
        seconds = time.perf_counter() - started
        predictions: dict[str, float] = {}
        evaluate(run.recipe, run.batches["test"], _collector(run.batches["test"].split.ids, predictions))
        runs.append(Run(spec.label, run.trainer.epoch, seconds, seconds, 0.0, predictions))
    return runs


def _collector(ids: Sequence[str], found: dict[str, float]) -> Callable[[Batch, Mapping[str, Any]], None]:
    def collect(batch: Batch, outputs: Mapping[str, Any]) -> None:
        found.update(zip((ids[i] for i in batch.index), outputs["M"][:, 0].tolist(), strict=True))

    return collect
