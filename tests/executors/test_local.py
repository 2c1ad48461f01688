from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.errors import InputError, StoreError
from harness.executors import (
    Elsewhere,
    Event,
    Failed,
    Finished,
    LocalExecutor,
    Outcome,
    Progress,
    Started,
    base,
    local,
    slots,
)
from harness.executors.worker import THREAD_VARIABLES
from harness.store import RunStore
from harness.training.job import Job
from tests.executors.stubs import SPECIAL_SEED
from tests.helpers import fake_record, make_spec


@pytest.fixture(autouse=True)
def _enough_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "available_cores", lambda: 8)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    made = RunStore(tmp_path / "runs")
    made.prepare()
    return made


def jobs_for(store: RunStore, seeds: Sequence[int], **overrides: Any) -> list[Job]:
    return [Job(make_spec(seed=seed, **overrides), Path("features"), store.root) for seed in seeds]


def executor(stub: str, *, workers: int = 2, time_limit: float | None = None) -> LocalExecutor:
    return LocalExecutor(workers, time_limit, f"tests.executors.stubs:{stub}", preload=("tests.executors.stubs",))


def drafts(store: RunStore) -> list[Path]:
    return list((store.root / ".tmp").iterdir())


def seeds(specs: Sequence[Any]) -> list[int]:
    return [spec.seed for spec in specs]


def test_runs_give_records_events_and_logs(store: RunStore) -> None:
    events: list[Event] = []
    jobs = jobs_for(store, [1, 2, 3])
    outcome = executor("good").run(jobs, store, observer=events.append)
    assert sorted(seeds(outcome.done)) == [1, 2, 3]
    assert (outcome.failed, outcome.already, outcome.not_run, outcome.interrupted) == ([], [], [], False)
    assert drafts(store) == []
    for job in jobs:
        record = store.record(job.spec)
        assert record is not None
        assert record.data["pid"] != os.getpid()
        assert "a word on stdout" in record.log()
        assert "a word on descriptor 2" in record.log()
        own = [type(event) for event in events if event.spec == job.spec]
        assert own == [Started, Progress, Finished]
    ours = [event for event in events if not isinstance(event, Elsewhere)]
    assert len(ours) == len(events)
    assert {event.worker for event in ours} == {0, 1}
    assert all(event.seconds >= 0 for event in ours)
    pids = [record.data["pid"] for record in store.records()]
    assert len(set(pids)) == 3


def test_what_is_done_is_not_done_again(store: RunStore) -> None:
    jobs = jobs_for(store, [1, 2, 3])
    fake_record(store, jobs[1].spec)
    outcome = executor("good").run([*jobs, jobs[0]], store)
    assert seeds(outcome.already) == [2]
    assert sorted(seeds(outcome.done)) == [1, 3]
    again = executor("killed").run(jobs, store)
    assert seeds(again.already) == [1, 2, 3]
    assert again.done == []


def test_what_another_process_did_meanwhile_is_not_done_again(store: RunStore) -> None:
    jobs = jobs_for(store, [1, 2, 3, 4])
    started: list[int] = []
    others: list[Outcome] = []

    def held_up(event: Event) -> None:
        """Run a second executor on the same store while the first waits in its first run."""
        if isinstance(event, Started):
            started.append(event.spec.seed)
            if not others:
                others.append(executor("good", workers=1).run(jobs[1:3], RunStore(store.root)))

    outcome = executor("good", workers=1).run(jobs, store, observer=held_up)
    assert seeds(others[0].done) == [2, 3]
    assert started == [1, 4]
    assert (seeds(outcome.done), seeds(outcome.already), outcome.failed) == ([1, 4], [2, 3], [])
    assert (outcome.not_run, outcome.interrupted) == ([], False)
    assert drafts(store) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_waited_for_when_another_process_did_the_rest(store: RunStore, workers: int) -> None:
    jobs = jobs_for(store, [1, 2, 3])

    def held_up(event: Event) -> None:
        if isinstance(event, Started) and event.spec.seed == 1:
            executor("good", workers=1).run(jobs, RunStore(store.root))

    outcome = executor("good", workers=workers).run(jobs, store, observer=held_up)
    assert (seeds(outcome.done), seeds(outcome.already), outcome.not_run) == ([1], [2, 3], [])
    assert len(list(store.records())) == 3


