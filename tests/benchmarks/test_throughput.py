"""The throughput benchmark: that it compares like with like and adds up right. Its times are never tested."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.throughput.children import ChildError, share, started
from benchmarks.throughput.memory import Peak
from benchmarks.throughput.report import Report
from benchmarks.throughput.runs import MismatchError, Pass, Run, check_equal
from benchmarks.throughput.settings import FULL, QUICK, Data, Group
from benchmarks.throughput.summary import Repetition, Spread, summarise
from benchmarks.throughput.table import as_table
from benchmarks.throughput.timing import Timing
from harness.spec import Suite

ROOT = Path(__file__).resolve().parents[2]
RUN = Run("LF-DNN seed 1", 3, seconds=10.0, training=6.0, sleep=1.0, predictions={"a": 0.25, "b": -0.5})
DATA = Data("synthetic-test", {"train": 1}, {"text": 1})
GROUP = Group(DATA, ("LF-DNN", "MFN"), (1, 2), early_stop=None, repetitions=3)


def nap(seconds: float) -> tuple[int, float]:
    time.sleep(seconds)
    return os.getpid(), seconds


def fail(word: str) -> None:
    raise ValueError(word)


def repetition(mmsa: float, cold: float, warm: float) -> Repetition:
    """Two models, two runs each; the wall times are for one model."""
    passes = {
        model: {
            side: Pass(seconds, (dataclasses.replace(RUN, sleep=1.0 if side == "mmsa" else 0.0),) * 2)
            for side, seconds in (("mmsa", mmsa), ("cold", cold), ("warm", warm))
        }
        for model in GROUP.models
    }
    return Repetition(start_mmsa=2.0, start_harness=1.0, passes=passes)


class TestEquality:
    def test_equal_runs_pass(self) -> None:
        check_equal([RUN], [dataclasses.replace(RUN, seconds=1.0, predictions={"b": -0.5, "a": 0.25})])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"epochs": 4}, "3 epochs in the harness, 4 in MMSA"),
            ({"predictions": {"a": 0.25}}, "different samples"),
            ({"predictions": {"a": 0.25, "b": -0.50000006}}, "1 of 2 test predictions differ, the first that of b"),
        ],
    )
    def test_any_difference_stops_the_benchmark(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(MismatchError, match=message):
            check_equal([RUN], [dataclasses.replace(RUN, **change)])

    def test_nothing_compared_is_not_equal(self) -> None:
        empty = dataclasses.replace(RUN, predictions={})
        with pytest.raises(MismatchError, match="different samples"):
            check_equal([empty], [empty])

    def test_a_missing_run_is_not_equal(self) -> None:
        with pytest.raises(MismatchError, match="2 runs of the harness, 1 of MMSA"):
            check_equal([RUN, RUN], [RUN])


class TestFigures:
    def test_share_of_time_that_is_not_training(self) -> None:
        assert Pass(10.0, (RUN, RUN)).share_not_training(2) == pytest.approx(0.4)
        assert Pass(10.0, (RUN,)).share_not_training(2) == pytest.approx(0.4), "an idle second process is no loss"

    def test_ratios_are_taken_within_a_repetition(self) -> None:
        done = [repetition(10, 8, 4), repetition(20, 8, 6), repetition(40, 28, 20)]
        times = summarise(GROUP, "MFN", 2, done)
        assert times.mmsa.seconds == Spread(22.0, 12.0, 42.0)
        assert times.mmsa.started_seconds == Spread(20.0, 10.0, 40.0)
        assert times.warm_ratio.started == Spread(0.4, 0.3, 0.5)
        assert times.warm_ratio.started_without_sleep.low == pytest.approx(6 / 19), "two runs side by side sleep 1 s"
        assert times.warm_ratio.ratio.high == pytest.approx(21 / 42)
        assert times.epochs == (3, 3)
        assert times.mmsa.per_epoch == 2.0
        assert times.mmsa.besides == 4.0

    def test_a_model_left_out_of_a_repetition(self) -> None:
        short = dataclasses.replace(repetition(20, 8, 8), passes={"MFN": repetition(20, 8, 8).passes["MFN"]})
        done = [repetition(10, 8, 4), short]
        assert summarise(GROUP, "LF-DNN", 2, done).repetitions == 1
        assert summarise(GROUP, "MFN", 2, done).mmsa.started_seconds == Spread(15, 10, 20)

    def test_seconds_of_a_longer_run(self) -> None:
        assert summarise(GROUP, "MFN", 2, [repetition(10, 8, 4)]).mmsa.seconds_at(20) == 44

    def test_the_table_shows_all_parts(self) -> None:
        done = [repetition(10, 8, 4)]
        one = Spread.of([1.0])
        models = tuple(summarise(GROUP, model, 2, done) for model in GROUP.models)
        timing = Timing(2, one, one, models)
        memory = (Peak("harness", 4, 3 * 2**20, 2 * 2**20, 2**20, 7), Peak("MMSA", 4, skipped="too large"))
        text = as_table(
            Report(
                quick=False,
                date="",
                cores=2,
                torch="",
                mmsa="",
                file_bytes={},
                timing=timing,
                memory=memory,
                overhead=None,
            )
        )
        for found in ("0.42", "met", "(too large)"):
            assert found in text
        assert all(model in text for model in GROUP.models)


class TestChildren:
    def test_work_is_shared_and_kept_in_order(self) -> None:
        with started(2, ("json",)) as children:
            results = share(children, nap, [(3.0,), (0.0,), (0.01,), (0.02,)])
        assert [seconds for _, seconds in results] == [3.0, 0.0, 0.01, 0.02]
        pids = [pid for pid, _ in results]
        assert pids[0] != pids[1] == pids[2] == pids[3], "the free one takes what is next"

    def test_a_failure_shows_its_traceback(self) -> None:
        with pytest.raises(ChildError, match="ValueError: exactly this"), started(1, ()) as children:
            children[0].call(fail, "exactly this")

    def test_a_death_is_told(self) -> None:
        with pytest.raises(ChildError, match="exit code 7"), started(1, ()) as children:
            children[0].call(os._exit, 7)


@pytest.mark.parametrize("settings", [FULL, QUICK])
def test_suites_are_suites(settings: Any) -> None:
    for group in settings.groups:
        suite = Suite.model_validate(group.suite())
        assert suite.threads == 1
        assert suite.variants == ("original",)


def test_quick_runs_whole(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.throughput", "--quick", "--format", "json", "--work", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["quick"] is True

    # Equal predictions and epochs are demanded by the benchmark itself: it would have ended with 1.
    models = {times["model"]: times for times in report["timing"]["models"]}
    assert set(models) == {"LF-DNN", "LMF", "MFN", "MulT"}
    for times in models.values():
        assert times["runs"] == 1
        assert min(times["epochs"]) >= 2, "one epoch to be the best, one to stop at"
        for side in ("mmsa", "cold", "warm"):
            assert 0 < times[side]["started_seconds"]["median"] < times[side]["seconds"]["median"]
            assert 0 < times[side]["not_training"]["median"] < 1
        assert times["mmsa"]["besides"] > 1, "MMSA's sleep counts"

    assert [(peak["side"], peak["workers"]) for peak in report["memory"]] == [
        ("MMSA", 1),
        ("harness", 1),
        ("harness, empty cache", 1),
    ]
    for peak in report["memory"]:
        assert peak["pss"] >= peak["uss"] > 0
        assert peak["samples"] > 0

    assert report["overhead"]["runs"] == 1
    assert report["overhead"]["bare"]["median"] > 0
    assert report["overhead"]["ratio"]["median"] > 0
    assert list(tmp_path.iterdir()) == [], "it cleans up"
