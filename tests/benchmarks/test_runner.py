"""The benchmark of the runner: that it runs what it says, and reads times as the schedule does."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.runner.__main__ import as_table, main
from benchmarks.runner.many import measure_many
from benchmarks.runner.order import order_gain, records_of
from benchmarks.runner.starts import Starts
from harness.schedule import makespan
from harness.store import RunStore
from tests.helpers import fake_record, make_spec


def test_trivial_runs_are_records_at_the_end(tmp_path: Path) -> None:
    said: list[str] = []
    seen = measure_many(16, tmp_path, said.append)
    store = RunStore(tmp_path / "16")
    assert sum(1 for _ in store.records()) == seen.runs == 16
    assert store.unreadable == []
    assert seen.rate == pytest.approx(16 / (seen.plan + seen.run + seen.listed))
    assert min(seen.plan, seen.run, seen.listed, seen.again) > 0


def test_the_gain_of_the_order_is_that_of_the_recorded_times(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.prepare()
    times = {("LF-DNN", 1): 1.0, ("LF-DNN", 2): 1.0, ("LF-DNN", 3): 1.0, ("TFN", 1): 3.0}
    for (model, seed), seconds in times.items():
        fake_record(store, make_spec(model=model, seed=seed), wall_seconds=seconds)
    runs, seconds_of, read = records_of(tmp_path)
    assert [seconds_of[run.run_id] for run in runs] == [1.0, 1.0, 1.0, 3.0]
    assert makespan([1.0, 1.0, 1.0, 3.0], 2) == 4.0
    assert order_gain(runs, seconds_of, read, 2) == pytest.approx(3.0 / 4.0)


def test_the_command_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--parts", "many", "order", "--records", str(tmp_path), "--work", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| what | figure | ratio | aim |"
    assert any("40 trivial runs" in line for line in lines)
    assert "no records there" in lines[-1]
    assert as_table([("a", "b", "c", "d")]).splitlines()[-1] == "| a | b | c | d |"
    assert Starts(1.0, 0.1, 5.0).next < 1.0