def test_jobs_start_in_their_order(store: RunStore) -> None:
    events: list[Event] = []
    executor("good", workers=1).run(jobs_for(store, [5, 3, 9, 1]), store, observer=events.append)
    assert [event.spec.seed for event in events if isinstance(event, Started)] == [5, 3, 9, 1]


@pytest.mark.parametrize(
    ("stub", "kind", "reason", "shown"),
    [
        ("killed", "crash", "SIGKILL", "last words"),
        ("segfault", "crash", "SIGSEGV", "Segmentation fault"),
        ("leaves", "crash", "exit code 3", ""),
        ("raises", "error", "ValueError: a bad value", "Traceback"),
        ("exits", "error", "SystemExit", "Traceback"),
        ("diverges", "diverged", "the loss is NaN in epoch 2", "Traceback"),
        ("bad_data", "error", "the cache is gone", "Traceback"),
        ("returns_nothing", "error", "without publishing a record", ""),
        ("no_such_function", "error", "no_such_function", "Traceback"),
    ],
)
def test_a_bad_run_is_a_failure_and_touches_no_other(
    store: RunStore, stub: str, kind: str, reason: str, shown: str
) -> None:
    events: list[Event] = []
    jobs = jobs_for(store, [1, SPECIAL_SEED, 2])
    outcome = executor(stub).run(jobs, store, observer=events.append)
    expected_done = [] if stub == "no_such_function" else [1, 2]
    assert sorted(seeds(outcome.done)) == expected_done
    assert SPECIAL_SEED in seeds(outcome.failed)
    failure = store.failure(jobs[1].spec)
    assert failure is not None
    assert failure.kind == kind
    assert reason in failure.reason
    assert shown in failure.traceback
    told = [event for event in events if isinstance(event, Failed) and event.spec == jobs[1].spec]
    assert [(event.kind, event.reason) for event in told] == [(failure.kind, failure.reason)]
    assert drafts(store) == []


def test_a_failed_run_can_be_tried_again(store: RunStore) -> None:
    jobs = jobs_for(store, [SPECIAL_SEED])
    executor("raises").run(jobs, store)
    assert store.status(jobs[0].spec) == "failed"
    assert seeds(executor("good").run(jobs, store).done) == [SPECIAL_SEED]
    assert store.status(jobs[0].spec) == "done"


def test_a_run_past_its_limit_is_stopped_alone(store: RunStore) -> None:
    began = time.monotonic()
    jobs = jobs_for(store, [SPECIAL_SEED, 1, 2])
    outcome = executor("hangs", time_limit=1.0).run(jobs, store)
    assert time.monotonic() - began < 10
    assert sorted(seeds(outcome.done)) == [1, 2]
    failure = store.failure(jobs[0].spec)
    assert failure is not None
    assert (failure.kind, failure.reason) == ("timeout", "stopped at the time limit of 1 s")


@pytest.mark.parametrize("stub", ["publishes_then_hangs", "publishes_then_dies"])
def test_the_store_decides_what_is_done(store: RunStore, stub: str) -> None:
    outcome = executor(stub, time_limit=1.0).run(jobs_for(store, [1]), store)
    assert seeds(outcome.done) == [1]
    assert drafts(store) == []


@pytest.mark.parametrize("stub", ["disk_full", "disk_full_in_words", "store_broken"])
def test_a_broken_store_stops_everything(store: RunStore, stub: str) -> None:
    pids: list[int] = []
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(StoreError) as caught:
        executor(stub).run(jobs_for(store, [1, SPECIAL_SEED, 2, 3]), store, observer=lambda event: pids.append(1))
    if "full" in stub:
        assert "No space left" in caught.value.what
        assert "free some space" in caught.value.hint
    assert drafts(store) == []
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [child for child in left if child.is_running() and "forkserver" not in " ".join(child.cmdline())]


