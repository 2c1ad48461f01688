"""Drafts and their owners."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import StoreError
from harness.store import RunStore, owners
from tests.helpers import fill_draft, make_spec
from tests.store.tools import drafts, failing


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
