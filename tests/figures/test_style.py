"""Names made fit for files, and names placed beside points."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.text import Annotation, Text

from harness.figures import style
from harness.figures.labels import beside


@pytest.mark.parametrize("text", ["LF-DNN", "fg-against-original", "a1"])
def test_a_name_that_is_fit_stays(text: str) -> None:
    assert style.slug(text) == text


def test_names_that_differ_stay_different() -> None:
    odd = ["模型", "数据", "a b", "a_b", "a-b", "a%b", "-a-b", "$"]
    made = [style.slug(text) for text in odd]
    assert len(set(made)) == len(odd)
    assert all(name.isascii() and name.replace("-", "").isalnum() for name in made)


def test_variants_are_told_apart_by_more_than_colour() -> None:
    looks = [style.look_of(variant) for variant in ("original", "fg", "a", "v")]
    for one, other in itertools.combinations(looks, 2):
        assert one.colour != other.colour
        assert one.marker != other.marker
        assert one.dashes != other.dashes


def test_a_long_heading_takes_lines_and_room() -> None:
    with style.applied():
        short, long = style.sheet(2.0, heading="short"), style.sheet(2.0, heading="many words " * 20)
    assert short.get_figheight() == 2.0
    assert long.get_figheight() > 2.0
    assert long.get_suptitle().count("\n") >= 1


def test_names_beside_a_crowd_of_points_hide_nothing() -> None:
    points = [(float(x), float(y)) for x in (0.3, 0.36, 0.42) for y in (0.4, 0.5, 0.6)]
    with style.applied():
        figure = style.sheet(3.0, 4.0)
        axes = figure.subplots()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        style.settle(figure)
        beside(axes, [f"Model-{i}" for i in range(len(points))], points)
        figure.draw_without_rendering()
        texts = [child for child in axes.get_children() if isinstance(child, Annotation)]
        # Of the text alone: an annotation counts its line as well.
        names = [Text.get_window_extent(text) for text in texts]
    assert len(names) == len(points)
    for one, other in itertools.combinations(names, 2):
        width = min(one.x1, other.x1) - max(one.x0, other.x0)
        height = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(width, height) < 1.5  # pixels
    for x, y in axes.transData.transform(np.array(points)):
        assert not any(box.x0 < x < box.x1 and box.y0 < y < box.y1 for box in names)


def test_no_points_need_no_names() -> None:
    with style.applied():
        axes = style.sheet(1.0).subplots()
        beside(axes, [], [])
    assert not axes.texts
