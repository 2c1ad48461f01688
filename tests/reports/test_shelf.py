"""A folder that a report writes as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.reports.shelf import fill


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"files.json"}


def test_what_is_no_longer_written_goes_and_what_was_never_ours_stays(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    assert fill(folder, {"a.tex": "a", "b.tex": "b"}) == [folder / "a.tex", folder / "b.tex"]
    (folder / "mine.txt").write_text("mine", encoding="utf-8")
    fill(folder, {"b.tex": "new", "c.csv": "c"})
    assert names(folder) == {"b.tex", "c.csv", "mine.txt"}
    assert (folder / "b.tex").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("index", ['["../out.txt", 3, "a/b", ""]', "{}", "not json", '{"a": 1}'])
def test_an_index_that_was_tampered_with_removes_nothing(tmp_path: Path, index: str) -> None:
    folder = tmp_path / "tables"
    fill(folder, {"a.tex": "a"})
    outside = tmp_path / "out.txt"
    outside.write_text("precious", encoding="utf-8")
    (folder / "files.json").write_text(index, encoding="utf-8")
    fill(folder, {"b.tex": "b"})
    assert outside.read_text(encoding="utf-8") == "precious"
    assert names(folder) == {"a.tex", "b.tex"}


def test_after_a_failure_half_way_the_next_call_still_knows_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tables"
    fill(folder, {"old.tex": "old"})
    real = Path.unlink

    def broken(self: Path, missing_ok: bool = False) -> None:
        if self.name == "old.tex":
            raise PermissionError(13, "Permission denied")
        real(self, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", broken)
        with pytest.raises(StoreError, match="cannot write the report: Permission denied"):
            fill(folder, {"new.tex": "new"})
    assert set(json.loads((folder / "files.json").read_text(encoding="utf-8"))) == {"old.tex", "new.tex"}
    fill(folder, {"new.tex": "new"})
    assert names(folder) == {"new.tex"}
