from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.schedule import Estimates, longest_first, makespan
from harness.spec import RunSpec
from harness.store import RunStore
from tests.helpers import fake_record, make_spec


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    made = RunStore(tmp_path)
    made.prepare()
    return made


def made(store: RunStore, seconds: float | None, *, age: float = 0.0, **overrides: Any) -> RunSpec:
    spec = make_spec(**overrides)
    folder = fake_record(store, spec, wall_seconds=seconds)
    os.utime(folder, (1e9 - age, 1e9 - age))
    return spec


def test_the_newest_record_of_the_same_kind_is_believed(store: RunStore) -> None:
    made(store, 50.0, seed=1, age=100.0)
    made(store, 10.0, seed=2, age=10.0, sources="older")
    made(store, 99.0, seed=3, age=50.0)
    made(store, 7.0, seed=2, variant="fg")
    estimates = Estimates(store)
    assert estimates.seconds(make_spec(seed=9)) == 10.0
    assert estimates.seconds(make_spec(seed=9, variant="fg")) == 7.0


def test_another_variant_is_better_than_nothing_and_another_model_is_not(store: RunStore) -> None:
    made(store, 12.0, seed=1)
    estimates = Estimates(store)
    assert estimates.seconds(make_spec(variant="a")) == 12.0
    assert estimates.seconds(make_spec(model="TFN")) is None
    assert estimates.seconds(make_spec(dataset="another")) is None


def test_a_record_without_a_usable_time_gives_no_guess(store: RunStore) -> None:
    made(store, None, seed=1)
    assert Estimates(store).seconds(make_spec(seed=9)) is None


def test_sizes_add_up_over_runs(store: RunStore) -> None:
    spec = made(store, 1.0, seed=1)
    record = store.record(spec)
    assert record is not None
    size = sum(path.stat().st_size for path in record.folder.iterdir())
    runs = [make_spec(seed=seed) for seed in (2, 3, 4)]
    assert Estimates(store).disk([*runs, make_spec(model="TFN")]) == 3 * size


def test_the_longest_come_first_and_the_unknown_before_them(store: RunStore) -> None:
    made(store, 5.0, seed=1, model="LMF")
    made(store, 50.0, seed=1, model="TFN")
    runs = [make_spec(seed=2, model=model) for model in ("LMF", "TFN", "MISA")]
    assert [run.model for run in longest_first(runs, Estimates(store))] == ["MISA", "TFN", "LMF"]
    same = [make_spec(seed=seed, model="LMF") for seed in (5, 2, 9)]
    assert longest_first(same, Estimates(store)) == same


def test_a_damaged_record_is_no_guess_and_no_error(store: RunStore) -> None:
    spec = made(store, 5.0, seed=1)
    (store.folder(spec) / "record.json").write_text("{")
    assert Estimates(store).seconds(make_spec(seed=2)) is None


def test_grahams_example_of_list_scheduling() -> None:
    """Graham 1969, Bounds on multiprocessing timing anomalies: longest first ends at 11, the best order at 9."""
    assert makespan([5, 5, 4, 4, 3, 3, 3], 3) == 11
    assert makespan([5, 4, 3, 3, 5, 4, 3], 1) == 27
    assert makespan([], 4) == 0.0


@given(seconds=st.lists(st.floats(0.1, 100.0), min_size=1, max_size=30), workers=st.integers(1, 6))
def test_the_end_is_between_the_bounds_of_list_scheduling(seconds: list[float], workers: int) -> None:
    ends = makespan(sorted(seconds, reverse=True), workers)
    bound = max(sum(seconds) / workers, *seconds)
    assert bound - 1e-9 <= ends
    assert ends <= sum(seconds) / workers + max(seconds)
