"""Comparing records, and drawing which: with records that nobody trained."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.store import Record, RunStore
from harness.verification import compare_records, sample_runs
from tests.helpers import fake_record, make_spec

Change = Callable[[pd.DataFrame], pd.DataFrame]
MODELS = ("LF-DNN", "LMF", "TFN")
RUNS = [make_spec(model=model, seed=seed) for model in MODELS for seed in range(4)]


def made(root: Path, name: str, change: Change | None = None, history: list[dict[str, Any]] | None = None) -> Record:
    """Make a record of one and the same spec, with something changed in its files and their hashes set right."""
    store, spec = RunStore(root / name), make_spec()
    store.prepare()
    folder = fake_record(store, spec)
    if change is not None:
        path = folder / "predictions.parquet"
        change(pd.read_parquet(path)).to_parquet(path, index=False)
    if history is not None:
        (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in history))
    data = json.loads((folder / "record.json").read_text())
    data["files"] = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in data["files"]}
    (folder / "record.json").write_text(json.dumps(data))
    record = store.record(spec)
    assert record is not None
    return record


def losses(*values: float) -> list[dict[str, Any]]:
    return [{"epoch": i, "train_loss": value, "valid_loss": 1.0, "seconds": i} for i, value in enumerate(values, 1)]


def nudged(by: float) -> Change:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        moved = frame["pred"].to_numpy().copy()
        moved[3] += by
        return frame.assign(pred=moved)

    return change


def test_the_same_bits_in_another_order_and_time_are_equal(tmp_path: Path) -> None:
    one = made(tmp_path, "a", history=losses(3.0, 2.0))
    later = [{**line, "seconds": 99.0} for line in losses(3.0, 2.0)]
    other = made(tmp_path, "b", lambda frame: frame.sample(frac=1.0, random_state=1), later)
    check = compare_records(one, other, 1e-5)
    assert (check.verdict, check.difference, check.epoch, check.environment) == ("bit-equal", 0.0, None, ())


@pytest.mark.parametrize(("by", "verdict"), [(1e-6, "within tolerance"), (0.5, "different")])
def test_how_far_they_are_apart_is_said(tmp_path: Path, by: float, verdict: str) -> None:
    check = compare_records(made(tmp_path, "a"), made(tmp_path, "b", nudged(by)), 1e-5)
    assert check.verdict == verdict
    assert check.difference == pytest.approx(by, rel=0.05)


@pytest.mark.parametrize(
    ("again", "epoch"), [((3.0, 2.0, 1.5), 3), ((3.0, 2.1, 1.0), 2), ((3.0, 2.0), 3), ((3.0, 2.0, 1.0, 0.5), 4)]
)
def test_the_first_epoch_that_differs_is_said(tmp_path: Path, again: tuple[float, ...], epoch: int) -> None:
    one, other = made(tmp_path, "a", history=losses(3.0, 2.0, 1.0)), made(tmp_path, "b", history=losses(*again))
    check = compare_records(one, other, 1e-5)
    assert (check.verdict, check.epoch) == ("within tolerance", epoch), "equal predictions, but not equal training"


def test_nan_is_no_agreement(tmp_path: Path) -> None:
    check = compare_records(made(tmp_path, "a"), made(tmp_path, "b", nudged(math.nan)), 1e-5)
    assert check.verdict == "different"
    assert math.isnan(check.difference)


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.iloc[1:],
        lambda frame: frame.assign(id=frame["id"].str.replace("test", "toast")),
        lambda frame: frame.rename(columns={"pred": "logit_0"}),
    ],
)
def test_other_utterances_or_columns_are_a_difference_with_a_reason(tmp_path: Path, change: Change) -> None:
    check = compare_records(made(tmp_path, "a"), made(tmp_path, "b", change), 1e-5)
    assert check.verdict == "different"
    assert check.reason.startswith("they predict different")


def test_what_differs_between_environments_is_named(tmp_path: Path) -> None:
    one, other = made(tmp_path, "a"), made(tmp_path, "b")
    for record, torch in ((one, "2.13.0"), (other, "2.12.0")):
        environment = {"packages": {"torch": torch, "numpy": "2"}, "processor": "p"}
        path = record.folder / "provenance.json"
        path.write_text(json.dumps({"environment": environment}))
        record.data["files"]["provenance.json"] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert compare_records(one, other, 1e-5).environment == ("torch",)


def test_a_small_sample_holds_every_model_before_it_holds_one_twice() -> None:
    drawn = sample_runs(RUNS, 4, seed=7)
    assert {run.model for run in drawn[:3]} == set(MODELS)
    assert drawn == sample_runs(list(reversed(RUNS)), 4, seed=7)
    assert len({tuple(run.run_id for run in sample_runs(RUNS, 4, seed)) for seed in range(20)}) > 10


@given(count=st.none() | st.integers(1, 20), seed=st.integers(0, 1000))
def test_a_sample_is_a_balanced_part_without_repeats(count: int | None, seed: int) -> None:
    drawn = sample_runs(RUNS, count, seed)
    assert len(drawn) == min(count or len(RUNS), len(RUNS))
    assert len({run.run_id for run in drawn}) == len(drawn)
    counts = Counter(run.model for run in drawn)
    assert max(counts.values()) - min(counts[model] for model in MODELS) <= 1
