from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from harness.display.picture import Column, Picture, Section, clock_text, on_screen, one_line
from tests.display.screen import terminal


def section(rows: int, name: str = "run") -> Section:
    return Section(
        [
            Column("#", [Text(str(row)) for row in range(rows)], right=True, leave=1),
            Column("device", [Text() for _ in range(rows)], leave=3),
            Column(
                name, [Text(f"Self-MM-fg 数据集 regression seed {row}") for row in range(rows)], middle=True, least=12
            ),
            Column("time", [Text("1:05:20") for _ in range(rows)], right=True, leave=2),
        ]
    )


def drawn(picture: Picture, width: int, height: int) -> list[str]:
    console, screen = terminal(width, height)
    with on_screen(console, lambda: picture):
        shown = screen.lines
    assert (screen.lines, screen.scrolled, screen.row, screen.column, screen.cursor) == ([], 0, 0, 0, True)
    return shown


def test_everything_is_shown_where_there_is_room() -> None:
    lines = drawn(
        Picture(3, 4, ["3/4 runs", "1 failed"], [section(2), section(0, "none"), section(1, "other")]), 80, 24
    )
    assert lines[0].endswith("3/4 runs, 1 failed")
    assert lines[0].startswith("━━━")
    assert lines[1:] == [
        "#  run                                     time",
        "0  Self-MM-fg 数据集 regression seed 0  1:05:20",
        "1  Self-MM-fg 数据集 regression seed 1  1:05:20",
        "#  other                                   time",
        "0  Self-MM-fg 数据集 regression seed 0  1:05:20",
    ]


def test_a_narrow_terminal_loses_columns_and_the_middle_of_names() -> None:
    lines = drawn(Picture(3, 4, ["3/4 runs", "1 failed"], [section(2)]), 16, 24)
    assert lines == ["3/4 runs", "#  run", "0  Self-M…seed 0", "1  Self-M…seed 1"]


def test_the_first_sections_get_the_lines_that_there_are() -> None:
    lines = drawn(Picture(0, 4, ["0/4 runs"], [section(9), section(9, "other")]), 80, 10)
    assert [line.split()[0] for line in lines[2:]] == list("012345")
    lines = drawn(Picture(0, 4, ["0/4 runs"], [section(2), section(9, "other")]), 80, 10)
    assert [line.split()[0] for line in lines[1:]] == ["#", "0", "1", "#", "0", "1", "2"]


@settings(deadline=None, max_examples=60)
@given(width=st.integers(4, 120), height=st.integers(2, 40), rows=st.integers(0, 30))
def test_any_terminal_is_left_as_it_was(width: int, height: int, rows: int) -> None:
    words = ["13/40 runs", "2 failed", "~3 min 20 s left", "12 s so far"]
    lines = drawn(Picture(13, 40, words, [section(rows), section(3)]), width, height)
    assert 1 <= len(lines) <= max(1, height - 2)
    assert all(cell_len(line) <= width for line in lines)


def test_a_picture_on_a_full_terminal_scrolls_nothing_when_it_is_drawn_again() -> None:
    console, screen = terminal(40, 8)
    with on_screen(console, lambda: Picture(0, 4, ["0/4 runs"], [section(9)])) as live:
        assert live is not None
        for _ in range(5):
            live.refresh()
        screen.write("^C")  # as the terminal does by itself
        assert screen.scrolled == 0
    assert (screen.lines, screen.scrolled) == ([], 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [("a\nb\t c", "a b c"), ("\x1b[2Jx\x07y\x00", "[2Jx y"), ("\udc80损失", "损失"), ("  ", "")],
)
def test_reasons_are_one_line_and_command_nothing(text: str, said: str) -> None:
    assert one_line(text) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3.0, "0:00"), (42.9, "0:42"), (200.0, "3:20"), (3920.0, "1:05:20"), (360_000.0, "100:00:00")],
)
def test_durations_as_on_a_clock(seconds: float, said: str) -> None:
    assert clock_text(seconds) == said