def test_full_disk_in_the_main_process_stops_everything(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise StoreError("cannot keep the failure of a run: No space left on device")

    monkeypatch.setattr(store, "fail", full)
    with pytest.raises(StoreError):
        executor("raises").run(jobs_for(store, [SPECIAL_SEED, 1]), store)
    assert drafts(store) == []


def test_an_observer_that_raises_leaves_a_clean_store(store: RunStore) -> None:
    def broken(event: Event) -> None:
        if isinstance(event, Progress):
            raise BrokenPipeError("the terminal is gone")

    with pytest.raises(BrokenPipeError):
        executor("always_hangs").run(jobs_for(store, [1, 2]), store, observer=broken)
    assert drafts(store) == []
    assert list(store.records()) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, None])
def test_an_interrupt_stops_the_workers_and_leaves_a_clean_store(store: RunStore, how: signal.Signals | None) -> None:
    pids: list[int] = []

    def interrupt(event: Event) -> None:
        if isinstance(event, Progress):
            pids.append(event.info["pid"])
            if len(pids) == 2:
                if how is None:
                    raise KeyboardInterrupt
                os.kill(os.getpid(), how)
                os.kill(os.getpid(), how)  # an impatient person presses twice

    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    jobs = jobs_for(store, [3, 1, 2])
    outcome = executor("always_hangs").run(jobs, store, observer=interrupt)
    assert outcome == Outcome(not_run=[job.spec for job in jobs], interrupted=True)
    assert drafts(store) == []
    assert [store.status(job.spec) for job in jobs] == ["missing"] * 3
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_a_run_that_dies_of_a_signal_to_all_processes_is_no_failure(store: RunStore) -> None:
    """As when Slurm, a container or systemd stops everything at once, and the run hears of it first."""

    def stop(event: Event) -> None:
        if isinstance(event, Progress):
            os.kill(event.info["pid"], signal.SIGTERM)
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()

    outcome = executor("always_hangs", workers=1).run(jobs_for(store, [1, 2]), store, observer=stop)
    assert (outcome.failed, seeds(outcome.not_run), outcome.interrupted) == ([], [1, 2], True)
    assert drafts(store) == []
    assert store.leases.all() == []


def test_an_interrupt_keeps_what_was_published(store: RunStore) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, Progress) and "published" in event.info:
            os.kill(os.getpid(), signal.SIGINT)

    outcome = executor("publishes_then_hangs", workers=1).run(jobs_for(store, [1, 2]), store, observer=interrupt)
    assert (seeds(outcome.done), seeds(outcome.not_run), outcome.interrupted) == ([1], [2], True)


def test_runs_from_another_thread(store: RunStore) -> None:
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(executor("good").run(jobs_for(store, [1]), store)))
    thread.start()
    thread.join()
    assert seeds(outcomes[0].done) == [1]


def test_a_worker_finds_what_was_promised(store: RunStore) -> None:
    found: list[dict[str, Any]] = []

    def note(event: Event) -> None:
        if isinstance(event, Progress) and "server" in event.info:
            found.append(dict(event.info))

    before = {name: os.environ.get(name) for name in (*THREAD_VARIABLES, "PYTHONPATH")}
    jobs = [*jobs_for(store, [1], threads=1), *jobs_for(store, [2], threads=3)]
    executor("state", workers=1).run(jobs, store, observer=note)
    assert {name: os.environ.get(name) for name in before} == before
    assert [set(info["threads"].values()) for info in found] == [{"1"}, {"3"}]
    for info in found:
        assert info["group"] == info["pid"]
        assert info["sigint_ignored"]
        assert info["faulthandler"]
        assert info["main_file"] is None, "the main script must not be imported again in every worker"
    # A thread of the server would not survive the fork, and its locks might.
    assert psutil.Process(found[0]["server"]).num_threads() == 1


def test_a_lost_fork_server_costs_the_runs_in_flight_only(store: RunStore) -> None:
    pids: list[int] = []

    def kill_server(event: Event) -> None:
        if isinstance(event, Progress) and "pid" in event.info and event.spec.seed == SPECIAL_SEED:
            pids.append(event.info["pid"])
            psutil.Process(event.info["pid"]).parent().kill()  # type: ignore[union-attr]

    jobs = jobs_for(store, [SPECIAL_SEED, 1, 2])
    run = LocalExecutor(1, None, "tests.executors.stubs:special_hangs", preload=("tests.executors.stubs",))
    outcome = run.run(jobs, store, observer=kill_server)
    assert seeds(outcome.failed) == [SPECIAL_SEED]
    assert seeds(outcome.done) == [1, 2]
    psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=5)
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids)


