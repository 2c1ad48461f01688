"""Runs through a real slurmctld and slurmd: what is killed, cut, cancelled and forgotten, and what the store says."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.executors import Event, Failed, Finished, Progress, PutBack, Started
from harness.executors.slurm import QueueError, SlurmExecutor, cancel, queue_states
from harness.spec import Resources
from harness.store import RunStore
from harness.training.job import Job
from tests.executors.slurm.cluster import Cluster
from tests.helpers import make_spec

STUBS = "tests.executors.slurm.stubs:"


class Place:
    """A store, an executor for it, and what the executor tells."""

    def __init__(self, tmp_path: Path, features: Path) -> None:
        self.store = RunStore(tmp_path / "runs")
        self.store.prepare()
        self.features = features
        self.folder = self.store.engine_folder("slurm")
        self.events: list[Event] = []
        self.executor = SlurmExecutor(
            self.folder,
            target="tests.executors.stubs:good",
            preload=(),
            poll_seconds=0.25,
            patience=0.5,
            silence=30.0,
        )

    def jobs(self, *seeds: int) -> list[Job]:
        return [Job(make_spec(seed=seed), self.features, self.store.root) for seed in seeds]

    def submissions(self) -> int:
        return len(list(self.folder.glob("*/runs.json")))

    def kinds(self, seed: int) -> list[type[Event]]:
        """What was told of a run, but for its progress, of which a slow machine tells more."""
        told = [event for event in self.events if not isinstance(event, Progress)]
        return [type(event) for event in told if event.spec.seed == seed]

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, PutBack)]

    def process(self, job: Job) -> psutil.Process:
        """The process that holds the lease of a job: the local executor on the node."""
        lease = next(lease for lease in self.store.leases.all() if lease.run_id == job.spec.run_id)
        assert lease.about["engine"] == "slurm"
        return psutil.Process(lease.about["pid"])


@pytest.fixture
def place(cluster: Cluster, tmp_path: Path, features: Path) -> Place:
    return Place(tmp_path, features)


def kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        process.kill()


def test_an_array_runs_to_done(place: Place) -> None:
    jobs = place.jobs(1, 2, 3)
    outcome = place.executor.run(jobs, place.store, observer=place.events.append)
    assert {spec.seed for spec in outcome.done} == {1, 2, 3}
    assert outcome.failed == outcome.already == outcome.not_run == []
    assert not outcome.interrupted
    assert place.submissions() == 1
    for job in jobs:
        assert place.store.status(job.spec) == "done"
        assert place.kinds(job.spec.seed) == [Started, Finished]
    again = place.executor.run(jobs, place.store)
    assert len(again.already) == 3
    assert place.submissions() == 1


def test_a_failing_run_is_a_failure_and_its_neighbour_is_not(place: Place) -> None:
    executor = replace(place.executor, target="tests.executors.stubs:raises")
    outcome = executor.run(place.jobs(666, 1), place.store, observer=place.events.append)
    assert [spec.seed for spec in outcome.done] == [1]
    assert [spec.seed for spec in outcome.failed] == [666]
    failure = place.store.failure(outcome.failed[0])
    assert failure is not None
    assert failure.reason == "ValueError: a bad value"
    assert Failed in place.kinds(666)
    # A failure of before is no answer to a second try.
    outcome = place.executor.run(place.jobs(666), place.store)
    assert [spec.seed for spec in outcome.done] == [666]


def test_a_run_killed_with_sigkill_is_a_failure(place: Place) -> None:
    def observe(event: Event) -> None:
        if isinstance(event, Progress):
            os.kill(event.info["pid"], signal.SIGKILL)

    outcome = replace(place.executor, target=STUBS + "waits").run(place.jobs(1), place.store, observer=observe)
    failure = place.store.failure(outcome.failed[0])
    assert failure is not None
    assert failure.kind == "crash"
    assert "SIGKILL" in failure.reason


def test_a_job_killed_with_sigkill_is_submitted_again(place: Place) -> None:
    (job,) = place.jobs(1)

    def observe(event: Event) -> None:
        place.events.append(event)
        if isinstance(event, Progress) and "pid" in event.info:
            main = place.process(job)
            kill([main, *main.children(recursive=True)])

    executor = replace(place.executor, target=STUBS + "hangs_at_first")
    outcome = executor.run([job], place.store, observer=observe)
    assert outcome.done == [job.spec]
    assert len(place.reasons()) == 1
    assert place.reasons()[0].startswith("the job died")
    assert place.submissions() == 2


def test_a_job_that_slurm_believes_in_for_ever_is_given_up(place: Place, cluster: Cluster) -> None:
    (job,) = place.jobs(1)
    killed_at = []

    def observe(event: Event) -> None:
        place.events.append(event)
        if isinstance(event, Progress) and "pid" in event.info:
            main = place.process(job)
            daemon = next(p for p in main.parents() if "slurmstepd" in " ".join([p.name(), *p.cmdline()]))
            kill([daemon, main, *main.children(recursive=True)])
            killed_at.append(time.monotonic())

    executor = replace(place.executor, target=STUBS + "hangs_at_first", silence=3.0)
    outcome = executor.run([job], place.store, observer=observe)
    assert outcome.done == [job.spec]
    assert len(killed_at) == 1
    assert "RUNNING, but without a sign of life for 3 s" in place.reasons()[0]


def test_what_a_failing_node_cut_is_submitted_again(place: Place, cluster: Cluster) -> None:
    def observe(event: Event) -> None:
        place.events.append(event)
        if isinstance(event, Progress) and "pid" in event.info:
            cluster.cut()

    # Slurm would queue it again by itself.
    executor = replace(place.executor, target=STUBS + "hangs_at_first", extra={"no-requeue": True})
    outcome = executor.run(place.jobs(1), place.store, observer=observe)
    assert len(outcome.done) == 1
    assert place.reasons()[0].startswith("the node of the job failed")


@pytest.mark.slow
def test_a_job_that_slurm_itself_queues_again_is_let_alone(place: Place, cluster: Cluster) -> None:
    (job,) = place.jobs(1)

    def observe(event: Event) -> None:
        place.events.append(event)
        if isinstance(event, Progress) and "pid" in event.info:
            assert queue_states(place.folder) == {job.spec.run_id: "RUNNING"}
            cluster.call("scontrol", "requeue", cluster.call("squeue", "--noheader", "--format=%A").strip())
        if isinstance(event, PutBack):  # Slurm itself would wait for two minutes, of which it needs a moment
            time.sleep(2)
            job_id = cluster.call("squeue", "--noheader", "--format=%A").strip()
            cluster.call("scontrol", "update", f"JobId={job_id}", "StartTime=now")

    executor = replace(place.executor, target=STUBS + "hangs_at_first")
    outcome = executor.run([job], place.store, observer=observe)
    assert outcome.done == [job.spec]
    assert place.reasons() == ["Slurm queued the job again"]
    assert place.submissions() == 1


def test_what_is_lost_too_often_is_a_failure_with_the_log(place: Place) -> None:
    executor = replace(place.executor, setup=("echo a word on the node >&2", "exit 3"), resubmit=1)
    outcome = executor.run(place.jobs(1), place.store, observer=place.events.append)
    failure = place.store.failure(outcome.failed[0])
    assert failure is not None
    assert failure.kind == "crash"
    assert failure.reason.startswith("given up after 2 job(s): the job died")
    assert "a word on the node" in failure.traceback
    assert place.kinds(1) == [PutBack, Started, Failed]


def test_a_node_that_does_not_see_the_features_says_so(place: Place, tmp_path: Path) -> None:
    job = replace(place.jobs(1)[0], features=tmp_path / "elsewhere")
    outcome = place.executor.run([job], place.store)
    failure = place.store.failure(outcome.failed[0])
    assert failure is not None
    assert "does not see" in failure.reason
    assert "elsewhere" in failure.reason


def test_cancelled_runs_are_not_run(place: Place) -> None:
    jobs = place.jobs(1, 2, 3, 4)
    cancelled: list[str] = []

    def observe(event: Event) -> None:
        place.events.append(event)
        if isinstance(event, Progress) and not cancelled:
            cancelled.extend(cancel(place.folder))

    executor = replace(place.executor, target=STUBS + "waits", max_parallel=1)
    outcome = executor.run(jobs, place.store, observer=observe)
    assert cancelled == sorted(job.spec.run_id for job in jobs)
    assert {spec.seed for spec in outcome.not_run} == {1, 2, 3, 4}
    assert not outcome.interrupted
    assert place.store.leases.all() == []
    assert list((place.store.root / ".tmp").iterdir()) == []
    assert queue_states(place.folder) == {}


def test_ctrl_c_detaches_and_a_second_call_adopts(place: Place) -> None:
    jobs = place.jobs(1, 2)

    def observe(event: Event) -> None:
        if isinstance(event, Progress):
            os.kill(os.getpid(), signal.SIGINT)

    executor = replace(place.executor, target=STUBS + "waits", max_parallel=1)
    outcome = executor.run(jobs, place.store, observer=observe)
    assert outcome.interrupted
    assert [spec.seed for spec in outcome.not_run] == [1, 2]
    assert queue_states(place.folder) == {jobs[0].spec.run_id: "RUNNING", jobs[1].spec.run_id: "PENDING"}
    (place.store.root / "go").touch()
    outcome = executor.run([*jobs, *place.jobs(3)], place.store)
    assert {spec.seed for spec in outcome.done} == {1, 2, 3}
    assert place.submissions() == 2  # of which one for the third run


def test_the_store_is_watched_while_the_controller_is_silent(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = tmp_path / "silent"
    fake = tmp_path / "bin" / "squeue"
    fake.parent.mkdir()
    fake.write_text(
        f"#!/bin/sh\n[ -e {flag} ] && {{ echo 'Unable to contact slurm controller' >&2; exit 1; }}\n"
        f'exec {shutil.which("squeue")} "$@"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")

    def observe(event: Event) -> None:
        place.events.append(event)
        if isinstance(event, Progress) and event.spec.seed == 1:
            flag.touch()
            (place.store.root / "go").touch()
        if isinstance(event, Finished) and event.spec.seed == 1:
            assert flag.exists()
            flag.unlink()

    executor = replace(place.executor, target=STUBS + "waits", max_parallel=1)
    outcome = executor.run(place.jobs(1, 2), place.store, observer=observe)
    assert {spec.seed for spec in outcome.done} == {1, 2}
    assert place.reasons() == []
    flag.touch()
    with pytest.raises(QueueError, match="Unable to contact"):
        queue_states(place.folder)
    with pytest.raises(QueueError, match="Unable to contact"):
        executor.run(place.jobs(3), place.store)


def test_a_controller_that_stays_silent_ends_the_watch_and_not_the_jobs(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "squeue"
    fake.parent.mkdir()
    path = os.environ["PATH"]

    def observe(event: Event) -> None:
        if isinstance(event, Progress):
            fake.write_text("#!/bin/sh\nexit 1\n")
            fake.chmod(0o755)
            monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{path}")

    executor = replace(place.executor, target=STUBS + "waits", silence=1.0)
    with pytest.raises(QueueError, match="exit code 1") as caught:
        executor.run(place.jobs(1), place.store, observer=observe)
    assert "adopts" in caught.value.hint
    monkeypatch.setenv("PATH", path)
    assert list(queue_states(place.folder).values()) == ["RUNNING"]


def test_an_unknown_partition_is_refused_in_the_words_of_sbatch(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(QueueError, match=r"[Ii]nvalid partition") as caught:
        replace(place.executor, partition="nowhere").run(place.jobs(1), place.store)
    assert "partition=nowhere" in caught.value.where
    assert "partitions main" in caught.value.hint
    assert capfd.readouterr().err == ""
    assert list(place.folder.iterdir()) == []


def test_runs_of_different_needs_are_different_arrays(place: Place, cluster: Cluster) -> None:
    def needs(run: object) -> Resources:
        return Resources(time_limit=30.0 if getattr(run, "seed", 0) > 1 else 90.0, memory_gib=0.25)

    def observe(event: Event) -> None:
        if isinstance(event, Progress):
            said.update(cluster.call("squeue", "--noheader", "--array", "--format=%l %m").split("\n"))
            (place.store.root / "go").touch()

    said: set[str] = set()
    executor = replace(place.executor, target=STUBS + "waits", resources=needs)
    outcome = executor.run(place.jobs(1, 2, 3), place.store, observer=observe)
    assert len(outcome.done) == 3
    assert place.submissions() == 2
    assert said - {""} == {"11:00 1280M", "12:00 1280M"}


@pytest.mark.slow
def test_what_the_time_limit_cut_is_submitted_again(place: Place) -> None:
    executor = replace(place.executor, target=STUBS + "hangs_at_first", extra={"time": 1})
    outcome = executor.run(place.jobs(1), place.store, observer=place.events.append)
    assert len(outcome.done) == 1
    assert place.reasons()[0].startswith("Slurm's time limit cut the job")
