"""Records and failures: written, found, never overwritten."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.errors import StoreError
from harness.store import RunStore
from tests.helpers import fake_record, fill_draft, make_spec
from tests.store.tools import drafts, fail


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_record_comes_back_as_it_was_written(store: RunStore, task: str) -> None:
    spec = make_spec(task=task, variant="fg", model="Graph-MFN")
    folder = fake_record(store, spec, metrics={"Acc-3": {"value": 0.61239, "mmsa": None}}, n=5)
    assert folder == store.folder(spec)
    assert folder.relative_to(store.root).as_posix() == f"synthetic/Graph-MFN/fg-{task}-s1111-{spec.run_id}"
    record = store.record(spec)
    assert record is not None
    assert record.spec == spec
    assert record.run_id == spec.run_id
    assert record.data["metrics"] == {"Acc-3": {"value": 0.61239, "mmsa": None}}
    frame = record.predictions()
    assert list(frame.columns[:3]) == ["id", "split", "label"]
    assert (frame["split"].value_counts() == 5).all()
    ids, arrays = record.features()
    assert ids == list(frame.loc[frame["split"] == "test", "id"])
    assert {name: array.shape[0] for name, array in arrays.items()} == dict.fromkeys(
        ("text", "audio", "vision", "fusion"), 5
    )
    assert arrays["fusion"].dtype == np.float32
    assert [line["epoch"] for line in record.history()] == [1, 2, 3]
    assert record.provenance()["seed"] == 1111
    assert record.log().startswith("epoch 1")


def test_status_goes_from_missing_to_failed_to_done(store: RunStore) -> None:
    spec = make_spec()
    assert (store.status(spec), store.record(spec), store.failure(spec)) == ("missing", None, None)
    fail(store, spec)
    assert store.status(spec) == "failed"
    failure = store.failure(spec)
    assert failure is not None
    assert (failure.kind, failure.reason, failure.traceback) == ("error", "no luck", "Traceback ...")
    assert (failure.spec, failure.run_id, failure.label) == (spec, spec.run_id, spec.label)
    assert failure.log() == "epoch 1\n"
    assert store.record(spec) is None
    assert list(store.records()) == []
    fail(store, spec, "again")
    failure = store.failure(spec)
    assert failure is not None
    assert failure.reason == "again"
    fake_record(store, spec)
    assert (store.status(spec), store.failure(spec)) == ("done", None)
    assert not failure.folder.exists()
    assert drafts(store) == []


def test_a_failure_never_replaces_a_record(store: RunStore) -> None:
    spec = make_spec()
    fake_record(store, spec, mark="first")
    fail(store, spec)
    record = store.record(spec)
    assert record is not None
    assert record.data["mark"] == "first"
    assert not list(store.root.rglob("failure.json"))
    assert drafts(store) == []


def test_a_half_written_record_is_no_part_of_a_failure(store: RunStore) -> None:
    spec = make_spec()
    draft = store.begin(spec)
    fill_draft(draft, spec)
    store.fail(spec, draft, kind="crash", reason="killed while publishing")
    assert store.status(spec) == "failed"
    assert not list(store.root.rglob("record.json"))


def test_the_first_record_wins(store: RunStore) -> None:
    spec = make_spec()
    fake_record(store, spec, mark="first")
    fake_record(store, spec, mark="second")
    record = store.record(spec)
    assert record is not None
    assert record.data["mark"] == "first"
    assert drafts(store) == []


def test_ten_threads_that_publish_the_same_run(store: RunStore) -> None:
    spec = make_spec()
    fail(store, spec)
    ready = [store.begin(spec) for _ in range(10)]
    for number, draft in enumerate(ready):
        fill_draft(draft, spec, mark=number)
    with ThreadPoolExecutor(10) as pool:
        places = list(pool.map(lambda draft: store.publish(spec, draft), ready))
    assert places == [store.folder(spec)] * 10
    assert len(list(store.records())) == 1
    assert store.status(spec) == "done"
    assert drafts(store) == []
    assert not list(store.root.rglob("failure.json"))


PUBLISH = """
import sys, time
from pathlib import Path
from harness.store import RunStore
from tests.helpers import fill_draft, make_spec
store, spec = RunStore(Path(sys.argv[1])), make_spec()
draft = store.begin(spec)
fill_draft(draft, spec, mark=int(sys.argv[2]))
if sys.argv[2] == "0":
    store.fail(spec, store.begin(spec), kind="error", reason="a failure in the middle of it")
