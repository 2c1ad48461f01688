"""Checkpoints as files: whole or not at all, swept after dead writers, gone with the record."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest
import torch

from harness.errors import StoreError
from harness.store import RunStore
from harness.store.checkpoints import Checkpoints
from tests.helpers import fake_record, make_spec
from tests.store.tools import fail

DEAD_WRITER = """
import os, signal, sys
from pathlib import Path
from harness.store.checkpoints import Checkpoints

def fill(file):
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

Checkpoints(Path(sys.argv[1])).write("a", fill)
"""


def content(checkpoints: Checkpoints, run_id: str) -> bytes | None:
    file = checkpoints.open(run_id)
    if file is None:
        return None
    with file:
        return file.read()


@pytest.fixture
def checkpoints(store: RunStore) -> Checkpoints:
    return store.checkpoints


def test_written_read_replaced_listed_and_dropped(checkpoints: Checkpoints) -> None:
    assert (content(checkpoints, "a"), checkpoints.all()) == (None, [])
    checkpoints.drop("a")
    for text in (b"first", b"the second"):
        checkpoints.write("a", lambda file, text=text: file.write(text))  # type: ignore[misc]
        assert content(checkpoints, "a") == text
    checkpoints.write("b", lambda file: file.write(b"other"))
    assert checkpoints.all() == [("a", checkpoints.path("a"), 10), ("b", checkpoints.path("b"), 5)]
    checkpoints.drop("a")
    assert [run_id for run_id, _, _ in checkpoints.all()] == ["b"]


def test_a_write_that_fails_leaves_the_last_one_and_nothing_else(checkpoints: Checkpoints) -> None:
    checkpoints.write("a", lambda file: file.write(b"good"))

    def full(file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StoreError, match="No space left") as caught:
        checkpoints.write("a", full)
    assert "free some space" in caught.value.hint

    def wrong(file: IO[bytes]) -> None:
        file.write(b"half")
        raise ValueError("not about the disk")

    with pytest.raises(ValueError, match="not about the disk"):
        checkpoints.write("a", wrong)
    assert content(checkpoints, "a") == b"good"
    assert list(checkpoints.folder.iterdir()) == [checkpoints.path("a")]


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let this process write no file beyond 100 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_ends_in_the_middle_of_torch_save(checkpoints: Checkpoints, small_files: None) -> None:
    tensor = torch.zeros(100_000)
    with pytest.raises(StoreError, match="File too large"):
        checkpoints.write("a", lambda file: torch.save(tensor, file))
    assert list(checkpoints.folder.iterdir()) == []


def test_space_is_asked_for_first(checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=10**9))
    checkpoints.write("a", lambda file: file.write(b"fits"), size=9 * 10**8)
    with pytest.raises(StoreError, match="No space left"):
        checkpoints.write("a", lambda file: pytest.fail("written all the same"), size=10**9)
    assert content(checkpoints, "a") == b"fits"


def test_what_a_killed_writer_left_is_swept(checkpoints: Checkpoints, store: RunStore) -> None:
    def left() -> list[Path]:
        return [path for path in checkpoints.folder.iterdir() if path.suffix != ".pt"]

    for _ in range(2):
        subprocess.run([sys.executable, "-c", DEAD_WRITER, str(store.root)], timeout=60)
        assert len(left()) == 1  # the second has removed what the first left, and left its own
    assert (checkpoints.all(), content(checkpoints, "a")) == ([], None)

    def look(file: IO[bytes]) -> None:
        assert len(left()) == 1, "its own alone, which a sweep leaves"
        checkpoints.sweep()
        file.write(b"done")

    checkpoints.write("b", look)
    assert left() == []
    assert content(checkpoints, "b") == b"done"


def test_publishing_drops_it_and_failing_does_not(store: RunStore) -> None:
    spec = make_spec()
    store.checkpoints.write(spec.run_id, lambda file: file.write(b"state"))
    fail(store, spec)
    assert [run_id for run_id, _, _ in store.checkpoints.all()] == [spec.run_id]
    fake_record(store, spec)
    assert store.checkpoints.all() == []


def test_a_place_that_takes_none(tmp_path: Path) -> None:
    (tmp_path / ".checkpoints").write_text("a file")
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(StoreError):
        checkpoints.write("a", lambda file: file.write(b"x"))
    with pytest.raises(StoreError):
        checkpoints.open("a")
    with pytest.raises(StoreError):
        checkpoints.drop("a")
    checkpoints.sweep()
    assert checkpoints.all() == []
