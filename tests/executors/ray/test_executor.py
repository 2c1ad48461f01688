"""Runs on a real Ray cluster of two nodes: what is lost, copied, refused and cancelled, and what the store says."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.errors import InputError
from harness.executors import Elsewhere, Event, Failed, Finished, Progress, PutBack, Started
from harness.executors.ray_executor import RayExecutor
from harness.spec import Resources
from harness.store import RunStore
from harness.training.job import Job
from tests.executors.ray.cluster import NO_NAMESPACES, Cluster
from tests.executors.stubs import SPECIAL_SEED
from tests.helpers import fake_record, make_spec

STUBS = "tests.executors.ray.stubs:"
COMMON = "tests.executors.stubs:"


class Place:
    """A store, and what executors on a cluster tell of its runs."""

    def __init__(self, folder: Path, address: str) -> None:
        self.address = address
        self.folder = folder
        self.store = RunStore(folder / "runs")
        self.store.prepare()
        self.events: list[Event] = []

    def jobs(self, *seeds: int, features: Path = Path("features"), **overrides: Any) -> list[Job]:
        return [Job(make_spec(seed=seed, **overrides), features, self.store.root) for seed in seeds]

    def executor(self, target: str, **options: Any) -> RayExecutor:
        return RayExecutor(self.address, target=target, preload=(), **options)

    def kinds(self, seed: int) -> list[type[Event]]:
        """What was told of a run, but for its progress, of which a slow machine tells more."""
        told = [event for event in self.events if not isinstance(event, Progress)]
        return [type(event) for event in told if event.spec.seed == seed]

    def attempts(self) -> list[int]:
        """The seeds of the runs that began, by the notes of `noted`."""
        notes = self.folder / "attempts"
        return [int(line) for line in notes.read_text().split()] if notes.exists() else []

    def began(self, seed: int) -> bool:
        """Wait a moment for a run to begin in its process."""
        end = time.monotonic() + 1.0
        while seed not in self.attempts() and time.monotonic() < end:
            time.sleep(0.02)
        return seed in self.attempts()

    def servers(self) -> set[int]:
        return {record.data["server"] for record in self.store.records()}

    def is_clean(self) -> bool:
        """Whether nothing is left of the runs but what they published."""
        left = [*(self.store.root / ".tmp").iterdir(), *self.store.leases.all()]
        return left == [] and not (self.store.root / ".ray").exists()


@pytest.fixture
def place(tmp_path: Path, cluster: Cluster) -> Place:
    return Place(tmp_path, cluster.address)


def seeds_of(specs: Sequence[Any]) -> list[int]:
    return sorted(spec.seed for spec in specs)


def holder(place: Place, event: Event) -> psutil.Process | None:
    """The process of Ray that runs what an event is about."""
    found = [lease for lease in place.store.leases.all() if lease.run_id == event.spec.run_id]
    return psutil.Process(int(found[0].about["pid"])) if found else None


def test_runs_on_two_nodes_give_records_and_pay_for_imports_once_a_node(place: Place, cluster: Cluster) -> None:
    with cluster.node():
        outcome = place.executor(STUBS + "noted").run(place.jobs(*range(5)), place.store, observer=place.events.append)
    assert (seeds_of(outcome.done), outcome.failed, outcome.not_run) == ([0, 1, 2, 3, 4], [], [])
    assert not outcome.interrupted
    assert len(place.servers()) == 2, "each of two nodes kept the fork server of its first run"
    assert all(place.kinds(seed) == [Started, Finished] for seed in range(5))
    assert {event.worker for event in place.events if not isinstance(event, Elsewhere)} == {0, 1}
    assert place.is_clean()


def test_what_a_killed_node_had_is_done_on_the_other(
    place: Place, cluster: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    killed: list[int] = []
    with cluster.node() as raylet:

        def kill(event: Event) -> None:
            """Kill all processes of the second node at once, as a power cut does, while a run is on it."""
            place.events.append(event)
            process = holder(place, event) if isinstance(event, Started) and not killed else None
            if process is not None and process.ppid() == raylet.pid and place.began(event.spec.seed):
                for one in [raylet, *raylet.children(recursive=True)]:
                    one.kill()
                killed.append(event.spec.seed)

        began = time.monotonic()
        outcome = place.executor(STUBS + "noted").run(place.jobs(*range(6)), place.store, observer=kill)
    assert time.monotonic() - began < 45
    assert len(killed) == 1
    assert (seeds_of(outcome.done), outcome.failed, outcome.not_run) == (list(range(6)), [], [])
    assert place.kinds(killed[0]) == [Started, PutBack, Started, Finished]
    assert sorted(place.attempts()) == sorted([*range(6), *killed]), "nothing but the lost run ran twice"
    assert len(list(place.store.records())) == 6
    assert "".join(capfd.readouterr()) == "", "Ray itself says nothing"
    place.store.prepare()
    assert place.is_clean()


@pytest.mark.slow
def test_a_run_may_outlive_the_raylet_of_its_node(place: Place, cluster: Cluster) -> None:
    killed: list[int] = []
    with cluster.node() as raylet:

        def kill(event: Event) -> None:
            process = holder(place, event) if isinstance(event, Started) and not killed else None
            if process is not None and process.ppid() == raylet.pid:
                os.kill(raylet.pid, signal.SIGKILL)
                killed.append(event.spec.seed)

        outcome = place.executor(STUBS + "noted").run(place.jobs(*range(4)), place.store, observer=kill)
    assert len(killed) == 1
    assert (seeds_of(outcome.done), outcome.failed, outcome.not_run) == (list(range(4)), [], [])
    assert len(list(place.store.records())) == 4


def test_a_bad_run_is_a_failure_and_touches_no_other(place: Place) -> None:
    jobs = place.jobs(1, SPECIAL_SEED)
    outcome = place.executor(COMMON + "raises").run(jobs, place.store, observer=place.events.append)
    assert (seeds_of(outcome.done), seeds_of(outcome.failed)) == ([1], [SPECIAL_SEED])
    failure = place.store.failure(jobs[1].spec)
    assert failure is not None
    assert (failure.kind, failure.reason) == ("error", "ValueError: a bad value")
    (event,) = [event for event in place.events if isinstance(event, Failed)]
    assert (event.kind, event.reason) == (failure.kind, failure.reason)
    again = place.executor(COMMON + "good").run(jobs, place.store)
    assert (seeds_of(again.already), seeds_of(again.done)) == ([1], [SPECIAL_SEED])


def test_a_time_limit_is_held_on_the_node(place: Place) -> None:
    jobs = place.jobs(SPECIAL_SEED)
    place.executor(COMMON + "hangs", time_limit=1.0).run(jobs, place.store)
    failure = place.store.failure(jobs[0].spec)
    assert failure is not None
    assert (failure.kind, failure.reason) == ("timeout", "stopped at the time limit of 1 s")


def test_a_run_whose_worker_is_killed_every_time_is_given_up_and_leaves_no_process(place: Place) -> None:
    family: list[psutil.Process] = []

    def kill(event: Event) -> None:
        place.events.append(event)
        process = holder(place, event) if isinstance(event, Started) else None
        if process is not None:
            family.extend([process, *process.children(recursive=True)])
            process.kill()

    jobs = place.jobs(1)
    outcome = place.executor(COMMON + "always_hangs", retries=1).run(jobs, place.store, observer=kill)
    assert seeds_of(outcome.failed) == [1]
    assert place.kinds(1) == [Started, PutBack, Started, Failed]
    failure = place.store.failure(jobs[0].spec)
    assert failure is not None
    assert failure.kind == "crash"
    assert failure.reason.startswith("given up after 2 task(s): WorkerCrashedError")
    assert len(family) >= 6, "each time a worker, its fork server and its run"
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []


def test_a_run_that_another_process_ends_is_not_done_again(place: Place) -> None:
    jobs = place.jobs(1, 2)

    def meanwhile(event: Event) -> None:
        place.events.append(event)
        if isinstance(event, Started) and event.spec.seed == 1:
            fake_record(place.store, jobs[1].spec)

    outcome = place.executor(STUBS + "noted", workers=1).run(jobs, place.store, observer=meanwhile)
    assert (seeds_of(outcome.done), seeds_of(outcome.already)) == ([1], [2])
    assert place.kinds(2) == [Elsewhere]


@pytest.mark.parametrize(
    ("overrides", "needs", "device", "asked"),
    [
        ({"threads": 64}, Resources(), "cpu", "64 CPU(s), and the most that one of 1 node(s) has is 1 CPU(s)"),
        ({}, Resources(memory_gib=1e6), "cpu", "1000000.0 GiB of memory"),
        ({}, Resources(gpus=0.5), "cuda", "0.5 GPU(s), and the most that one of 1 node(s) has is 1 CPU(s), 0 GPU(s)"),
    ],
)
def test_what_fits_on_no_node_is_refused_before_anything_runs(
    place: Place, overrides: dict[str, Any], needs: Resources, device: str, asked: str
) -> None:
    jobs = [*place.jobs(1), Job(make_spec(seed=2, **overrides), Path("features"), place.store.root, device)]
    with pytest.raises(InputError, match="no Ray node is large enough for LF-DNN") as caught:
        place.executor(COMMON + "good", resources=lambda spec: needs if spec.seed == 2 else Resources()).run(
            jobs, place.store
        )
    assert asked in caught.value.what
    assert list(place.store.records()) == []
    assert place.is_clean()


@pytest.mark.skipif(bool(NO_NAMESPACES), reason=NO_NAMESPACES)
def test_a_node_that_does_not_see_the_features_gets_one_copy(place: Place, cluster: Cluster) -> None:
    features, cache = place.folder / "features-1", place.folder / "cache"
    features.mkdir()
    for number in range(3):
        (features / str(number)).write_bytes(bytes([number]) * (number * 17_000_000))
    with cluster.blind_node(features):
        executor = place.executor(STUBS + "reads", node_cache=cache)
        outcome = executor.run(place.jobs(*range(6), features=features), place.store)
        copy = cache / "features" / "features-1"
        first = copy.stat()
        assert seeds_of(outcome.done) == list(range(6))
        used = {record.data["features"] for record in place.store.records()}
        assert used == {str(features), str(copy)}, "the node that sees them uses them where they are"
        executor.run(place.jobs(*range(6, 10), features=features), place.store)
    assert copy.stat() == first, "the second call found the copy of the first"
    assert sorted(path.name for path in copy.parent.iterdir()) == ["features-1", "features-1.lock"]


@pytest.mark.slow
@pytest.mark.skipif(bool(NO_NAMESPACES), reason=NO_NAMESPACES)
def test_a_node_that_does_not_see_the_runs_folder_is_named(place: Place, cluster: Cluster) -> None:
    with (
        cluster.blind_node(place.folder),
        pytest.raises(InputError, match=r"the Ray node \S+ does not see the runs folder") as caught,
    ):
        place.executor(COMMON + "good").run(place.jobs(1), place.store)
    assert caught.value.where == str(place.store.root)
    assert place.is_clean()


DRIVER = """
import sys
from pathlib import Path
from harness.executors import Started
from harness.executors.ray_executor import RayExecutor
from harness.store import RunStore
from harness.training.job import Job
from tests.helpers import make_spec

