"""The memo: what is put comes back bit for bit, and a file that cannot be trusted is as good as none."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from harness.memo import Memo


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "memo"


def kept(path: Path, **entries: object) -> Memo:
    memo = Memo(path)
    for key, value in entries.items():
        memo.put(key, value)
    memo.save()
    return Memo(path)


def test_what_was_put_comes_back_in_another_process(path: Path) -> None:
    awkward = [0.1 + 0.2, 1e-320, -0.0, math.inf, float(np.nextafter(1, 2)), None, True, "Größe\n情感 x"]
    found = kept(path, a={"rows": awkward}, b=[]).get("a")["rows"]
    assert found == awkward
    assert math.copysign(1, found[2]) == -1
    assert math.isnan(kept(path, c=math.nan).get("c"))


def test_what_was_not_put_is_not_there(path: Path) -> None:
    assert Memo(path).get("a") is None
    assert kept(path, a=1).get("b") is None


def test_nothing_is_written_where_nothing_is_new(path: Path) -> None:
    Memo(path).save()
    assert not path.parent.exists()
    memo = kept(path, a=1)
    before = path.stat()
    assert memo.get("a") == 1
    memo.save()
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("place", [0, 40, 70, 100, -2])
def test_one_changed_byte_empties_it(path: Path, place: int) -> None:
    kept(path, a=[1.25, 2.5, 3.75], b="other entries stand in the same file")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    memo = Memo(path)
    assert (memo.get("a"), memo.get("b")) == (None, None)
    memo.put("a", 2)
    memo.save()
    assert Memo(path).get("a") == 2


@pytest.mark.parametrize("content", [b"", b"\n", b"no memo", b"\xff\n\xfe"])
def test_another_file_in_its_place_is_an_empty_memo(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert Memo(path).get("a") is None


def test_a_half_written_file_is_an_empty_memo(path: Path) -> None:
    kept(path, a=[1, 2, 3], b=[4])
    path.write_bytes(path.read_bytes()[:-3])
    assert Memo(path).get("a") is None


def test_no_room_or_permission_is_no_error(path: Path) -> None:
    path.parent.write_text("a file where its folder should be")
    assert kept(path, a=1).get("a") is None


def test_a_folder_in_its_place_is_no_error(path: Path) -> None:
    path.mkdir(parents=True)
    assert kept(path, a=1).get("a") is None


def test_what_was_not_used_longest_is_dropped_first(path: Path) -> None:
    line = "x" * 100
    memo = Memo(path, max_bytes=350)
    for key in ("a", "b", "c"):
        memo.put(key, line)
    assert memo.get("a") == line
    memo.put("d", line)
    memo.save()
    assert path.stat().st_size < 350 + 70
    after = Memo(path)
    assert [key for key in "abcd" if after.get(key) is not None] == ["a", "c", "d"]


def test_keys_tell_all_parts_apart() -> None:
    parts: list[list[object]] = [["a", "b"], ["ab"], ["a", ["b"]], ["a", "b", None], [1], [1.0], [True], ["1"], [0.1]]
    assert len({Memo.key(*one) for one in parts}) == len(parts)
    assert Memo.key({"x": 1, "y": 2}) == Memo.key({"y": 2, "x": 1})
