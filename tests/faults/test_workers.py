"""Runs that misbehave in ways of their own: the others go on, and the one has a failure that says what happened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.executors import LocalExecutor, Outcome
from harness.store import Failure
from harness.training.job import Job
from tests.cli.tools import ask, write_suite
from tests.faults.stubs import LATE, SPECIAL_SEED
from tests.faults.tools import Place, tree

STUBS = "tests.faults.stubs"
MIB = 2**20


def run(place: Place, stub: str, *, time_limit: float | None = 20.0, stall_limit: float | None = None) -> Outcome:
    executor = LocalExecutor(2, time_limit, f"{STUBS}:{stub}", preload=(STUBS,), stall_limit=stall_limit)
    jobs = [Job(spec, Path("features"), place.store.root) for spec in place.specs]
    return executor.run(jobs, place.store)


def fails_alone(place: Place, outcome: Outcome) -> Failure:
    """Assert that the special run failed and no other, and that nothing else is left of it; return its failure."""
    assert [spec.seed for spec in outcome.failed] == [SPECIAL_SEED]
    assert sorted(spec.seed for spec in outcome.done) == sorted(set(place.seeds) - {SPECIAL_SEED})
    assert list((place.store.root / ".tmp").iterdir()) == []
    assert list((place.store.root / ".leases").iterdir()) == []
    failure = place.store.failure(outcome.failed[0])
    assert failure is not None
    return failure


def completes(place: Place, calm: dict[str, bytes]) -> None:
    """Assert that a next try gives the store of runs that behave."""
    assert not run(place, "writes").failed
    place.check()
    assert tree(place.store.root) == calm


def test_a_stopped_run_is_ended_by_the_stall_limit(place: Place, calm: dict[str, bytes]) -> None:
    failure = fails_alone(place, run(place, "stops", stall_limit=1.2))
    assert (failure.kind, failure.reason) == ("timeout", "no sign of life for 1.2 s: neither an epoch nor CPU time")
    completes(place, calm)


def test_a_stopped_run_is_ended_by_the_time_limit(place: Place) -> None:
    failure = fails_alone(place, run(place, "stops", time_limit=0.8))
    assert (failure.kind, failure.reason) == ("timeout", "stopped at the time limit of 0.8 s")


@pytest.mark.parametrize("stub", ["deletes_its_draft", "deletes_its_draft_and_dies"])
def test_a_run_that_deletes_its_draft_fails_alone(place: Place, calm: dict[str, bytes], stub: str) -> None:
    failure = fails_alone(place, run(place, stub))
    if stub == "deletes_its_draft":
        assert (failure.kind, "No such file" in failure.reason) == ("error", True), failure
    else:
        assert (failure.kind, "SIGKILL" in failure.reason) == ("crash", True), failure
    completes(place, calm)


def test_a_daemon_that_a_run_leaves_behind_holds_nothing_up(place: Place, calm: dict[str, bytes]) -> None:
    """It has a session of its own, where nobody can follow it; what it writes late lands in no record."""
    driver = place.start(stub="leaves_a_daemon")
    try:
        assert driver.process.wait(20) == 0
        (daemon,) = (process for process in driver.family() if os.getsid(process.pid) == process.pid)
        assert list((place.store.root / ".tmp").iterdir()) == []
        # It holds the pipes of the fork server open, which ends with it.
        daemon.kill()
        assert driver.orphans() == []
    finally:
        driver.close()
    # What it wrote before the run was published is a file more, of which the record says nothing.
    assert {name: content for name, content in tree(place.store.root).items() if not name.endswith(LATE)} == calm


def test_a_run_that_closes_its_pipe_fails_alone(place: Place, calm: dict[str, bytes]) -> None:
    failure = fails_alone(place, run(place, "closes_its_descriptors"))
    assert (failure.kind, failure.reason) == ("crash", "the process ended with exit code 1 and without a word")
    assert "Bad file descriptor" in failure.traceback
    completes(place, calm)


def test_a_run_that_closes_its_pipe_and_hangs_is_held_to_its_limits(place: Place) -> None:
    failure = fails_alone(place, run(place, "closes_its_descriptors_and_hangs", stall_limit=1.2))
    assert failure.kind == "timeout"
    assert "no sign of life" in failure.reason


@pytest.mark.parametrize("stub", ["writes_garbage", "says_something_else"])
def test_a_run_that_writes_garbage_into_its_pipe_fails_alone(place: Place, calm: dict[str, bytes], stub: str) -> None:
    failure = fails_alone(place, run(place, stub))
    assert failure.kind == "crash"
    assert "no message" in failure.reason
    completes(place, calm)


def test_a_message_that_never_ends_holds_nobody_up(place: Place, calm: dict[str, bytes]) -> None:
    driver = place.start(stub="promises_a_long_message", time_limit=1.5)
    try:
        assert driver.end(20) == 1
    finally:
        driver.close()
    (failed,) = driver.told("failed")
    assert failed["kind"] in {"timeout", "crash"}
    assert [spec.seed for spec in place.specs if place.store.status(spec) == "failed"] == [SPECIAL_SEED]
    completes(place, calm)


def test_a_log_that_grows_quickly_costs_no_memory(place: Place, calm: dict[str, bytes]) -> None:
    flooded, usual = place.run(stub="fills_its_log"), place.run()
    (failed,) = flooded.told("failed")
    assert "SIGKILL" in failed["reason"]
    (peak,), (before,) = ([end["peak_memory"] for end in driver.told("end")] for driver in (flooded, usual))
    assert peak - before < 40 * MIB, "of the log only the end is needed"
    place.check()
    assert tree(place.store.root) == calm


def test_a_loss_that_is_no_number(tmp_path: Path) -> None:
    """A real training, from the command line, that cannot go well."""
    hyper = {"*": {"batch_size": 8, "learning_rate": 1e30}}
    suite = write_suite(tmp_path / "wild.yaml", models=["LF-DNN"], variants=["original"], seeds=[1], hyper=hyper)
    folders = [f"--{name}-dir={tmp_path / name}" for name in ("runs", "reports", "cache")]
    answer = ask("run", "--suite", suite, *folders, "--workers", "1", "--no-report")
    assert answer.code == 1
    assert "diverged: training diverged: loss nan" in answer.err
    assert "Traceback" not in answer.err
    (log,) = (tmp_path / "runs").rglob("log.txt")
    assert "lower the learning rate" in log.read_text(encoding="utf-8")
    assert str(log) in answer.err
    assert "lower the learning rate" in answer.err, "what to do is said where the failure is told"
    listed = ask("status", "--suite", suite, folders[0], folders[2])
    assert listed.code == 1
    assert "diverged" in listed.out