store = RunStore(Path(sys.argv[1]))
store.prepare()
jobs = [Job(make_spec(seed=seed), Path("features"), store.root) for seed in range(3)]

def observe(event):
    if isinstance(event, Started):
        print("started", flush=True)

executor = RayExecutor(target="tests.executors.stubs:always_hangs", preload=())
outcome = executor.run(jobs, store, observer=observe)
print("interrupted" if outcome.interrupted else "finished", len(outcome.done), len(outcome.not_run), flush=True)
"""


class Driver:
    """A process that runs jobs on a cluster of its own, once the first has started."""

    def __init__(self, root: Path, temporary: str) -> None:
        path = os.pathsep.join(path for path in sys.path if path)
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", DRIVER, str(root)],
            env={**os.environ, "PYTHONPATH": path, "TMPDIR": temporary},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "started\n", self.process.stdout.read()
        # Now, because it cannot be seen later: processes lose their parents, and Ray overwrites environments.
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def left_after(self, seconds: float) -> list[psutil.Process]:
        return psutil.wait_procs(self.family, timeout=seconds)[1]

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        for process in self.family:
            with suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    temporary = tempfile.mkdtemp(prefix="ray-")  # short: sockets lie in it
    started = Driver(tmp_path / "runs", temporary)
    yield started
    started.close()
    shutil.rmtree(temporary)


def test_sigterm_ends_a_cluster_of_our_own_and_leaves_nothing(driver: Driver, tmp_path: Path) -> None:
    heard = {c.laddr.ip for p in driver.family for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
    assert heard, "the servers of Ray listen"
    assert heard <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, "and nobody else can reach them"
    driver.process.send_signal(signal.SIGTERM)
    said, _ = driver.process.communicate(timeout=30)
    assert said.splitlines()[-1] == "interrupted 0 3"
    assert set(said.splitlines()[:-1]) <= {"started"}, "Ray itself says nothing"
    assert driver.process.returncode == 0
    assert driver.left_after(5.0) == []
    assert list((tmp_path / "runs" / ".tmp").iterdir()) == []
    assert RunStore(tmp_path / "runs").leases.all() == []


def test_kill_9_leaves_nothing_that_works(driver: Driver) -> None:
    agents = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
    family = {process.name() for process in driver.family}
    assert {"raylet", "gcs_server"} | agents <= family
    assert len(driver.family) > 8
    driver.process.kill()
    driver.process.wait()
    driver.left_after(5.0)
    left = {process.name() for process in driver.family if process.is_running()}
    assert left <= agents, "those of Ray that try for a minute to report the death of the others"
