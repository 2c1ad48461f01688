"""Runs that are killed go on from disk, to the very record of a run that nobody disturbed."""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import psutil
import pytest
import torch

from harness import models
from harness.data import Features
from harness.errors import RunError
from harness.executors import Event, LocalExecutor, Progress
from harness.spec import DatasetSpec, RunSpec, Task, Variant
from harness.store import Record, RunStore
from harness.store.checkpoints import Checkpoints
from harness.training import run as run_module
from harness.training.job import Job
from harness.training.loop import Epoch, Trainer
from harness.training.resume import SavedState
from harness.training.run import execute, prepare
from tests.conftest import SMALL_SYNTHETIC
from tests.planned import SMALL_HYPER, planned_spec

Small = tuple[DatasetSpec, Features, Path]
HYPER = {**SMALL_HYPER, "*": {"batch_size": 16, "early_stop": 20}}
HYPER["MulT"] = {**SMALL_HYPER["MulT"], "patience": 0}
# They differ in what a state must hold: gradients in sums and a plateau schedule, pseudo-labels, a rate by epoch.
FAST = ("LF-DNN", "MulT", "MISA", "Self-MM", "ALMT")


class KilledError(Exception):
    """Ends a run as a signal would: the run itself has no part in it."""


def cases() -> Iterator[Any]:
    for model in models.names():
        for task in models.entry(model).tasks:
            fast = model in FAST and task == models.entry(model).tasks[0]
            yield pytest.param(model, task, "original", marks=() if fast else pytest.mark.slow)
    for model in ("LF-DNN", "MulT", "Self-MM"):
        yield pytest.param(model, "regression", "fg", marks=pytest.mark.slow)


def spec_for(
    small: Small, model: str, task: Task = "regression", variant: Variant = "original", **changes: Any
) -> RunSpec:
    settings = {"seed": 5, "hyper": HYPER, "max_epochs": 5, **changes}
    return planned_spec(SMALL_SYNTHETIC, model, variant, task=task, sha256=small[1].sha256, **settings)


def job_for(small: Small, root: Path, spec: RunSpec, every: float | None = 0.0) -> Job:
    return Job(spec, small[1].folder, root, checkpoint_seconds=every)


def quiet(_info: dict[str, Any]) -> None:
    pass


def killed_at(epoch: int) -> Callable[[dict[str, Any]], None]:
    def report(info: dict[str, Any]) -> None:
        if info["epoch"] == epoch:
            raise KilledError

    return report


def kill(job: Job, epoch: int) -> Path:
    """Run a job until it is killed in the report of an epoch; return its checkpoint."""
    with pytest.raises(KilledError):
        execute(job, killed_at(epoch))
    return RunStore(job.runs_dir).checkpoints.path(job.spec.run_id)


def record_of(job: Job) -> Record:
    record = RunStore(job.runs_dir).record(job.spec)
    assert record is not None
    return record


def straight(job: Job, root: Path) -> Record:
    """Return the record of the same run in one go, made in a store of its own."""
    calm = dataclasses.replace(job, runs_dir=root, checkpoint_seconds=None)
    execute(calm, quiet)
    return record_of(calm)


def content(record: Record) -> dict[str, Any]:
    """Return everything of a record that must not depend on what happened to its process."""
    of_the_process = {"wall_seconds", "peak_memory_bytes", "resumed_from", "files"}
    return {
        "record": {key: value for key, value in record.data.items() if key not in of_the_process},
        "files": {name: record.data["files"][name] for name in ("predictions.parquet", "features.safetensors")},
        "history": [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in record.history()],
    }


@pytest.mark.parametrize(("model", "task", "variant"), list(cases()))
def test_a_run_killed_twice_equals_one_in_one_go(
    small_synthetic: Small, tmp_path: Path, model: str, task: Task, variant: Variant
) -> None:
    job = job_for(small_synthetic, tmp_path / "killed", spec_for(small_synthetic, model, task, variant))
    assert kill(job, 1).is_file()
    assert kill(job, 3).is_file()
    seen: list[int] = []
    execute(job, lambda info: seen.append(info["epoch"]))
    assert seen == [4, 5]
    record = record_of(job)
    assert record.data["resumed_from"] == [1, 3]
    assert content(record) == content(straight(job, tmp_path / "calm"))
    assert RunStore(job.runs_dir).checkpoints.all() == []


