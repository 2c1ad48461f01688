"""What the executor makes of tasks that end oddly, with a stand-in for Ray whose tasks are functions of the test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import InputError, StoreError
from harness.executors import Event, Failed, Finished, Outcome, PutBack, Started
from harness.executors.ray_executor import RayExecutor
from harness.executors.ray_nodes import Ended, Site, place_folders
from harness.executors.ray_session import Run, Session
from harness.store import RunStore
from harness.training.job import Job
from tests.helpers import fake_record, make_spec
from tests.store.tools import fail


class RayError(Exception):
    """Stands for the base class of Ray's errors."""


class RayTaskError(RayError):
    """Stands for an error that a task raised."""


class OutOfMemoryError(RayError):
    """Stands for Ray's own."""


class FakeRay:
    """Runs a task when it is waited for: `task` gives what it returns, or raises."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, task: Callable[[int], Ended]) -> None:
        self.task = task
        self.prepares: Callable[[], Ended] = lambda: Ended("a")
        self.most = 0
        self.cancelled: list[int] = []
        self.rows = [{"NodeID": "a", "NodeManagerHostname": "a", "Resources": {"CPU": 1.0}, "Alive": True}]
        affinity = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: (node, soft))
        self.util = SimpleNamespace(scheduling_strategies=affinity)
        self._asked: dict[int, Callable[[], Ended]] = {}

    def nodes(self) -> list[dict[str, Any]]:
        return self.rows

    def remote(self, function: Callable[..., Ended]) -> Any:
        def ask(*arguments: Any) -> int:
            number = len(self._asked)
            if function is place_folders:
                self._asked[number] = self.prepares
            else:
                self._asked[number] = lambda: self.task(arguments[0].job.spec.seed)
            return number

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=ask))

    def wait(self, refs: list[int], num_returns: int, timeout: float) -> tuple[list[int], list[int]]:
        self.most = max(self.most, len(refs))
        return refs[:1], refs[1:]

    def get(self, ref: int) -> Ended:
        return self._asked[ref]()

    def cancel(self, ref: int, *, force: bool) -> None:
        self.cancelled.append(ref)


class Call:
    """One session, with all that it tells."""

    def __init__(self, tmp_path: Path, bell: int) -> None:
        self.store = RunStore(tmp_path / "runs")
        self.store.prepare()
        self.outcome = Outcome()
        self.events: list[Event] = []
        self.bell = bell

    def spec(self, seed: int) -> Any:
        return make_spec(seed=seed)

    def run(self, ray: FakeRay, *seeds: int, mark: int | None = None, **options: Any) -> None:
        site = Site(self.store.root / "marker", "word", "sources", "a", None)
        executor = RayExecutor(**{"patience": 0.0, **options})
        session = Session(executor, self.store, self.events.append, self.outcome, ray, site, self.bell)
        jobs = [Job(self.spec(seed), Path("features"), self.store.root) for seed in seeds]
        session.work_off([Run(job, mark) for job in jobs])

    def kinds(self, seed: int) -> list[type[Event]]:
        return [type(event) for event in self.events if event.spec.seed == seed]


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Call]:
    reader, writer = os.pipe()
    yield Call(tmp_path, reader)
    os.close(reader)
    os.close(writer)


def test_no_more_tasks_than_asked_for_are_out_at_once(call: Call) -> None:
    def task(seed: int) -> Ended:
        fake_record(call.store, call.spec(seed))
        return Ended("a", began=True)

    ray = FakeRay(task)
    call.run(ray, *range(5), workers=2)
    assert [spec.seed for spec in call.outcome.done] == list(range(5))
    assert ray.most == 2


def test_a_record_that_the_store_shows_late_is_waited_for(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay(lambda _seed: Ended("a", began=True))
    looks: list[int] = []
    status = call.store.status

    def late(spec: Any) -> Any:
        looks.append(spec.seed)
        if len(looks) == 2:
            fake_record(call.store, spec)
        return status(spec)

    monkeypatch.setattr(call.store, "status", late)
    call.run(ray, 1, patience=60.0)
    assert call.kinds(1) == [Started, Finished]
    assert len(looks) >= 2


def test_a_task_that_leaves_nothing_is_tried_again_and_then_a_failure(call: Call) -> None:
    call.run(FakeRay(lambda _seed: Ended("a", began=True)), 1, retries=1)
    assert call.kinds(1) == [PutBack, Started, Failed]
    failure = call.store.failure(call.spec(1))
    assert failure is not None
    assert (failure.kind, failure.reason.partition(":")[0]) == ("crash", "given up after 2 task(s)")


@pytest.mark.parametrize(("error", "kind"), [(OutOfMemoryError("full"), "memory"), (RayError("lost\nmore"), "crash")])
def test_what_ray_says_of_a_lost_task_is_kept(call: Call, error: RayError, kind: str) -> None:
    def task(seed: int) -> Ended:
        raise error

    call.run(FakeRay(task), 1, retries=0)
    failure = call.store.failure(call.spec(1))
    assert failure is not None
    said = str(error).partition("\n")[0]
    assert (failure.kind, failure.reason) == (kind, f"given up after 1 task(s): {type(error).__name__}: {said}")


def test_a_worker_that_was_told_to_stop_is_no_failure(call: Call) -> None:
    answers = iter([Ended("a", began=True, interrupted=True), Ended("a", began=True)])

    def task(seed: int) -> Ended:
        answer = next(answers)
        if not answer.interrupted:
            fake_record(call.store, call.spec(seed))
        return answer

    call.run(FakeRay(task), 1)
    assert call.kinds(1) == [PutBack, Started, Finished]


def test_a_failure_from_before_does_not_count(call: Call) -> None:
    fail(call.store, call.spec(1))
    mark = call.store.failure_mark(call.spec(1))

    def task(seed: int) -> Ended:
        fake_record(call.store, call.spec(seed))
        return Ended("a", began=True)

    call.run(FakeRay(task), 1, mark=mark)
    assert call.kinds(1) == [Started, Finished]


@pytest.mark.parametrize("error", [StoreError("full", where="there"), InputError("no torch", hint="install it")])
def test_a_fault_of_a_node_stops_everything_and_names_it(call: Call, error: StoreError | InputError) -> None:
    ray = FakeRay(lambda _seed: Ended("tired", error=error))
    with pytest.raises(type(error), match=r"\(on the Ray node tired\)") as caught:
        call.run(ray, 1, 2)
    assert (caught.value.where, caught.value.hint) == (error.where, error.hint)
    assert ray.cancelled == [2], "the other task; the first of all prepared the node"


def test_a_node_that_cannot_run_our_code_is_named(call: Call) -> None:
    def prepares() -> Ended:
        raise RayTaskError("Traceback ...\nModuleNotFoundError: No module named 'harness'")

    ray = FakeRay(lambda _seed: Ended("a"))
    ray.prepares = prepares
    with pytest.raises(InputError, match=r"the Ray node a cannot be used: .*No module named 'harness'"):
        call.run(ray, 1)


def test_runs_whose_nodes_are_gone_for_good_are_given_up(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.executors.ray_session._NODES_SECONDS", 0.0)
    monkeypatch.setattr("harness.executors.ray_session._LOOK_SECONDS", 0.01)
    ray = FakeRay(lambda _seed: Ended("a"))

    def nothing_ends(refs: list[int], num_returns: int, timeout: float) -> tuple[list[int], list[int]]:
        if len(ray._asked) == 1:
            return refs, []
        ray.rows[0]["Alive"] = False
        return [], refs

    monkeypatch.setattr(ray, "wait", nothing_ends)
    with pytest.raises(InputError, match=r"the most that one of 0 node\(s\) has is 0 CPU\(s\)"):
        call.run(ray, 1, patience=0.1)
    assert ray.cancelled == [1, 1], "first kindly"
