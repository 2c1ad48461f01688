"""Pictures of work in progress that fit any terminal: a header, and sections of which only what fits is shown."""

from __future__ import annotations

import os
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

__all__ = ["Column", "Picture", "Section", "clock_text", "on_screen", "one_line"]

_GAP = 2
_BAR = 20


def one_line(text: str) -> str:
    """Put a text on one line, without what a terminal would take for a command."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def clock_text(seconds: float) -> str:
    """Say a duration as a clock does: ``0:42``, ``3:20``, ``1:05:20``."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours}:{left:02}:{rest:02}" if hours else f"{left}:{rest:02}"


@dataclass(frozen=True)
class Column:
    """A column of a section.

    Attributes
    ----------
    title : str
    cells : sequence of Text
        A column without any text is left out.
    right : bool
        Whether the cells are set to the right.
    middle : bool
        Whether cells are cut in the middle: names of runs begin with the model and end with the seed.
    least : int
        Width that the cells may be cut to; 0 where they are never cut.
    leave : int
        Where the terminal is too narrow, columns are left out, the highest number first; 0 stays.
    """

    title: str
    cells: Sequence[Text]
    right: bool = False
    middle: bool = False
    least: int = 0
    leave: int = 0

    @property
    def natural(self) -> int:
        """The width at which nothing is cut, in terminal cells."""
        return max([cell_len(self.title), *(cell.cell_len for cell in self.cells)])

    @property
    def narrow(self) -> int:
        """The width that it needs at least."""
        return min(self.least, self.natural) if self.least else self.natural

    def at(self, row: int, width: int) -> Text:
        """Return a cell, or the title for row -1, at exactly a width."""
        text = Text(self.title, style="bold") if row < 0 else self.cells[row].copy()
        if self.middle and text.cell_len > width:
            head, tail = set_cell_size(text.plain, width // 2), set_cell_size(text.plain[::-1], (width - 1) // 2)[::-1]
            text = Text(f"{head}…{tail}", style=text.style)
        text.truncate(width, overflow="ellipsis")
        text.align("right" if self.right else "left", width)
        return text


@dataclass(frozen=True)
class Section:
    """Rows under a line of titles, the ones that matter most first."""

    columns: Sequence[Column]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.columns[0].cells)

    def lines(self, width: int, rows: int) -> Iterator[Text]:
        """Yield the titles and the first `rows` rows, none wider than `width`."""
        shown = [column for column in self.columns if any(column.cells)]
        while _needed(shown) > width and (spare := max(shown, key=lambda column: column.leave)).leave:
            shown.remove(spare)
        widths = _shared(shown, width)
        for row in range(-1, rows):
            cells = [column.at(row, each) for column, each in zip(shown, widths, strict=True)]
            line = Text(" " * _GAP, no_wrap=True).join(cells)
            line.truncate(width, overflow="ellipsis")
            line.rstrip()
            yield line


@dataclass(frozen=True)
class Picture:
    """A header and sections, drawn at the size of the terminal.

    Attributes
    ----------
    done, total : int
        For the bar.
    words : sequence of str
        Parts of the header; on a narrow terminal the last ones are left out.
    sections : sequence of Section
        The first ones get the lines that there are.
    """

    done: int
    total: int
    words: Sequence[str]
    sections: Sequence[Section]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw at most two lines less than the terminal has.

        One below stays empty, for the ^C that the terminal writes; rich uses another one to leave.
        """
        yield self._header(options.max_width)
        left = options.size.height - 3
        for section in self.sections:
            rows = min(section.rows, left - 1)
            if rows > 0:
                yield from section.lines(options.max_width, rows)
                left -= rows + 1
        if left >= 0:
            yield Text()

    def _header(self, width: int) -> RenderableType:
        words = list(self.words)
        while len(words) > 1 and cell_len(", ".join(words)) > width:
            words.pop()
        text = Text(", ".join(words), no_wrap=True)
        text.truncate(width, overflow="ellipsis")
        if not self.total or text.cell_len + _BAR + 1 > width:
            return text
        grid = Table.grid(padding=(0, 1))
        grid.add_row(ProgressBar(self.total, min(self.done, self.total), width=_BAR), text)
        return grid


@contextmanager
def on_screen(console: Console, picture: Callable[[], RenderableType]) -> Iterator[Live | None]:
    """Keep a picture at the bottom of a terminal, drawn at every `refresh` of what is given.

    Gives None where the console is no terminal, or one that cannot move its cursor or write the letters. At the end the
    picture is gone, and the cursor back.
    """
    able = console.is_terminal and console.is_interactive and not console.is_dumb_terminal
    if not able or console.options.ascii_only:
        yield None
        return
    live = Live(get_renderable=picture, console=console, auto_refresh=False, transient=True)
    with _undisturbed_by_ctrl_c(console):
        try:
            live.start(refresh=True)
            yield live
        finally:
            try:
                live.stop()
            finally:  # a second Ctrl-C must not leave a terminal without a cursor
                console.show_cursor(True)


@contextmanager
def _undisturbed_by_ctrl_c(console: Console) -> Iterator[None]:
    """Keep a terminal from dropping what it has not shown yet, and from writing ``^C``, when Ctrl-C is pressed.

    Either would leave the cursor where nobody expects it, and lines of the picture behind.
    """
    try:
        terminal = console.file.fileno()
        before = termios.tcgetattr(terminal)
        ours = os.tcgetpgrp(terminal) == os.getpgrp()  # who else changes a terminal is stopped by it
    except (OSError, ValueError, termios.error):
        terminal, before, ours = -1, [], False
    if not ours:
        yield
        return
    drawing = [*before]
    drawing[3] = before[3] & ~termios.ECHOCTL | termios.NOFLSH
    termios.tcsetattr(terminal, termios.TCSANOW, drawing)
    try:
        yield
    finally:
        # Moved to the background meanwhile, a process would be stopped here; the shell has set its own modes then.
        with suppress(OSError, termios.error):
            if os.tcgetpgrp(terminal) == os.getpgrp():
                termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _needed(columns: Sequence[Column]) -> int:
    return sum(column.narrow for column in columns) + _GAP * (len(columns) - 1)


def _shared(columns: Sequence[Column], width: int) -> list[int]:
    """Return the width of every column: what is left over goes evenly to those that are cut."""
    widths = [column.narrow for column in columns]
    spare = width - _needed(columns)
    while spare > 0 and (cut := [i for i, column in enumerate(columns) if widths[i] < column.natural]):
        for i in cut[:spare]:
            widths[i] += 1
            spare -= 1
    return widths
