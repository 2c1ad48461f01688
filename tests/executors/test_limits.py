"""Limits of a run, and what happens when memory runs out: with real processes, and stubs in the place of training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.executors import Event, LocalExecutor, PutBack, Started, base, local, slots
from harness.executors.memory import available_memory, kernel_kills, private_memory, total_memory
from harness.spec import Resources
from harness.store import RunStore
from harness.training.job import Job
from tests.executors.stubs import SPECIAL_SEED
from tests.helpers import make_spec

GIB = 2**30


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


def executor(stub: str, **options: Any) -> LocalExecutor:
    return LocalExecutor(target=f"tests.executors.stubs:{stub}", preload=("tests.executors.stubs",), **options)


def reasons(store: RunStore, job: Job) -> tuple[str, str]:
    failure = store.failure(job.spec)
    assert failure is not None
    return failure.kind, failure.reason


def test_a_run_that_waits_for_ever_is_stopped(store: RunStore) -> None:
    jobs = jobs_for(store, [1, SPECIAL_SEED])
    outcome = executor("hangs", workers=2, stall_limit=1.5).run(jobs, store)
    assert [spec.seed for spec in outcome.failed] == [SPECIAL_SEED]
    assert [spec.seed for spec in outcome.done] == [1]
    assert reasons(store, jobs[1]) == ("timeout", "no sign of life for 1.5 s: neither an epoch nor CPU time")


def test_a_run_that_computes_without_a_word_is_left_alone(store: RunStore) -> None:
    jobs = jobs_for(store, [SPECIAL_SEED])
    outcome = executor("computes", workers=1, stall_limit=1.2).run(jobs, store)
    assert [spec.seed for spec in outcome.done] == [SPECIAL_SEED]


def test_a_run_that_leaks_is_stopped_at_its_limit(store: RunStore) -> None:
    jobs = jobs_for(store, [1, SPECIAL_SEED])
    outcome = executor("leaks", workers=1, resources=lambda spec: Resources(memory_gib=0.5)).run(jobs, store)
    assert [spec.seed for spec in outcome.failed] == [SPECIAL_SEED]
    kind, reason = reasons(store, jobs[1])
    assert kind == "memory"
    assert reason.startswith("stopped at the memory limit of 0.5 GiB: it held ")


def test_a_time_limit_of_a_run_s_own_counts_before_the_suite_s(store: RunStore) -> None:
    jobs = jobs_for(store, [SPECIAL_SEED])
    slow = executor("hangs", workers=1, time_limit=600, resources=lambda spec: Resources(time_limit=0.5))
    slow.run(jobs, store)
    assert reasons(store, jobs[0]) == ("timeout", "stopped at the time limit of 0.5 s")


def test_out_of_memory_beside_others_is_tried_again_beside_fewer_and_alone_it_fails(store: RunStore) -> None:
    """The GPUs are made up: the stub raises what torch raises, and never touches a device."""
    events: list[Event] = []
    jobs = jobs_for(store, [1, 2, 3, SPECIAL_SEED])
    gpu = executor("out_of_memory", workers=4, devices=["cuda:0"], resources=lambda spec: Resources(gpus=0.25))
    outcome = gpu.run(jobs, store, observer=events.append)
    assert sorted(spec.seed for spec in outcome.done) == [1, 2, 3]
    assert [spec.seed for spec in outcome.failed] == [SPECIAL_SEED]
    kind, reason = reasons(store, jobs[3])
    assert kind == "memory"
    assert reason.startswith("out of memory on cuda:0: CUDA out of memory")
    backs = [event for event in events if isinstance(event, PutBack)]
    assert {event.spec.seed for event in backs} == {SPECIAL_SEED}
    assert "tried again beside" in backs[0].reason
    assert 1 <= len(backs) <= 2, "from three neighbours to one to none"
    assert list((store.root / ".tmp").iterdir()) == []
    assert store.leases.all() == []


def test_devices_are_shared_out_and_said(store: RunStore) -> None:
    """Made up as well: the record of the stub says which device it was handed."""
    events: list[Event] = []
    jobs = jobs_for(store, [1, 2])
    executor("waits_for_two", workers=4, devices=["cuda:0", "cuda:1"]).run(jobs, store, observer=events.append)
    assert {event.device for event in events if isinstance(event, Started)} == {"cuda:0", "cuda:1"}
    assert {record.data["device"] for record in store.records()} == {"cuda:0", "cuda:1"}


def test_when_the_machine_runs_out_the_largest_run_goes_and_comes_back(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shortage is made up; which run is the largest is measured."""
    short = iter([0])
    monkeypatch.setattr(local, "available_memory", lambda: next(short, 10 * GIB))
    events: list[Event] = []
    jobs = jobs_for(store, [1, SPECIAL_SEED])
    outcome = executor("special_is_large", workers=2).run(jobs, store, observer=events.append)
    assert sorted(spec.seed for spec in outcome.done) == [1, SPECIAL_SEED]
    (back,) = (event for event in events if isinstance(event, PutBack))
    assert back.spec.seed == SPECIAL_SEED
    assert "the machine's memory ran out" in back.reason


