"""From drawings to files: whole, the same bytes each time, and only when something has changed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from matplotlib.figure import Figure

from harness.errors import StoreError
from harness.figures import style
from harness.figures.figure import Drawing, save

HARD = "A&B_%$#{}<x> 情感\\frac"


def bars(data: pd.DataFrame, words: str = "") -> Figure:
    figure = style.sheet(2.0)
    axes = figure.add_subplot()
    axes.plot(data["x"], data["y"], marker="o", label=words or "line")
    axes.set_title(words)
    axes.legend()
    return figure


def drawing(name: str = "line", y: float = 2.0, words: str = "") -> Drawing:
    data = pd.DataFrame({"x": [0, 1], "y": [1.0, y]})
    return Drawing(name, f"Title of {words or name}", "What it shows.", partial(bars, words=words), data)


def test_three_files_that_are_the_same_each_time(tmp_path: Path) -> None:
    first, second = (save([drawing()], tmp_path / place)[0] for place in ("a", "b"))
    assert first.drawn
    assert second.drawn
    for one, other in ((first.svg, second.svg), (first.pdf, second.pdf), (first.csv, second.csv)):
        assert one.read_bytes() == other.read_bytes()
    assert first.csv.read_text() == "x,y\n0,1.0\n1,2.0\n"
    assert first.pdf.read_bytes().startswith(b"%PDF")


def test_processes_draw_the_same_bytes(tmp_path: Path) -> None:
    asked = [drawing(f"line-{i}", float(i)) for i in range(6)]
    alone, together = save(asked, tmp_path / "one"), save(asked, tmp_path / "two", workers=2)
    assert [one.svg.read_bytes() for one in alone] == [one.svg.read_bytes() for one in together]
    assert [one.name for one in together] == [one.name for one in asked]


def test_what_has_not_changed_is_left_alone(tmp_path: Path) -> None:
    save([drawing("a"), drawing("b")], tmp_path)
    stamp = (tmp_path / "a.svg").stat().st_mtime_ns
    again = {one.name: one.drawn for one in save([drawing("a"), drawing("b", y=2.5)], tmp_path)}
    assert again == {"a": False, "b": True}
    assert (tmp_path / "a.svg").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    "changes", [{"title": "x"}, {"caption": "x"}, {"key": "x"}, {"draw": partial(bars, words="x")}]
)
def test_words_and_settings_are_part_of_what_is_compared(tmp_path: Path, changes: dict[str, str]) -> None:
    save([drawing()], tmp_path)
    (again,) = save([replace(drawing(), **changes)], tmp_path)  # type: ignore[arg-type]
    assert again.drawn


def test_a_missing_file_or_a_damaged_index_is_drawn_again(tmp_path: Path) -> None:
    (saved,) = save([drawing()], tmp_path)
    saved.pdf.unlink()
    assert save([drawing()], tmp_path)[0].drawn
    (tmp_path / "figures.json").write_text("{", encoding="utf-8")
    assert save([drawing()], tmp_path)[0].drawn
    assert not save([drawing()], tmp_path)[0].drawn


def test_figures_that_are_no_longer_wanted_go_and_other_files_stay(tmp_path: Path) -> None:
    save([drawing("a"), drawing("b")], tmp_path)
    (tmp_path / "mine.svg").write_text("x", encoding="utf-8")
    save([drawing("b")], tmp_path)
    assert {path.name for path in tmp_path.glob("*.svg")} == {"b.svg", "mine.svg"}
    assert list(json.loads((tmp_path / "figures.json").read_text())["figures"]) == ["b"]


def test_a_drawing_that_fails_is_not_taken_for_whole(tmp_path: Path) -> None:
    save([drawing()], tmp_path)

    with pytest.raises(ZeroDivisionError):
        save([replace(drawing(), draw=broken)], tmp_path)
    assert save([drawing()], tmp_path)[0].drawn


def broken(data: pd.DataFrame) -> Figure:
    raise ZeroDivisionError(len(data))


def test_any_name_can_stand_in_a_picture_and_a_page(tmp_path: Path) -> None:
    one, other = save([drawing("first", words=HARD), drawing("second", words=HARD)], tmp_path)
    for saved in (one, other):
        text = saved.svg.read_text(encoding="utf-8")
        root = ET.fromstring(text)
        assert root.get("role") == "img"
        assert "".join(root.itertext()).count("A&B_%$#{}<x>") >= 2  # its title, and the words in it
        ids = re.findall(r'\bid="([^"]+)"', text)
        assert len(ids) == len(set(ids))
        assert all(found == saved.name or found.startswith(f"{saved.name}-") for found in ids)
        assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)
        assert "<script" not in text
        assert "http://" not in text.replace("http://www.w3.org", "")


def test_names_must_be_names_and_their_own(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a name"):
        drawing("../x")
    with pytest.raises(ValueError, match="same name: a"):
        save([drawing("a"), drawing("a", y=3.0)], tmp_path)
    with pytest.raises(ValueError, match="needs a key"):
        replace(drawing(), data=pd.DataFrame)


def test_data_may_be_computed_late_and_only_when_the_key_changes(tmp_path: Path) -> None:
    calls: list[int] = []

    def late() -> pd.DataFrame:
        calls.append(1)
        return pd.DataFrame({"x": [0], "y": [1.0]})

    asked = replace(drawing(), data=late, key="one")
    save([asked], tmp_path)
    save([asked], tmp_path)
    assert len(calls) == 1
    save([replace(asked, key="two")], tmp_path)
    assert len(calls) == 2


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot write the figures"):
        save([drawing()], tmp_path / "file" / "figures")
