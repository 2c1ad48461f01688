"""Records to frames: metrics by recomputation, aliases, predictions in one order, broken records."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness import results as results_module
from harness.memo import Memo
from harness.metrics import compute
from harness.plan import Plan
from harness.results import Results, collect, summarise
from harness.store import RunStore
from tests.helpers import fake_record
from tests.reports import fakes


def test_values_are_recomputed_from_predictions() -> None:
    plan = fakes.plan(models=("LMF",))
    store = fakes.filled(plan, fakes.typical_error)
    results = collect(plan, store.as_store)
    run = plan.runs[3]
    frame = store.records[run.run_id].frame
    expected = compute("regression", "mosei", frame["label"].to_numpy(), frame["pred"].to_numpy())
    rows = results.values[results.values["run_id"] == run.run_id].set_index("metric")
    assert rows["value"].to_dict() == pytest.approx({name: got.value for name, got in expected.items()})
    assert rows.loc["MAE", "mmsa"] == expected["MAE"].mmsa
    assert set(results.runs["status"]) == {"done"}
    assert set(results.environments) == {"aaaa1111"}


def test_mean_and_sd_are_over_seeds() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original",))
    values = collect(plan, fakes.filled(plan).as_store).values
    mae = values.loc[values["metric"] == "MAE", "value"].to_numpy()
    row = summarise(values).set_index("metric").loc["MAE"]
    assert row["n"] == len(fakes.SEEDS)
    assert row["mean"] == pytest.approx(np.mean(mae))
    assert row["sd"] == pytest.approx(np.std(mae, ddof=1))


def test_an_alias_is_shown_and_marked() -> None:
    plan = fakes.plan([fakes.dataset("mosi-utterance", synthetic=False, vision_groups=False)])
    results = collect(plan, fakes.filled(plan, fakes.typical_error).as_store)
    assert set(results.values["variant"]) == {"original", "fg", "a"}
    assert set(results.skipped["variant"]) == {"v"}
    assert len(results.runs) == 2 * len(fakes.MODELS) * len(fakes.SEEDS)
    values = results.values
    assert set(values.loc[values["duplicate"], "variant"]) == {"a"}
    assert set(values.loc[values["alias_of"] == "fg", "variant"]) == {"a"}
    fg, a = (values[values["variant"] == variant] for variant in ("fg", "a"))
    assert a[["run_id", "metric", "value"]].to_numpy().tolist() == fg[["run_id", "metric", "value"]].to_numpy().tolist()


def test_undefined_metrics_are_left_out_of_means() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original",))
    store = fakes.filled(plan)
    store.records[plan.runs[0].run_id].frame["pred"] = 0.3
    rows = summarise(collect(plan, store.as_store).values).to_dict("records")
    (row,) = (row for row in rows if row["metric"] == "Corr")
    assert (row["n"], row["undefined"]) == (4, 1)
    assert not math.isnan(row["mean"])


def test_nothing_run_gives_empty_frames() -> None:
    plan = fakes.plan()
    results = collect(plan, fakes.FakeStore().as_store)
    assert results.values.empty
    assert set(results.runs["status"]) == {"missing"}
    assert summarise(results.values).empty
    assert not results.predictions
    assert not results.learned
    assert not results.histories


def test_a_damaged_record_is_a_failed_run_with_a_reason(tmp_path: Path) -> None:
    plan = fakes.plan(models=("LMF",), variants=("original",), seeds=(1, 2))
    store = RunStore(tmp_path)
    store.prepare()
    for run in plan.runs:
        fake_record(store, run)
    (store.folder(plan.runs[0]) / "predictions.parquet").write_bytes(b"no parquet")
    results = collect(plan, store)
    told = {row["seed"]: row for row in results.runs.to_dict("records")}
    assert told[1]["status"] == "failed"
    assert "delete its folder" in told[1]["reason"]
    assert told[2]["status"] == "done"
    assert set(results.values["seed"]) == {2}


def test_failures_come_with_their_reason() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original",))
    store = fakes.filled(plan)
    run = plan.runs[1]
    store.records.pop(run.run_id)
    store.fail(run, "ran out of patience", kind="timeout")
    told = collect(plan, store.as_store).runs.set_index("run_id").loc[run.run_id]
    assert (told["status"], told["kind"], told["reason"]) == ("failed", "timeout", "ran out of patience")


def test_predictions_go_by_the_id_of_the_utterance() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original", "fg"))
    store = fakes.filled(plan)
    run = plan.runs[0]
    before = collect(plan, store.as_store).predictions[run.run_id]
    frame = store.records[run.run_id].frame
    other = frame.head(7).assign(split="valid", id=[f"other{i}" for i in range(7)])
    store.records[run.run_id].frame = pd.concat([frame.sample(frac=1, random_state=1), other])
    after = collect(plan, store.as_store).predictions[run.run_id]
    assert after.ids.tolist() == sorted(frame["id"]) == before.ids.tolist()
    stored = frame.set_index("id")
    for read in (before, after):
        assert read.label.tolist() == stored.loc[read.ids.tolist(), "label"].tolist()
        assert read.pred.tolist() == stored.loc[read.ids.tolist(), "pred"].tolist()
    assert (after.task, after.convention) == ("regression", "mosei")


def test_predictions_of_classes_are_three_logits() -> None:
    plan = fakes.plan(tasks=("classification",), models=("LMF",), variants=("original",))
    store = fakes.filled(plan)
    run = plan.runs[0]
    read = collect(plan, store.as_store).predictions[run.run_id]
    stored = store.records[run.run_id].frame.set_index("id").loc[read.ids.tolist()]
    assert read.pred.tolist() == stored[["logit_0", "logit_1", "logit_2"]].to_numpy().tolist()
    assert set(read.label.tolist()) <= {0, 1, 2}


def test_predictions_are_there_for_runs_that_are_done_and_read_when_asked_for() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original",))
    store = fakes.filled(plan)
    store.records.pop(plan.runs[1].run_id)
    results = collect(plan, store.as_store)
    assert set(results.predictions) == {run.run_id for i, run in enumerate(plan.runs) if i != 1}
    assert len(results.predictions) == len(fakes.SEEDS) - 1
    with pytest.raises(KeyError):
        results.predictions[plan.runs[1].run_id]
    store.records.pop(plan.runs[0].run_id)  # gone since
    with pytest.raises(KeyError):
        results.predictions[plan.runs[0].run_id]


def test_features_follow_the_predictions_whatever_order_they_are_stored_in(tmp_path: Path) -> None:
    plan = fakes.plan(models=("LMF",), variants=("original",), seeds=(1,))
    store = RunStore(tmp_path)
    store.prepare()
    (run,) = plan.runs
    fake_record(store, run)
    results = collect(plan, store)
    record = store.record(run)
    assert record is not None
    ids, arrays = record.features()
    learned, tested = results.learned[run.run_id], results.predictions[run.run_id]
    assert learned.ids.tolist() == tested.ids.tolist() == sorted(ids)
    assert learned.label.tolist() == tested.label.tolist()
    for name, array in arrays.items():
        place = [list(ids).index(sample) for sample in learned.ids]
        assert np.array_equal(learned.arrays[name], array[place])
    assert list(results.histories[run.run_id]["epoch"]) == [1, 2, 3]


@pytest.fixture
def real(tmp_path: Path) -> tuple[Plan, RunStore]:
    """A plan of four runs in both tasks, with whole records on the disk."""
    plan = fakes.plan(tasks=("regression", "classification"), models=("LMF",), variants=("original",), seeds=(1, 2))
    store = RunStore(tmp_path / "runs")
    store.prepare()
    for run in plan.runs:
        fake_record(store, run)
    return plan, store


def same(found: Results, wanted: Results) -> None:
    pd.testing.assert_frame_equal(found.values, wanted.values, check_exact=True)
    pd.testing.assert_frame_equal(found.runs, wanted.runs, check_exact=True)
    assert found.environments == wanted.environments


def refuse(*_args: object) -> None:
    raise AssertionError("computed again")


def test_a_memo_changes_no_bit(real: tuple[Plan, RunStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = collect(*real)
    memo = Memo(tmp_path / "memo")
    same(collect(*real, memo), plain)
    memo.save()
    monkeypatch.setattr(results_module, "compute", refuse)
    known = collect(*real, Memo(tmp_path / "memo"))
    same(known, plain)
    plan, store = real
    files = {run.run_id: store.folder(run) / "predictions.parquet" for run in plan.runs}
    assert known.hashes == {run_id: hashlib.sha256(path.read_bytes()).hexdigest() for run_id, path in files.items()}
    assert set(known.predictions) == set(files)


def test_a_memo_never_hides_a_changed_file(real: tuple[Plan, RunStore], tmp_path: Path) -> None:
    plan, store = real
    memo = Memo(tmp_path / "memo")
    before = collect(plan, store, memo)
    path = store.folder(plan.runs[0]) / "predictions.parquet"
    stat, frame = path.stat(), pd.read_parquet(path)
    frame["pred"] += 0.25
    frame.to_parquet(path, index=False)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    changed = collect(plan, store, memo)
    told = changed.runs.set_index("run_id").loc[plan.runs[0].run_id]
    assert told["status"] == "failed"
    assert "was changed after the run" in told["reason"]
    assert set(changed.hashes) == set(changed.predictions) == {run.run_id for run in plan.runs[1:]}
    # Where no hash is stored, nobody can say that the file was changed: it counts as it is.
    record = path.parent / "record.json"
    data = json.loads(record.read_text())
    del data["files"]["predictions.parquet"]
    record.write_text(json.dumps(data))
    again = collect(plan, store, memo)
    same(again, collect(plan, store))
    of_run = again.values["run_id"] == plan.runs[0].run_id
    assert (again.values[of_run]["value"] != before.values[of_run]["value"]).any()


def test_a_memo_never_hides_a_missing_file(real: tuple[Plan, RunStore], tmp_path: Path) -> None:
    plan, store = real
    memo = Memo(tmp_path / "memo")
    collect(plan, store, memo)
    (store.folder(plan.runs[0]) / "predictions.parquet").unlink()
    (store.folder(plan.runs[1]) / "provenance.json").write_text("{}")
    same(collect(plan, store, memo), collect(plan, store))
    assert (collect(plan, store, memo).runs["status"] == "failed").sum() == 2


def test_other_metric_code_finds_nothing_in_a_memo(
    real: tuple[Plan, RunStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memo = Memo(tmp_path / "memo")
    collect(*real, memo)
    monkeypatch.setattr(results_module, "_scored_by", lambda: ("other code",))
    monkeypatch.setattr(results_module, "compute", refuse)
    with pytest.raises(AssertionError, match="computed again"):
        collect(*real, memo)
