from __future__ import annotations

import os
from pathlib import Path
from typing import IO

import pytest

from harness.disk import replace_file, sync


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "f"
    for content in (b"one", b"two"):
        replace_file(path, lambda file, content=content: file.write(content))  # type: ignore[misc]
        assert path.read_bytes() == content
    assert names(tmp_path) == ["f"]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def write(file: IO[bytes]) -> None:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"

    replace_file(path, write)
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("no"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise error

    with pytest.raises(type(error)):
        replace_file(path, fail)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


def test_a_folder_in_the_way_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "f" / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        replace_file(tmp_path / "f", lambda file: file.write(b"x"))
    assert names(tmp_path) == ["f"]
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "nowhere" / "f", lambda file: file.write(b"x"))


def test_the_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    replace_file(tmp_path / "f", lambda file: file.write(b"x"))
    assert (tmp_path / "f").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_file_and_folder_are_flushed_in_that_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[tuple[int, bool]] = []
    fsync = os.fsync

    def spy(handle: int) -> None:
        flushed.append((os.fstat(handle).st_ino, (tmp_path / "f").exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", spy)
    replace_file(tmp_path / "f", lambda file: file.write(b"x"))
    assert flushed == [((tmp_path / "f").stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_the_draft_of_a_killed_writer_is_removed_once_it_is_old(tmp_path: Path) -> None:
    old, young = tmp_path / ".f[1].abc.tmp", tmp_path / ".f[1].def.tmp"
    for draft in (old, young):
        draft.write_bytes(b"half")
    os.utime(old, (0, 0))
    replace_file(tmp_path / "f[1]", lambda file: file.write(b"whole"))
    assert names(tmp_path) == [".f[1].def.tmp", "f[1]"]


def test_sync_takes_files_and_folders_and_tells_of_missing_ones(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    sync(tmp_path / "f")
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "nowhere")