@pytest.mark.parametrize(
    "stub",
    [
        "dies_and_leaves_a_child",
        "raises_and_leaves_a_child",
        "publishes_and_leaves_a_child",
        "hangs_and_leaves_a_child",
    ],
)
def test_what_a_run_started_ends_with_it(store: RunStore, stub: str) -> None:
    children: list[int] = []

    def note(event: Event) -> None:
        if isinstance(event, Progress) and "child" in event.info:
            children.append(event.info["child"])

    outcome = executor(stub, workers=1, time_limit=1.0).run(jobs_for(store, [1]), store, observer=note)
    assert len(outcome.done + outcome.failed) == 1
    (child,) = children
    assert ended(child)


def ended(pid: int) -> bool:
    """Wait a little for a process to be dead, whether or not its new parent asks for its exit code."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def closed_slot(store: RunStore, process: Any, pid: int | None) -> int | None:
    """Close a slot whose run had the id `pid` and is gone."""

    class Gone:
        exitcode = -9
        join = close = staticmethod(lambda: None)

    gone: Any = Gone()
    gone.pid = pid
    job = jobs_for(store, [1])[0]
    slot = slots.Slot(0, job, store.root, gone, process, slots.Limits())
    return local._Session(executor("good"), store, base.ignore, 1)._close(slot)


def test_a_stranger_with_the_id_of_a_gone_run_is_left_alone(store: RunStore) -> None:
    reader, _ = multiprocessing.Pipe(duplex=False)
    stranger = subprocess.Popen(["sleep", "600"], process_group=0)
    try:
        assert closed_slot(store, reader, stranger.pid) == -9
        assert stranger.poll() is None
        time.sleep(0.1)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_run_that_died_before_it_had_a_group_is_closed_quietly(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = subprocess.Popen(["sleep", "600"])  # in the group of this test
    asked: list[int] = []
    kill = os.killpg

    def killpg(group: int, number: int) -> None:
        asked.append(group)
        kill(group, number)

    monkeypatch.setattr(os, "killpg", killpg)
    alive: Any = type("Alive", (), {"pid": process.pid, "is_alive": lambda self: True})()
    slots.kill(alive)
    assert process.wait(timeout=5) == -signal.SIGKILL
    reader, _ = multiprocessing.Pipe(duplex=False)
    assert closed_slot(store, reader, process.pid) == -9
    assert asked == [process.pid] * 2
    assert closed_slot(store, reader, None) == -9
    assert asked == [process.pid] * 2, "group 0 would be our own"


def test_many_messages_arrive_in_order(store: RunStore) -> None:
    epochs: list[int] = []

    def note(event: Event) -> None:
        if isinstance(event, Progress) and "padding" in event.info:
            epochs.append(event.info["epoch"])

    executor("chatty", workers=1).run(jobs_for(store, [1]), store, observer=note)
    assert epochs == list(range(2000))


def test_a_module_that_cannot_be_imported_is_named(store: RunStore) -> None:
    broken = LocalExecutor(1, None, "tests.executors.stubs:good", preload=("tests.no_such_module",))
    with pytest.raises(InputError, match=r"tests\.no_such_module"):
        broken.run(jobs_for(store, [1]), store)
    assert drafts(store) == []
    assert seeds(executor("good").run(jobs_for(store, [1]), store).done) == [1]


def test_a_job_costs_little(store: RunStore) -> None:
    run = executor("trivial", workers=1)
    run.run(jobs_for(store, [0]), store)
    began = time.monotonic()
    run.run(jobs_for(store, range(1, 11)), store)
    assert (time.monotonic() - began) / 10 < 0.15


def test_options_are_checked(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="time limit"):
        executor("good", time_limit=0).run([], store)
    monkeypatch.setattr(base, "available_cores", lambda: 2)
    with pytest.raises(InputError, match="need 4 cores"):
        executor("good", workers=2).run(jobs_for(store, [1, 2], threads=2), store)
    assert executor("good").run([], store) == Outcome()
