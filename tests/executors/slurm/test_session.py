"""Decisions about lost runs, with a queue that says what a test wants; no Slurm is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.executors import Event, Failed, Progress, PutBack, Started
from harness.executors.slurm import QueueError, SlurmExecutor, session
from harness.executors.slurm.queue import Entry
from harness.store import RunStore
from harness.training.job import Job
from tests.helpers import fill_draft, make_spec

Step = str | Exception | None


class FakeBatches:
    """Submissions are counted; the n-th look at the queue shows the n-th state of a script for all runs."""

    script: Iterator[Step]
    submitted: list[list[str]]
    between: Callable[[], None]

    def __init__(self, folder: Path) -> None:
        self.live: list[str] = []

    def tidy(self) -> None:
        """Nothing to tidy."""

    def queue(self) -> dict[str, list[Entry]]:
        type(self).between()
        state = next(self.script)
        if isinstance(state, Exception):
            raise state
        number = len(self.submitted)
        runs = {run for batch in self.submitted for run in batch}
        return {} if state is None else {run: [Entry(f"{number}", 0, state, "token")] for run in runs}

    def submit(
        self, run_ids: Sequence[str], function: object, arguments: object, parameters: Mapping[str, Any]
    ) -> list[tuple[str, str]]:
        self.submitted.append(list(run_ids))
        return [(str(len(self.submitted)), "token") for _ in run_ids]

    def log(self, job_id: str, token: str) -> list[str]:
        return ["last words"]


class Told:
    """One run of the executor against a script."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = RunStore(tmp_path / "runs")
        self.store.prepare()
        self.job = Job(make_spec(seed=1), tmp_path, self.store.root)
        self.executor = SlurmExecutor(tmp_path / "slurm", poll_seconds=0.01, patience=0.0, silence=60.0, resubmit=2)
        self.events: list[Event] = []
        monkeypatch.setattr(session, "Batches", FakeBatches)
        monkeypatch.setattr("harness.executors.slurm.queue.array_limit", lambda: 1000)
        monkeypatch.setattr(FakeBatches, "submitted", [], raising=False)
        monkeypatch.setattr(FakeBatches, "between", staticmethod(lambda: None), raising=False)
        self.patch = monkeypatch

    def run(self, *script: Step, between: Callable[[], None] | None = None) -> tuple[list[str], list[str]]:
        """Return the labels of what is done and what failed; the first step of the script is for adopting."""
        self.patch.setattr(FakeBatches, "script", iter(script), raising=False)
        if between is not None:
            self.patch.setattr(FakeBatches, "between", staticmethod(between))
        outcome = self.executor.run([self.job], self.store, observer=self.events.append)
        self.not_run = outcome.not_run
        return [spec.label for spec in outcome.done], [spec.label for spec in outcome.failed]

    def finish(self) -> None:
        draft = self.store.begin(self.job.spec)
        fill_draft(draft, self.job.spec)
        self.store.publish(self.job.spec, draft)

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, PutBack)]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("state", "kind"), [("TIMEOUT", "timeout"), ("OUT_OF_MEMORY", "memory"), ("FAILED", "crash"), (None, "crash")]
)
def test_a_run_lost_three_times_is_a_failure(told: Told, state: str | None, kind: str) -> None:
    done, failed = told.run(None, *[state] * 3)
    assert (len(done), len(failed)) == (0, 1)
    assert len(FakeBatches.submitted) == 3
    assert len(told.reasons()) == 2
    last = told.events[-1]
    assert isinstance(last, Failed)
    assert last.kind == kind
    assert last.reason.startswith("given up after 3 job(s)")
    failure = told.store.failure(told.job.spec)
    assert failure is not None
    assert failure.traceback == "last words"


def test_a_record_that_is_seen_late_is_no_loss(told: Told) -> None:
    looks = iter(range(100))
    told.executor = SlurmExecutor(told.executor.folder, poll_seconds=0.01, patience=60.0)
    done, _ = told.run(None, "RUNNING", *[None] * 90, between=lambda: told.finish() if next(looks) == 8 else None)
    assert len(done) == 1
    assert len(FakeBatches.submitted) == 1
    assert told.reasons() == []


def test_a_cut_run_that_gets_further_each_time_goes_on(told: Told) -> None:
    run_id = told.job.spec.run_id
    looks = iter(range(1000))

    def between() -> None:
        look = next(looks)
        told.store.leases.say(run_id, progress={"epoch": look, "train_loss": 1.0})
        told.store.leases.beat()
        if look == 30:
            told.finish()

    assert told.store.leases.take(run_id, {"label": "x", "device": "cpu"})
    done, failed = told.run(None, *["RUNNING", "TIMEOUT"] * 20, between=between)
    told.store.leases.release(run_id)
    assert (len(done), len(failed)) == (1, 0)
    assert len(told.reasons()) > told.executor.resubmit
    assert isinstance(told.events[0], Started)
    assert any(isinstance(event, Progress) for event in told.events)


def test_a_cut_run_that_gets_no_further_is_given_up(told: Told) -> None:
    run_id = told.job.spec.run_id
    assert told.store.leases.take(run_id, {"label": "x", "device": "cpu", "progress": {"epoch": 4}})
    _, failed = told.run(None, *["RUNNING", "TIMEOUT"] * 20)
    told.store.leases.release(run_id)
    assert len(failed) == 1
    assert len(FakeBatches.submitted) == 4  # the first loss had got further than nothing


def test_a_cancelled_run_is_not_run(told: Told) -> None:
    assert told.run(None, "PENDING", "CANCELLED") == ([], [])
    assert told.not_run == [told.job.spec]
    assert len(FakeBatches.submitted) == 1


def test_a_silent_controller_loses_nothing(told: Told) -> None:
    looks = iter(range(100))
    silent: list[Step] = [QueueError("silent")] * 5
    done, _ = told.run(
        None, "RUNNING", *silent, *["RUNNING"] * 80, between=lambda: told.finish() if next(looks) == 9 else None
    )
    assert len(done) == 1
    assert len(FakeBatches.submitted) == 1


def test_a_live_job_in_the_queue_is_adopted(told: Told) -> None:
    FakeBatches.submitted.append([told.job.spec.run_id])
    looks = iter(range(100))
    done, _ = told.run(*["RUNNING"] * 20, between=lambda: told.finish() if next(looks) == 3 else None)
    assert len(done) == 1
    assert len(FakeBatches.submitted) == 1


def test_a_job_that_ended_before_is_not_adopted(told: Told) -> None:
    FakeBatches.submitted.append([told.job.spec.run_id])
    looks = iter(range(100))
    done, _ = told.run("CANCELLED", *["RUNNING"] * 20, between=lambda: told.finish() if next(looks) == 3 else None)
    assert len(done) == 1
    assert len(FakeBatches.submitted) == 2
