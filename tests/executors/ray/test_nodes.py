"""What a node does for itself: checks, and copies of folders. No cluster: pieces come straight from the disk here."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest

from harness.errors import InputError, StoreError
from harness.executors import ray_nodes
from harness.executors.ray_nodes import Folder, Site, at_hand, read_piece
from harness.plan import sources_fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder that this node has lost sight of; its content is kept aside, where `pieces` finds it."""
    path = tmp_path / "far" / "entry"
    (path / "train").mkdir(parents=True)
    (path / "meta.json").write_text("{}")
    (path / "train" / "text.npy").write_bytes(os.urandom(100_000))
    (path / "train" / "empty").touch()
    listed = Folder.of(path, "features/entry")
    path.rename(tmp_path / "aside")
    return listed


@pytest.fixture
def copied(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were copied, in their order."""
    names: list[Path] = []

    def pieces(path: Path, size: int, source: str) -> Iterator[bytes]:
        assert source == "driver"
        names.append(path)
        aside = tmp_path / "aside" / path.relative_to(folder.path)
        for start in range(0, size, 16_384):
            yield read_piece(aside, start)

    monkeypatch.setattr(ray_nodes, "_PIECE", 16_384)
    monkeypatch.setattr(ray_nodes, "_pieces", pieces)
    return names


def site(tmp_path: Path, **changes: object) -> Site:
    marker = tmp_path / "runs" / ".ray" / "marker"
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text("word")
    fields = {"marker": marker, "word": "word", "sources": sources_fingerprint(), "source": "driver"}
    return Site(**{**fields, "cache": tmp_path / "cache", **changes})  # type: ignore[arg-type]


def content(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_folder_that_is_there_is_used_where_it_is(folder: Folder, copied: list[Path], tmp_path: Path) -> None:
    (tmp_path / "aside").rename(folder.path)
    assert at_hand(folder, site(tmp_path)) == folder.path
    assert copied == []
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_is_not_there_is_copied_once(folder: Folder, copied: list[Path], tmp_path: Path) -> None:
    place = at_hand(folder, site(tmp_path))
    assert place == tmp_path / "cache" / "features" / "entry"
    assert content(place) == content(tmp_path / "aside")
    assert at_hand(folder, site(tmp_path)) == place
    assert len(copied) == len(folder.files) == 3


def test_many_at_once_copy_once(folder: Folder, copied: list[Path], tmp_path: Path) -> None:
    places: list[Path] = []
    here = site(tmp_path)
    threads = [threading.Thread(target=lambda: places.append(at_hand(folder, here))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(places) == 8
    assert len(copied) == 3


def test_the_default_place_is_the_users_cache(
    folder: Folder, copied: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "home" / name)
    assert at_hand(folder, site(tmp_path, cache=None)) == tmp_path / "home" / "msa-harness" / "features" / "entry"


def test_a_damaged_copy_and_what_a_killed_one_left_are_replaced(
    folder: Folder, copied: list[Path], tmp_path: Path
) -> None:
    features = tmp_path / "cache" / "features"
    for name in ("entry", ".tmp-entry-0123"):
        (features / name).mkdir(parents=True)
        (features / name / "meta.json").write_text("half")
    place = at_hand(folder, site(tmp_path))
    assert content(place) == content(tmp_path / "aside")
    assert sorted(path.name for path in features.iterdir()) == ["entry", "entry.lock"]


def test_a_folder_that_changes_while_it_is_copied_is_refused(
    folder: Folder, copied: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "aside" / "train" / "text.npy").write_bytes(b"shorter")
    with pytest.raises(InputError, match="changed while it was copied"):
        at_hand(folder, site(tmp_path))
    assert [path.name for path in (tmp_path / "cache" / "features").iterdir()] == ["entry.lock"]


def test_a_cache_that_cannot_be_written_is_named(folder: Folder, copied: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StoreError, match="cannot write there"):
        at_hand(folder, site(tmp_path))


def test_a_folder_that_never_was_has_nothing_to_copy(tmp_path: Path) -> None:
    nothing = Folder.of(tmp_path / "nothing", "features/nothing")
    assert (nothing.files, nothing.size) == ((), 0)
    assert at_hand(nothing, site(tmp_path)) == tmp_path / "nothing"


def test_a_node_that_agrees_is_taken(tmp_path: Path) -> None:
    site(tmp_path).check()


def test_a_node_with_other_sources_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has another version of the harness"):
        site(tmp_path, sources="other").check()


@pytest.mark.parametrize("change", [{"word": "other"}, {"marker": Path("runs/.ray/none")}])
def test_a_node_with_another_runs_folder_is_refused(
    tmp_path: Path, change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_nodes, "_MARKER_SECONDS", 0.3)
    with pytest.raises(InputError, match="does not see the runs folder"):
        site(tmp_path, **change).check()