sys.stdout.write("ready\\n"); sys.stdout.flush()
sys.stdin.readline()
store.publish(spec, draft)
"""


def test_ten_processes_that_publish_the_same_run(store: RunStore) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PUBLISH, str(store.root), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OPENBLAS_NUM_THREADS": "1"},
        )
        for number in range(10)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=30)
    assert [process.returncode for process in processes] == [0] * 10
    records = list(store.records())
    assert len(records) == 1
    assert len(records[0].predictions()) == 48
    assert drafts(store) == []
    assert store.failure(make_spec()) is None


def test_records_are_found_wherever_they_lie_but_not_in_drafts(store: RunStore) -> None:
    specs = [make_spec(seed=seed) for seed in (3, 1, 2)]
    for spec in specs:
        fake_record(store, spec)
    unfinished = store.begin(make_spec(seed=4))
    fill_draft(unfinished, make_spec(seed=4))
    moved = store.root / "baselines" / "mine" / "anything"
    moved.parent.mkdir(parents=True)
    store.folder(specs[0]).rename(moved)
    assert [record.spec.seed for record in store.records()] == [3, 1, 2]
    assert list(RunStore(store.root / "nothing here").records()) == []


def test_a_draft_without_a_record_is_not_published(store: RunStore) -> None:
    spec = make_spec()
    draft = store.begin(spec)
    with pytest.raises(StoreError, match=r"no record\.json"):
        store.publish(spec, draft)
    assert store.status(spec) == "missing"


def test_a_folder_that_lost_its_record_is_reported_not_overwritten(store: RunStore) -> None:
    spec = make_spec()
    late = store.begin(spec)
    fill_draft(late, spec)
    folder = fake_record(store, spec)
    (folder / "record.json").unlink()
    with pytest.raises(StoreError, match=r"no record\.json") as caught:
        store.begin(spec)
    assert caught.value.where == str(folder)
    with pytest.raises(StoreError):
        store.publish(spec, late)
    shutil.rmtree(folder)
    assert store.publish(spec, late) == folder


def test_relatives_are_records_of_the_same_place_with_other_contents(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.prepare()
    asked = make_spec()
    assert store.relatives([asked]) == [0]
    fake_record(store, make_spec(sources="older"))
    other = make_spec(seed=asked.seed + 1)
    fake_record(store, other)
    assert store.relatives([asked, other]) == [1, 0]
    fake_record(store, asked)
    assert store.relatives([asked, other]) == [1, 0]


def test_predictions_are_known_by_the_hash_of_their_file(store: RunStore) -> None:
    folder = fake_record(store, make_spec())
    path = folder / "predictions.parquet"
    record = store.record(make_spec())
    assert record is not None
    assert record.predictions_sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(StoreError, match="changed after the run"):
        record.predictions_sha256()
    del record.data["files"]["predictions.parquet"]
    assert record.predictions_sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
    path.unlink()
    with pytest.raises(StoreError) as caught:
        record.predictions_sha256()
    assert caught.value.where == str(path)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_predictions_read_as_pandas_reads_them(store: RunStore, task: str) -> None:
    spec = make_spec(task=task)
    path = fake_record(store, spec) / "predictions.parquet"
    record = store.record(spec)
    assert record is not None
    pd.testing.assert_frame_equal(record.predictions(), pd.read_parquet(path))
