from __future__ import annotations

import errno
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import StoreError
from harness.spec import RunSpec
from harness.store import RunStore, owners, write_json
from tests.helpers import fake_record, fill_draft, make_spec


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    made = RunStore(tmp_path / "runs")
    made.prepare()
    return made


def drafts(store: RunStore) -> list[Path]:
    return list((store.root / ".tmp").iterdir())


def fail(store: RunStore, spec: RunSpec, reason: str = "no luck") -> None:
    draft = store.begin(spec)
    (draft / "log.txt").write_text("epoch 1\n")
    store.fail(spec, draft, kind="error", reason=reason, traceback="Traceback ...")


# --- records ----------------------------------------------------------------------------------------------------


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


# --- what people and later versions do to records -----------------------------------------------------------------


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


# --- bad places ---------------------------------------------------------------------------------------------------


def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    for root in (tmp_path / "runs", tmp_path / "runs" / "below"):
        with pytest.raises(StoreError) as caught:
            RunStore(root).prepare()
        assert caught.value.where == str(root)
        assert "a file stands" in caught.value.hint


def test_a_root_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "runs"
    root.mkdir(mode=0o500)
    if os.geteuid() == 0:  # the superuser may write anywhere, so the kernel's answer is put in its mouth
        monkeypatch.setattr(Path, "mkdir", failing(errno.EACCES))
    with pytest.raises(StoreError, match="Permission denied") as caught:
        RunStore(root).prepare()
    assert "--runs-dir" in caught.value.hint


def failing(number: int) -> Callable[..., None]:
    def fails(*args: Any, **kwargs: Any) -> None:
        raise OSError(number, os.strerror(number))

    return fails


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize(
    ("action", "call"),
    [(action, call) for action in ("publish", "fail") for call in ("fsync", "rename", "mkdir")]
    + [("fail", "write_text")],
)
def test_a_full_disk_publishes_nothing(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, action: str, call: str, number: int
) -> None:
    spec = make_spec()
    draft = store.begin(spec)
    fill_draft(draft, spec)
    act: Callable[..., Any] = store.publish
    if action == "fail":
        act = partial(store.fail, kind="error", reason="a reason")
    with monkeypatch.context() as patch:
        patch.setattr(os if call == "fsync" else Path, call, failing(number))
        with pytest.raises(StoreError) as caught:
            act(spec, draft)
    assert os.strerror(number) in caught.value.what
    assert "free some space" in caught.value.hint
    assert store.status(spec) == "missing"
    assert list(store.records()) == []
    if action == "publish":
        store.publish(spec, draft)  # once there is room again
        assert store.status(spec) == "done"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if mount is None or subprocess.run([mount, *options], check=False, capture_output=True).returncode:
        pytest.skip("a small file system can be mounted by the superuser only")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    store = RunStore(small_disk / "runs")
    store.prepare()
    fake_record(store, make_spec(seed=1))
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * 2**20)
    draft = store.begin(make_spec(seed=2))
    with pytest.raises(StoreError, match="No space") as caught:
        write_json(draft / "record.json", {"a": "b" * 10_000})
    assert "free some space" in caught.value.hint
    with pytest.raises(StoreError, match="No space"):
        store.prepare()
    filler.unlink()
    store.discard(draft)
    store.prepare()
    assert [record.spec.seed for record in store.records()] == [1]
    assert drafts(store) == []


# --- drafts and their owners --------------------------------------------------------------------------------------


