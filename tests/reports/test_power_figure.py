"""The drawn power curves: an SVG that a page can hold."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from harness.reports.power_figure import Curve, power_figure

CURVES = [Curve(n, (0.0, 1.0, 2.0), (0.05, n / 30, n / 20)) for n in (3, 5, 10, 20)]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn() -> str:
    return power_figure("one", "What seeds find", CURVES, alpha=0.05)


def test_it_is_drawn_the_same_every_time(drawn: str) -> None:
    assert power_figure("one", "What seeds find", CURVES, alpha=0.05) == drawn
    assert not re.search(r"\d{4}-\d{2}-\d{2}", drawn)


def test_it_is_one_element_with_text_as_text(drawn: str) -> None:
    root = ET.fromstring(drawn)
    words = {text.text for text in root.iter(f"{SVG}text")}
    assert {"share found", "3 seeds", "5 seeds", "10 seeds", "20 seeds"} <= words
    assert root.findtext(f"{SVG}title") == "What seeds find"
    assert "5 seeds: 0.05 at 0, 0.17 at 1, 0.25 at 2" in (root.findtext(f"{SVG}desc") or "")


def test_it_needs_no_clip_path_and_takes_the_pages_text_colour(drawn: str) -> None:
    assert "currentColor" in drawn
    assert "url(" not in drawn


def test_two_figures_can_stand_on_one_page(drawn: str) -> None:
    names, others = (
        set(re.findall(r' id="([^"]+)"', svg)) for svg in (drawn, power_figure("another", "Again", CURVES))
    )
    assert names
    assert not names & others


def test_curves_differ_by_dash_and_marker_as_well_as_colour(drawn: str) -> None:
    lines = {style for style in re.findall(r'style="fill: none; ([^"]*)"', drawn) if "1.2" in style}
    dashes = {re.sub(r"stroke: [^;]+;?", "", line) for line in lines}
    assert len(dashes) == len(CURVES)


def test_more_curves_than_can_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="told apart"):
        power_figure("many", "Many", [Curve(n, (0.0,), (0.05,)) for n in range(2, 9)])
