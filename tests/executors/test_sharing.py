"""Two harness processes on one store: they share the work, and one takes over what the other leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.executors import Elsewhere, Event, LocalExecutor, Outcome, base
from harness.store import RunStore
from harness.training.job import Job
from tests.helpers import make_spec
from tests.store.tools import fail

OTHER = """
import sys
from pathlib import Path
from harness.executors import LocalExecutor, Started, base
from harness.store import RunStore
from harness.training.job import Job
from tests.helpers import make_spec

base.available_cores = lambda: 8
root, stub, seeds = Path(sys.argv[1]), sys.argv[2], [int(word) for word in sys.argv[3:]]
store = RunStore(root)
store.prepare()
jobs = [Job(make_spec(seed=seed), Path("features"), root) for seed in seeds]

def observe(event):
    if isinstance(event, Started):
        print("started", event.spec.seed, flush=True)

executor = LocalExecutor(1, target="tests.executors.stubs:" + stub, preload=("tests.executors.stubs",))
outcome = executor.run(jobs, store, observer=observe)
print("done", *[spec.seed for spec in outcome.done], flush=True)
"""


@pytest.fixture(autouse=True)
def _enough_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "available_cores", lambda: 8)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    made = RunStore(tmp_path / "runs")
    made.prepare()
    return made


@pytest.fixture
def other(store: RunStore) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(stub: str, *seeds: int) -> subprocess.Popen[str]:
        """Start another process on the same store and wait until it has begun its first run."""
        process = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(store.root), stub, *map(str, seeds)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("started")
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def run(store: RunStore, stub: str, seeds: list[int], observer: Callable[[Event], None] = base.ignore) -> Outcome:
    jobs = [Job(make_spec(seed=seed), Path("features"), store.root) for seed in seeds]
    executor = LocalExecutor(1, target=f"tests.executors.stubs:{stub}", preload=("tests.executors.stubs",))
    return executor.run(jobs, store, observer=observer)


def seeds_of(specs: object) -> list[int]:
    assert isinstance(specs, list)
    return [spec.seed for spec in specs]


def test_two_processes_share_the_work_and_do_nothing_twice(
    store: RunStore, other: Callable[..., subprocess.Popen[str]]
) -> None:
    everything = list(range(12))
    beside = other("takes_a_moment", *everything)
    events: list[Event] = []
    outcome = run(store, "takes_a_moment", everything, events.append)
    said, _ = beside.communicate(timeout=60)
    theirs = [int(word) for word in said.rpartition("done")[2].split()]
    assert sorted(seeds_of(outcome.done) + theirs) == everything, "each run was done by one of the two"
    assert len(theirs) >= 3
    assert len(outcome.done) >= 3
    assert sorted(seeds_of(outcome.done) + seeds_of(outcome.already)) == everything
    assert outcome.not_run == []
    assert store.leases.all() == []
    elsewhere = [event.spec.seed for event in events if isinstance(event, Elsewhere)]
    assert sorted(elsewhere) == sorted(seeds_of(outcome.already))


def test_what_a_killed_process_held_is_taken_over_at_once(
    store: RunStore, other: Callable[..., subprocess.Popen[str]]
) -> None:
    hanging = other("always_hangs", 1)
    killed: list[float] = []

    def kill(event: Event) -> None:
        if not killed:
            hanging.send_signal(signal.SIGKILL)
            hanging.wait()
            killed.append(time.monotonic())

    outcome = run(store, "good", [1, 2], kill)
    assert sorted(seeds_of(outcome.done)) == [1, 2]
    assert time.monotonic() - killed[0] < 10


def test_a_run_that_fails_elsewhere_is_not_tried_again_here(
    store: RunStore, other: Callable[..., subprocess.Popen[str]]
) -> None:
    other("fails_after_a_moment", 1)
    events: list[Event] = []
    outcome = run(store, "good", [1], events.append)
    assert (seeds_of(outcome.failed), outcome.done, outcome.not_run) == ([1], [], [])
    (event,) = events
    assert isinstance(event, Elsewhere)
    assert (event.status, event.reason) == ("failed", "ValueError: a bad value")


def test_a_failure_from_before_is_tried_again(store: RunStore) -> None:
    fail(store, make_spec(seed=1))
    assert seeds_of(run(store, "good", [1]).done) == [1]