def test_a_run_over_its_own_limit_is_not_tried_again(store: RunStore) -> None:
    events: list[Event] = []
    jobs = jobs_for(store, [1, 2, SPECIAL_SEED])
    leaky = executor("leaks", workers=3, resources=lambda spec: Resources(memory_gib=0.5))
    outcome = leaky.run(jobs, store, observer=events.append)
    assert [spec.seed for spec in outcome.failed] == [SPECIAL_SEED]
    assert not [event for event in events if isinstance(event, PutBack)]


def test_what_other_programs_hold_is_waited_for(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small run, alone: the machine is full for the first two looks, of things that are not ours."""
    monkeypatch.setattr(local, "_REST_SECONDS", 0.1)
    short = iter([0, 0])
    monkeypatch.setattr(local, "available_memory", lambda: next(short, 10 * GIB))
    events: list[Event] = []
    outcome = executor("computes", workers=1).run(jobs_for(store, [SPECIAL_SEED]), store, observer=events.append)
    assert [spec.seed for spec in outcome.done] == [SPECIAL_SEED]
    backs = [event for event in events if isinstance(event, PutBack)]
    assert 1 <= len(backs) <= 2
    assert "other programs hold the most of it" in backs[0].reason


def test_what_other_programs_hold_for_ever_is_a_failure(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_REST_SECONDS", 0.01)
    monkeypatch.setattr(local, "_MOST_RESTS", 2)
    monkeypatch.setattr(local, "available_memory", lambda: 0)
    jobs = jobs_for(store, [SPECIAL_SEED])
    outcome = executor("hangs", workers=1).run(jobs, store)
    assert [spec.seed for spec in outcome.failed] == [SPECIAL_SEED]
    assert "the machine's memory ran out" in reasons(store, jobs[0])[1]


@pytest.mark.parametrize("counted", [True, False])
def test_a_kill_by_the_kernel_beside_others_is_tried_again(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, counted: bool
) -> None:
    """The kernel's count is made up, the SIGKILL is real."""
    kills = iter(range(1, 1000))
    monkeypatch.setattr(local, "kernel_kills", lambda: next(kills) if counted else 0)
    events: list[Event] = []
    jobs = jobs_for(store, [1, 2, SPECIAL_SEED])
    outcome = executor("killed", workers=3).run(jobs, store, observer=events.append)
    assert [spec.seed for spec in outcome.failed] == [SPECIAL_SEED]
    assert reasons(store, jobs[2])[0] == ("memory" if counted else "crash")
    assert bool([event for event in events if isinstance(event, PutBack)]) == counted


def test_the_reason_of_a_run_whose_process_stays_is_kept(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_FAREWELL_SECONDS", 0.5)
    jobs = jobs_for(store, [1, SPECIAL_SEED])
    outcome = executor("raises_and_stays", workers=1, stall_limit=600).run(jobs, store)
    assert [spec.seed for spec in outcome.failed] == [SPECIAL_SEED]
    assert reasons(store, jobs[1]) == ("error", "ValueError: the true reason")


def test_kills_by_the_kernel_are_counted(tmp_path: Path) -> None:
    assert kernel_kills() >= 0
    assert kernel_kills(tmp_path) == 0
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/vmstat").write_text("pgfault 7\noom_kill 3\n")
    assert kernel_kills(tmp_path) == 3


def test_workers_are_what_the_kernel_takes_first(store: RunStore) -> None:
    executor("good", workers=1).run(jobs_for(store, [1]), store)
    (record,) = store.records()
    assert record.data["oom_score_adj"] == "800"


def test_memory_of_this_machine_is_told_in_order() -> None:
    assert 0 < available_memory() <= total_memory()


def test_memory_of_a_container_counts_with_its_caches(tmp_path: Path) -> None:
    for name, text in {
        "proc/self/cgroup": "0::/job",
        "sys/fs/cgroup/memory.max": "max",
        "sys/fs/cgroup/job/memory.max": "1000000",
        "sys/fs/cgroup/job/memory.current": "900000",
        "sys/fs/cgroup/job/memory.stat": "anon 600000\ninactive_file 200000\nactive_file 100000\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert total_memory(tmp_path) == 1_000_000
    assert available_memory(tmp_path) == 400_000


def test_a_process_that_is_gone_holds_nothing() -> None:
    assert private_memory(2**22 + 1) == 0
    before = time.monotonic()
    assert private_memory(1) >= 0
    assert time.monotonic() - before < 5
