"""Reading a user's notes on utterances."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cases import Remark, read_remarks
from harness.errors import InputError


def test_any_of_the_columns_will_do(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text('\ufeffid,translation,visual\nv_1,"Really? Good.", Smile\nv_2,,\n', encoding="utf-8")
    assert read_remarks(path) == {"v_1": Remark("Really? Good.", "", "Smile"), "v_2": Remark()}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("translation\nx\n", 1, "'translation'"),
        ("", 1, "no column"),
        ("id,face\n1,x\n", 1, "'face'"),
        ("id,visual\n1,x\n1,y\n", 3, "stands twice"),
        ("id,visual\n1,x,z\n", 2, "fields"),
        ("id,visual\n1\n", 2, "fields"),
        ('id,visual\n1,"x\n', 2, "EOF|end of data"),
    ],
)
def test_what_is_wrong_is_said_with_the_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = tmp_path / "notes.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said) as caught:
        read_remarks(path)
    assert caught.value.where == f"{path}:{line}"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_remarks(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"id\n\xff\xfe\n")
    with pytest.raises(InputError, match="UTF-8"):
        read_remarks(tmp_path / "bytes.csv")