def test_every_pair_of_model_and_task_is_tested() -> None:
    tested = {(case.values[0], case.values[1]) for case in cases()}
    assert tested == {(model, task) for model in models.names() for task in models.entry(model).tasks}
    assert set(FAST) < set(models.names())


def test_early_stopping_counts_over_a_kill(small_synthetic: Small, tmp_path: Path) -> None:
    hyper = {"*": {"batch_size": 16, "early_stop": 2}, "LMF": {"learning_rate": 0.02}}
    job = job_for(small_synthetic, tmp_path / "killed", spec_for(small_synthetic, "LMF", hyper=hyper, max_epochs=200))
    calm = straight(job, tmp_path / "calm")
    assert calm.data["stopped"] == "early stopping"
    last: int = calm.data["epochs"]
    assert calm.data["best_epoch"] == last - 2
    kill(job, last - 1)
    execute(job, quiet)
    assert record_of(job).data["resumed_from"] == [last - 1]
    assert content(record_of(job)) == content(calm)


def test_a_run_that_was_killed_after_training_goes_on_with_the_test(
    small_synthetic: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_for(small_synthetic, tmp_path / "killed", spec_for(small_synthetic, "MulT"))
    calm = straight(job, tmp_path / "calm")

    def dies(*_args: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "_test", dies)
        with pytest.raises(KilledError):
            execute(job, quiet)

    def trains(_trainer: Trainer) -> Epoch:
        raise AssertionError("training was over")

    monkeypatch.setattr(Trainer, "one_epoch", trains)
    execute(job, quiet)
    assert record_of(job).data["resumed_from"] == [5]
    assert content(record_of(job)) == content(calm)


def test_log_time_and_memory_are_those_of_all_parts(
    small_synthetic: Small, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    job = job_for(small_synthetic, tmp_path, spec_for(small_synthetic, "LMF"))
    store = RunStore(tmp_path)
    first, second = store.begin(job.spec), store.begin(job.spec)
    (first / "log.txt").write_text("what the first process said\r\n", encoding="utf-8", newline="")
    path = kill(dataclasses.replace(job, draft=first), 2)
    state = torch.load(path, weights_only=True)
    state.update(seconds=1000.0, peak_memory_bytes=10**15)
    torch.save(state, path)

    with (second / "log.txt").open("a", encoding="utf-8") as log:  # as a worker's descriptors are: at the end
        log.write("the second began\n")
        log.flush()
        handler = logging.StreamHandler(log)
        logging.getLogger(SavedState.__module__).addHandler(handler)
        try:
            execute(dataclasses.replace(job, draft=second), quiet)
        finally:
            logging.getLogger(SavedState.__module__).removeHandler(handler)
    record = record_of(job)
    assert record.log().splitlines() == [
        "what the first process said",
        "the second began",
        "continued after epoch 2, with 1000.0 s of work done before; the log up to there stands above",
    ]
    assert 1000.0 < record.data["wall_seconds"] < 1100.0
    assert record.data["peak_memory_bytes"] == 10**15


def test_a_record_tells_its_memory_and_that_nothing_happened(small_synthetic: Small, tmp_path: Path) -> None:
    record = straight(job_for(small_synthetic, tmp_path, spec_for(small_synthetic, "LMF")), tmp_path)
    assert record.data["resumed_from"] == []
    assert psutil.Process().memory_info().rss // 4 < record.data["peak_memory_bytes"] < psutil.virtual_memory().total


def changed(**fields: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        torch.save({**torch.load(path, weights_only=True), **fields}, path)

    return change


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def forget_half(path: Path) -> None:
    """Break off where the model has its weights already."""
    state = torch.load(path, weights_only=True)
    del state["trainer"]["random"]
    torch.save(state, path)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("ran",))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped": (flip, "checksum"),
    "truncated": (cut, "zip"),
    "empty": (lambda path: path.write_bytes(b""), "zip"),
    "no state": (lambda path: torch.save([1, 2], path), "TypeError"),
    "half a state": (forget_half, "KeyError"),
    "code": (lambda path: torch.save({"trainer": Evil()}, path), "UnpicklingError"),
    "environment": (changed(environment_key="0123abcd"), "environment 0123abcd"),
    "device": (changed(device="cuda:1"), "made on cuda, and this is cpu"),
    "schema": (changed(schema_version=2), "schema version is 2"),
    "run": (changed(run_id="f" * 16), "run ffffffffffffffff"),
}


@pytest.fixture(scope="module")
def killed(small_synthetic: Small, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, bytes, dict[str, Any]]:
    """A job, its checkpoint after two epochs, and what its record must be."""
    root = tmp_path_factory.mktemp("killed")
    job = job_for(small_synthetic, root / "killed", spec_for(small_synthetic, "LF-DNN"))
    state = kill(job, 2).read_bytes()
    return job, state, content(straight(job, root / "calm"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_state_that_does_not_fit_starts_the_run_over(
    killed: tuple[Job, bytes, dict[str, Any]],
    damage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    job = dataclasses.replace(killed[0], runs_dir=tmp_path / "runs", checkpoint_seconds=None)
    path = RunStore(job.runs_dir).checkpoints.path(job.spec.run_id)
    path.parent.mkdir(parents=True)
    path.write_bytes(killed[1])
    spoil, why = DAMAGES[damage]
    spoil(path)
    seen: list[int] = []
    execute(job, lambda info: seen.append(info["epoch"]))
    assert seen == [1, 2, 3, 4, 5]
    assert record_of(job).data["resumed_from"] == []
    assert content(record_of(job)) == killed[2]
    (told,) = [record.getMessage() for record in caplog.records if "starts over" in record.getMessage()]
    assert why in told
    assert not (tmp_path / "ran").exists()


def test_no_memory_for_a_state_is_not_its_fault(
    small_synthetic: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_for(small_synthetic, tmp_path, spec_for(small_synthetic, "LMF"))
    path = kill(job, 2)

    def greedy(*_args: Any, **_settings: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "load_state_dict", greedy)
        with pytest.raises(MemoryError):
            execute(job, quiet)
    assert path.is_file()
    execute(job, quiet)
    assert record_of(job).data["resumed_from"] == [2]


def test_a_run_that_diverges_keeps_no_state(
    small_synthetic: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_for(small_synthetic, tmp_path, spec_for(small_synthetic, "LMF"))
    kill(job, 2)

    def diverges(_trainer: Trainer) -> Epoch:
        raise RunError("training diverged")

    monkeypatch.setattr(Trainer, "one_epoch", diverges)
    with pytest.raises(RunError):
        execute(job, quiet)
    assert RunStore(tmp_path).checkpoints.all() == []


def test_a_full_disk_is_a_warning(
    small_synthetic: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = job_for(small_synthetic, tmp_path / "full", spec_for(small_synthetic, "LMF"))

    def full(_state: object, file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    left: list[Path] = []
    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full)
        execute(job, lambda _info: left.extend((tmp_path / "full" / ".checkpoints").iterdir()))
    assert left == []
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.partition(" could")[0] for text in warned] == [f"the state after epoch {n}" for n in range(1, 6)]
    assert all("No space left" in text for text in warned)
    assert content(record_of(job)) == content(straight(job, tmp_path / "calm"))


class Costly(Checkpoints):
    """Takes `cost` seconds of a clock that nothing else moves to write, and writes nothing."""

    def __init__(self, root: Path, cost: float) -> None:
        super().__init__(root)
        self.cost, self.now, self.writes = cost, 0.0, 0

    def write(self, run_id: str, fill: Callable[[IO[bytes]], object], *, size: int = 0) -> None:
        assert size > 0
        self.now += self.cost
        self.writes += 1


def written(small: Small, root: Path, every: float | None, cost: float) -> list[int]:
    """Return after which of 300 epochs of ten seconds each a state was written."""
    checkpoints = Costly(root, cost)
    job = job_for(small, root, spec_for(small, "LMF"), every)
    trainer: Any = SimpleNamespace(state_dict=lambda *, share: {"weights": torch.zeros(3)}, epoch=0)
    saved = SavedState(dataclasses.replace(job, draft=root), checkpoints, lambda: checkpoints.now)
    epochs = []
    for epoch in range(1, 301):
        before = checkpoints.writes
        checkpoints.now += 10.0
        saved.after_epoch(trainer)
        if checkpoints.writes > before:
            epochs.append(epoch)
    return epochs


def test_how_often_a_state_is_written(small_synthetic: Small, tmp_path: Path) -> None:
    assert written(small_synthetic, tmp_path, None, 0.1) == []
    assert written(small_synthetic, tmp_path, 0.0, 500.0) == list(range(1, 301))
    assert written(small_synthetic, tmp_path, 60.0, 0.0) == list(range(6, 301, 6))
    assert written(small_synthetic, tmp_path, 5.0, 0.1) == list(range(1, 301))
    # 15 seconds a write: the first after a minute, each other at least 300 seconds after the end of the last.
    assert written(small_synthetic, tmp_path, 60.0, 15.0) == list(range(6, 301, 30))


def test_writing_a_state_copies_no_weights(small_synthetic: Small) -> None:
    trainer = prepare(spec_for(small_synthetic, "Self-MM"), small_synthetic[1].folder, "cpu").trainer
    trainer.one_epoch()
    own = {tensor.data_ptr() for tensor in trainer.model.state_dict().values()}
    shared, copied = trainer.state_dict(share=True), trainer.state_dict()
    assert {tensor.data_ptr() for tensor in shared["model"].values()} == own
    assert own.isdisjoint(tensor.data_ptr() for tensor in copied["model"].values())
    moments = trainer.recipe.optimizer.state_dict()["state"]
    for number, state in shared["recipe"]["optimizer"]["state"].items():
        assert state["exp_avg"].data_ptr() == moments[number]["exp_avg"].data_ptr()


def test_on_a_gpu_the_generator_of_the_own_device_is_kept(
    small_synthetic: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fakes, no GPU: the state of one device goes on as another number, and touches no third."""
    trainer = prepare(spec_for(small_synthetic, "LMF"), small_synthetic[1].folder, "cpu").trainer
    generators = {torch.device("cuda", 0): torch.ones(4), torch.device("cuda", 1): torch.zeros(4)}
    monkeypatch.setattr(torch.cuda, "get_rng_state", generators.__getitem__)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: generators.update({device: state}))
    monkeypatch.setattr(Trainer, "_device", torch.device("cuda", 1))
    state = trainer.state_dict()
    assert torch.equal(state["random"]["cuda"], torch.zeros(4))
    monkeypatch.setattr(Trainer, "_device", torch.device("cuda", 2))
    trainer.load_state_dict(state)
    assert torch.equal(generators[torch.device("cuda", 0)], torch.ones(4))
    assert torch.equal(generators[torch.device("cuda", 2)], torch.zeros(4))


def test_kill_9_in_the_middle_of_training(small_synthetic: Small, tmp_path: Path) -> None:
    spec = spec_for(small_synthetic, "MFN", max_epochs=40, hyper={"*": {"batch_size": 8, "early_stop": 1000}})
    job = job_for(small_synthetic, tmp_path / "killed", spec)
    store = RunStore(job.runs_dir)
    store.prepare()

    def observe(event: Event) -> None:
        """Kill the worker, which leads a process group of its own, while it learns in epoch 7 or later."""
        if isinstance(event, Progress) and event.info["epoch"] == 6:
            for process in psutil.Process().children(recursive=True):
                if os.getpgid(process.pid) == process.pid:
                    process.send_signal(signal.SIGKILL)

    executor = LocalExecutor(workers=1)
    assert executor.run([job], store, observer=observe).failed == [spec]
    failure = store.failure(spec)
    assert failure is not None
    assert failure.kind == "crash"
    assert executor.run([job], store).done == [spec]
    record = record_of(job)
    (epoch,) = record.data["resumed_from"]
    assert 6 <= epoch < 40
    assert content(record) == content(straight(job, tmp_path / "calm"))
    lines = record.log().splitlines()
    learnt = [line.partition(": epoch ")[0] for line in lines if "harness.training.run INFO epoch" in line]
    assert len(learnt) == 40, "every epoch once"
    (at,) = [number for number, line in enumerate(lines) if f"continued after epoch {epoch}," in line]
    assert sum("INFO epoch" in line for line in lines[:at]) == epoch
