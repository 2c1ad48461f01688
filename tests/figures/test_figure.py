"""The engine: files, bytes, what is drawn again, what is removed, and names that could break something."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from harness.errors import StoreError
from harness.figures import Drawing, figure, save, style

NUMBERS = pd.DataFrame({"x": [0, 1, 2], "y": [0.5, -1.0, 2.0]})
ODD = "情感 & <b>$x_1$</b> 100 % #1 \"id\" 'q' {y} \\alpha"


def line(data: pd.DataFrame, label: str = "a line") -> Figure:
    """Draw a bit of everything that has ids in SVG: clip paths, markers, hatches; and a name in the legend."""
    sheet = style.sheet(1.5, 3.0, heading=label)
    axes = sheet.subplots()
    axes.plot(data["x"], data["y"], color=style.INK, marker="s", label=label)
    axes.plot(data["x"], -data["y"], color=style.BLUE)
    axes.add_patch(Rectangle((0, 0), 1, 1, hatch="//", fill=False, edgecolor=style.INK))
    axes.legend()
    return sheet


def drawing(name: str = "one", data: pd.DataFrame = NUMBERS, *, label: str = "a line", caption: str = "c") -> Drawing:
    return Drawing(name, f"{label}: title", caption, partial(line, label=label), data)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_figure_is_three_files_and_the_csv_holds_the_plotted_numbers(tmp_path: Path) -> None:
    (saved,) = save([drawing()], tmp_path / "new" / "folder")
    assert (saved.name, saved.title, saved.caption, saved.drawn) == ("one", "a line: title", "c", True)
    assert saved.pdf.read_bytes().startswith(b"%PDF")
    pd.testing.assert_frame_equal(pd.read_csv(saved.csv), NUMBERS)
    assert sorted(contents(saved.svg.parent)) == ["figures.json", "one.csv", "one.pdf", "one.svg"]


def test_the_same_drawing_gives_the_same_bytes_whoever_draws_it(tmp_path: Path) -> None:
    several = [drawing(f"n{i}", label=ODD) for i in range(5)]
    for folder, workers in (("a", 1), ("b", 2)):
        assert [one.name for one in save(several, tmp_path / folder, workers=workers)] == [d.name for d in several]
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_what_has_not_changed_is_left_alone(tmp_path: Path) -> None:
    save([drawing("one"), drawing("two")], tmp_path)
    (tmp_path / "one.svg").write_text("ours")
    again = save([drawing("one"), drawing("two")], tmp_path)
    assert [saved.drawn for saved in again] == [False, False]
    assert (tmp_path / "one.svg").read_text() == "ours"


@pytest.mark.parametrize(
    "changed",
    [
        lambda: drawing("one", NUMBERS.replace(2.0, 2.0000001)),
        lambda: drawing("one", label="other"),
        lambda: drawing("one", caption="other"),
    ],
)
def test_a_change_of_a_number_a_word_or_a_setting_is_drawn(changed: Callable[[], Drawing], tmp_path: Path) -> None:
    save([drawing("one"), drawing("two")], tmp_path)
    assert [saved.drawn for saved in save([changed(), drawing("two")], tmp_path)] == [True, False]


def test_a_change_of_the_code_or_of_matplotlib_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save([drawing()], tmp_path)
    monkeypatch.setattr(figure, "_drawn_by", lambda: ("another",))
    assert [saved.drawn for saved in save([drawing()], tmp_path)] == [True]


@pytest.mark.parametrize("ending", ["svg", "pdf", "csv"])
def test_a_file_that_is_gone_is_made_again(ending: str, tmp_path: Path) -> None:
    save([drawing()], tmp_path)
    (tmp_path / f"one.{ending}").unlink()
    assert [saved.drawn for saved in save([drawing()], tmp_path)] == [True]
    assert (tmp_path / f"one.{ending}").is_file()


def test_only_figures_of_our_own_are_removed(tmp_path: Path) -> None:
    save([drawing("one"), drawing("two")], tmp_path)
    (tmp_path / "theirs.svg").write_text("theirs")
    save([drawing("two")], tmp_path)
    assert sorted(contents(tmp_path)) == ["figures.json", "theirs.svg", "two.csv", "two.pdf", "two.svg"]


def test_an_index_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "out.svg").write_text("theirs")
    (folder / "figures.json").write_text(json.dumps({"figures": {"../out": "key"}}))
    save([drawing()], folder)
    assert (tmp_path / "out.svg").read_text() == "theirs"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"figures": 3}', '{"other": {}}'])
def test_a_damaged_index_only_costs_drawing_again(text: str, tmp_path: Path) -> None:
    save([drawing()], tmp_path)
    (tmp_path / "figures.json").write_text(text)
    assert [saved.drawn for saved in save([drawing()], tmp_path)] == [True]
    assert [saved.drawn for saved in save([drawing()], tmp_path)] == [False]


def broken(data: pd.DataFrame) -> Figure:
    raise RuntimeError(f"{len(data)} rows")


def test_a_figure_that_failed_half_way_is_not_taken_for_whole(tmp_path: Path) -> None:
    save([drawing()], tmp_path)
    with pytest.raises(RuntimeError, match="3 rows"):
        save([drawing("one", label="other"), Drawing("two", "t", "c", broken, NUMBERS)], tmp_path)
    # The picture is now the other one, though the numbers are the first ones' again.
    assert [saved.drawn for saved in save([drawing()], tmp_path)] == [True]


def test_numbers_that_take_long_are_computed_only_when_drawn(tmp_path: Path) -> None:
    asked: list[int] = []

    def numbers() -> pd.DataFrame:
        asked.append(1)
        return NUMBERS

    late = Drawing("late", "t", "c", line, numbers, key="k1")
    save([late], tmp_path)
    save([late], tmp_path)
    assert len(asked) == 1
    with pytest.raises(ValueError, match="key"):
        Drawing("late", "t", "c", line, numbers)


@pytest.mark.parametrize("name", ["", "a b", "../a", "a/b", "1a", "a.b", "模型"])
def test_names_that_are_no_file_names_and_ids_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        drawing(name)


def test_two_figures_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same name: one"):
        save([drawing(), drawing()], tmp_path)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write the figures"):
        save([drawing()], tmp_path / "file")


def test_drawing_leaves_the_settings_of_the_process_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    save([drawing()], tmp_path)
    assert dict(mpl.rcParams) == before


def test_odd_names_reach_svg_and_pdf_as_they_are(tmp_path: Path) -> None:
    (saved,) = save([drawing(label=ODD)], tmp_path)
    root = ET.fromstring(saved.svg.read_bytes())
    texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert ODD in texts
    assert root[0].text == f"{ODD}: title"
    assert b"/FontFile2" in saved.pdf.read_bytes()  # embedded TrueType


class Page(HTMLParser):
    """Collects what a page of several figures defines and refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.used: set[str] = set()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name == "aria-labelledby":
                self.used |= set((value or "").split())
            else:
                self.used |= set(re.findall(r"url\(#([^)]+)\)", value or ""))
                self.used |= {value[1:]} if name == "xlink:href" and value and value.startswith("#") else set()


def test_several_figures_share_a_page_without_sharing_ids(tmp_path: Path) -> None:
    saved = save([drawing("one", label=ODD), drawing("two", label=ODD)], tmp_path)
    page = Page()
    page.feed("".join(one.svg.read_text(encoding="utf-8") for one in saved))
    assert len(page.ids) == len(set(page.ids))
    assert page.used <= set(page.ids)
    assert any("hatch" not in name and name.startswith("one-h") for name in page.used)  # a hatch is among them
    assert not {"metadata", "script", "image"} & set(page.tags)


def test_a_figure_takes_the_colours_of_its_page_and_speaks_to_screen_readers(tmp_path: Path) -> None:
    (saved,) = save([drawing(caption="Says <what> & why.")], tmp_path)
    text = saved.svg.read_text(encoding="utf-8")
    root = ET.fromstring(text)
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "one-title one-desc"
    assert root[1].text == "Says <what> & why."
    assert style.INK not in text
    assert "stroke: currentColor" in text
    assert text.startswith("<svg ")  # nothing before it, so that it can be put into a page
    rules = "".join(element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}style"))
    assert not re.search(r"(^|[},])\s*\*", rules)  # matplotlib's own rule is for everything in the page
