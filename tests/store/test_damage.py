"""What people and later versions do to records."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StoreError
from harness.store import RunStore
from tests.helpers import fake_record, make_spec


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: "\udcff",
        lambda text: text.replace('"run_id"', '"runid"'),
        lambda text: text.replace('"metrics"', '"metric"'),
        lambda text: text.replace('"spec": {', '"spec": 3, "was": {'),
        lambda text: text.replace('"files": {', '"files": [], "were": {'),
    ],
)
def test_a_damaged_record_is_named_and_left_out(store: RunStore, damage: Callable[[str], str]) -> None:
    good, bad = make_spec(seed=1), make_spec(seed=2)
    fake_record(store, good)
    path = fake_record(store, bad) / "record.json"
    path.write_bytes(damage(path.read_text()).encode("utf-8", "surrogateescape"))
    assert store.status(bad) == "done", "a damaged record must not be trained over in silence"
    with pytest.raises(StoreError) as caught:
        store.record(bad)
    assert caught.value.where == str(path)
    for _ in range(2):
        assert [record.spec for record in store.records()] == [good]
        assert [error.where for error in store.unreadable] == [str(path)]


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_unknown_fields_are_read_over(store: RunStore) -> None:
    spec = make_spec(variant="fg")
    path = fake_record(store, spec) / "record.json"

    def change(data: dict[str, Any]) -> None:
        data["energy"] = 3
        data["spec"]["optimiser"] = "new"
        data["spec"]["data"]["shapes"]["rate"] = 16
        data["spec"]["finegrained"]["extra"] = True

    edit(path, change)
    record = store.record(spec)
    assert record is not None
    assert record.spec == spec
    assert record.data["energy"] == 3


def test_a_wrong_value_in_a_spec_is_an_error(store: RunStore) -> None:
    spec = make_spec()
    path = fake_record(store, spec) / "record.json"
    edit(path, lambda data: data["spec"].update(seed=-1, unknown=1))
    record = store.record(spec)
    assert record is not None
    with pytest.raises(StoreError, match="seed"):
        _ = record.spec
    assert list(store.records()) == []
    assert len(store.unreadable) == 1


@pytest.mark.parametrize(("version", "hint"), [(2, "update the harness"), (0, "run again"), (None, "run again")])
def test_another_schema_version_is_refused_clearly(store: RunStore, version: int | None, hint: str) -> None:
    spec = make_spec()
    path = fake_record(store, spec) / "record.json"
    edit(path, lambda data: data.update(schema_version=version))
    with pytest.raises(StoreError, match=f"schema version {version}") as caught:
        store.record(spec)
    assert hint in caught.value.hint


PARTS = pytest.mark.parametrize(
    ("name", "read"),
    [
        ("predictions.parquet", "predictions"),
        ("history.jsonl", "history"),
        ("provenance.json", "provenance"),
        ("features.safetensors", "features"),
    ],
)


@PARTS
@pytest.mark.parametrize("hashed", [True, False])
def test_a_damaged_or_missing_part_is_named(store: RunStore, name: str, read: str, hashed: bool) -> None:
    spec = make_spec()
    path = fake_record(store, spec) / name
    if not hashed:
        edit(path.with_name("record.json"), lambda data: data.pop("files"))
    record = store.record(spec)
    assert record is not None
    path.write_bytes(b"{not what it should be")
    with pytest.raises(StoreError) as caught:
        getattr(record, read)()
    assert caught.value.where == str(path)
    path.unlink()
    with pytest.raises(StoreError):
        getattr(record, read)()


@PARTS
def test_a_part_that_was_exchanged_is_named(store: RunStore, name: str, read: str) -> None:
    spec = make_spec()
    path = fake_record(store, spec) / name
    other = fake_record(store, make_spec(seed=2)) / name
    if name == "history.jsonl":
        other.write_text('{"epoch": 1}\n')
    shutil.copy(other, path)  # a whole file, so that no reader can notice
    record = store.record(spec)
    assert record is not None
    with pytest.raises(StoreError, match="changed after the run") as caught:
        getattr(record, read)()
    assert caught.value.where == str(path)
    assert "run again" in caught.value.hint
    for other_read in {"predictions", "history", "provenance", "features"} - {read}:
        getattr(record, other_read)()


@PARTS
def test_a_part_without_a_stored_hash_is_read(store: RunStore, name: str, read: str) -> None:
    spec = make_spec()
    path = fake_record(store, spec) / name
    other = fake_record(store, make_spec(seed=2)) / name
    shutil.copy(other, path)
    edit(path.with_name("record.json"), lambda data: data["files"].pop(name))
    record = store.record(spec)
    assert record is not None
    getattr(record, read)()


def test_a_copied_record_does_not_answer_for_another_run(store: RunStore) -> None:
    asked, other = make_spec(seed=1), make_spec(seed=2)
    shutil.copytree(fake_record(store, other), store.folder(asked))
    with pytest.raises(StoreError, match=other.run_id) as caught:
        store.record(asked)
    assert caught.value.where == str(store.folder(asked) / "record.json")
    assert asked.run_id in caught.value.what
    assert "run again" in caught.value.hint
    assert store.status(asked) == "done", "it must not be trained over in silence"
    record = store.record(other)
    assert record is not None
    assert record.spec == other


def test_a_missing_log_is_empty(store: RunStore) -> None:
    spec = make_spec()
    (fake_record(store, spec) / "log.txt").unlink()
    record = store.record(spec)
    assert record is not None
    assert record.log() == ""