def test_drafts_of_the_dead_are_swept_and_others_stay(store: RunStore) -> None:
    code = (
        "import sys; from pathlib import Path; from harness.store import RunStore; from tests.helpers import make_spec;"
        "sys.stdout.write(str(RunStore(Path(sys.argv[1])).begin(make_spec()))); sys.stdout.flush();"
        "sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    while not drafts(store):
        time.sleep(0.01)
    theirs = drafts(store)[0]
    (theirs / "predictions.parquet").write_text("half a fi")
    mine = store.begin(make_spec())
    host, rest = mine.name.split(".", 1)
    foreign = mine.with_name(f"{host}-other.{rest}")
    foreign.mkdir()
    unknown = mine.with_name("put-here-by-hand")
    unknown.mkdir()
    store.prepare()
    assert set(drafts(store)) == {theirs, mine, foreign, unknown}
    owner.kill()
    while psutil.Process(owner.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    store.prepare()  # while it is dead and nobody has asked for its exit code
    owner.communicate()
    assert set(drafts(store)) == {mine, foreign, unknown}


WEEK = 7 * 24 * 3600.0


@pytest.fixture
def without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "_PROC", Path("/no/such/folder"))


def renamed(draft: Path, **parts: str) -> Path:
    """Give a draft to another owner, by the parts of its name."""
    names = ("host", "boot", "namespace", "pid", "start", "random")
    name = ".".join((dict(zip(names, draft.name.split("."), strict=True)) | parts).values())
    return draft.rename(draft.with_name(name))


def age(folder: Path, seconds: float) -> None:
    for path in (*folder.rglob("*"), folder):
        written = path.stat().st_mtime - seconds
        os.utime(path, (written, written))


@pytest.mark.parametrize("step", [-WEEK, -60, 60, WEEK])
def test_a_step_of_the_clock_kills_no_draft(store: RunStore, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    draft = store.begin(make_spec())
    true, now = psutil.Process.create_time, time.time
    # What a step does: psutil adds the moment of the boot by the clock as it is now.
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: true(self) + step)
    monkeypatch.setattr(time, "time", lambda: now() + step)
    store.prepare()
    assert draft.exists()


def test_a_reused_process_id_does_not_keep_a_draft(store: RunStore) -> None:
    draft = store.begin(make_spec())
    ticks = int(draft.name.split(".")[4])
    draft = renamed(draft, start=str(ticks - 1))
    store.prepare()
    assert not draft.exists()


@pytest.mark.usefixtures("without_proc")
def test_without_proc_the_clock_must_do(store: RunStore) -> None:
    mine = store.begin(make_spec())
    assert mine.name.split(".")[1] == "unknown"
    started = int(mine.name.split(".")[4])
    nearly = renamed(store.begin(make_spec()), start=str(started - 5000))
    reused = renamed(store.begin(make_spec()), start=str(started - 60_000))
    dead = renamed(store.begin(make_spec()), pid=str(dead_pid()))
    store.prepare()
    assert set(drafts(store)) == {mine, nearly}
    assert not reused.exists()
    assert not dead.exists()


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_process_that_is_hidden_from_this_user_counts_as_alive(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = owners._state_and_ticks

    def only_mine(pid: int) -> tuple[str, int]:
        if pid != os.getpid():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return shown(pid)

    alive = renamed(store.begin(make_spec()), pid=str(os.getppid()))
    dead = renamed(store.begin(make_spec()), pid=str(dead_pid()))
    monkeypatch.setattr(owners, "_state_and_ticks", only_mine)
    store.prepare()
    assert alive.exists()
    assert not dead.exists()
    monkeypatch.setattr(os, "kill", failing(errno.EPERM))
    store.prepare()
    assert alive.exists()


@pytest.mark.parametrize(
    ("parts", "days", "swept"),
    [
        ({"boot": "0ld0b007"}, 6.9, False),
        ({"boot": "0ld0b007"}, 7.1, True),
        ({"boot": "0ld0b007", "namespace": "1"}, 7.1, True),
        ({"namespace": "1"}, 700.0, False),
        ({"host": "elsewhere"}, 700.0, False),
        ({"host": "elsewhere", "boot": "0ld0b007"}, 700.0, False),
        ({}, 700.0, False),
    ],
)
def test_what_is_left_of_other_boots_and_hosts(
    store: RunStore, parts: dict[str, str], days: float, swept: bool
) -> None:
    draft = store.begin(make_spec())
    (draft / "log.txt").write_text("epoch 1\n")
    draft = renamed(draft, **parts)
    age(draft, days * 24 * 3600)
    store.prepare()
    assert draft.exists() is not swept


def test_a_draft_of_another_boot_that_is_still_written_stays(store: RunStore) -> None:
    draft = renamed(store.begin(make_spec()), boot="0ld0b007")
    (draft / "log.txt").write_text("epoch 1\n")
    age(draft, 2 * WEEK)
    with (draft / "log.txt").open("a") as log:  # this does not move the folder's own time
        log.write("epoch 2\n")
    store.prepare()
    assert draft.exists()


@given(name=st.text(max_size=20))
def test_a_program_may_be_called_anything(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    proc = tmp_path_factory.getbasetemp() / "proc"
    (proc / "7").mkdir(parents=True, exist_ok=True)
    rest = " ".join(str(number) for number in range(4, 53))
    (proc / "7" / "stat").write_bytes(f"7 ({name}) S {rest}\n".encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owners, "_PROC", proc)
        assert owners._state_and_ticks(7) == ("S", 22)


@pytest.mark.parametrize("pid", ["0", "9999999", "99999999999999999999"])
def test_an_impossible_process_id_is_no_error(store: RunStore, pid: str) -> None:
    renamed(store.begin(make_spec()), pid=pid)
    store.prepare()


def test_a_swept_draft_cannot_be_published_in_part(store: RunStore) -> None:
    spec = make_spec()
    draft = store.begin(spec)
    fill_draft(draft, spec)
    store.discard(draft)
    store.discard(draft)
    with pytest.raises(StoreError):
        store.publish(spec, draft)
    assert store.status(spec) == "missing"


def test_drafts_are_private(store: RunStore) -> None:
    assert len({store.begin(make_spec()) for _ in range(20)}) == 20


# --- names and JSON -----------------------------------------------------------------------------------------------


@given(dataset=st.text(max_size=120), model=st.text(max_size=120))
def test_no_name_leaves_its_place(dataset: str, model: str) -> None:
    root = Path("root")
    spec = make_spec(dataset=dataset, model=model)
    parts = RunStore(root).folder(spec).relative_to(root).parts
    assert len(parts) == 3
    for part in parts:
        assert part.isascii()
        assert part == os.path.normpath(part)
        assert not part.startswith(".")
        assert len(part) < 120
    assert parts[2].endswith(spec.run_id)


@pytest.mark.parametrize("name", ["mosi-utterance", "Graph-MFN", "Self-MM", "a_b.c"])
def test_plain_names_stay_as_they_are(name: str) -> None:
    assert RunStore(Path("r")).folder(make_spec(model=name)).parent.name == name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def expected(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [expected(item) for item in value]
    if isinstance(value, dict):
        return {key: expected(item) for key, item in value.items()}
    return value


@given(value=JSON)
def test_json_comes_back_with_null_for_what_it_cannot_say(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "written.json"
    write_json(path, value)
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert json.loads(text) == expected(value)


def test_json_of_numpy_paths_and_lone_surrogates(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    value = {
        "b": np.float32("nan"),
        "a": np.int64(3),
        "c": np.array([[1.0, np.inf]]),
        "d": Path("x") / "y",
        "e": (1, True),
        "f": "caf\udce9 中",
        3: np.bool_(True),
    }
    write_json(path, value)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "3": True,
        "a": 3,
        "b": None,
        "c": [[1.0, None]],
        "d": "x/y",
        "e": [1, True],
        "f": "caf\udce9 中",
    }
    assert "中" in path.read_text(encoding="utf-8")
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})


def test_json_keys_are_sorted(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": {"d": 1, "c": 2}})
    assert (tmp_path / "a.json").read_text() == '{\n "a": {\n  "c": 2,\n  "d": 1\n },\n "b": 1\n}\n'


def test_relatives_are_records_of_the_same_place_with_other_contents(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.prepare()
    asked = make_spec()
    assert store.relatives(asked) == 0
    fake_record(store, make_spec(sources="older"))
    fake_record(store, make_spec(seed=asked.seed + 1))
    assert store.relatives(asked) == 1
    fake_record(store, asked)
    assert store.relatives(asked) == 1
