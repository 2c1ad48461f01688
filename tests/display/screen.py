"""What a terminal shows after some output, for tests: letters, lines, and the few commands that rich uses."""

from __future__ import annotations

import io
import re

from rich.cells import cell_len
from rich.console import Console

__all__ = ["Screen", "terminal"]

_CUT = re.compile(r"\x1b(\[[?\d;]*)?$")
_PARTS = re.compile(r"\x1b\[(?P<number>[?\d;]*)(?P<command>[A-Za-z])|(?P<letter>.)", re.DOTALL)


class Screen(io.StringIO):
    """A terminal that can be written to.

    Attributes
    ----------
    scrolled : int
        Lines that have left it at the top.
    cursor : bool
        Whether the cursor can be seen.
    """

    def __init__(self, width: int, height: int) -> None:
        super().__init__()
        self.width, self.height = width, height
        self.cells: list[list[str]] = [[" "] * width for _ in range(height)]
        self.row = self.column = self.scrolled = 0
        self.cursor = True
        self._held = ""

    @property
    def lines(self) -> list[str]:
        """The lines, without what is empty at their ends and below."""
        return "\n".join("".join(line).rstrip() for line in self.cells).rstrip().splitlines()

    def write(self, text: str) -> int:
        # A command may come in two pieces.
        whole = self._held + text
        cut = _CUT.search(whole)
        self._held = cut.group() if cut else ""
        for part in _PARTS.finditer(whole.removesuffix(self._held) if cut else whole):
            if part["letter"] is None:
                self._command(part["number"], part["command"])
            else:
                self._letter(part["letter"])
        return len(text)

    def _command(self, number: str, command: str) -> None:
        if command == "A":
            self.row = max(0, self.row - int(number or 1))
        elif command == "K":
            assert number == "2"
            self.cells[self.row] = [" "] * self.width
        elif number == "?25":
            self.cursor = command == "h"
        else:
            assert command == "m", (number, command)

    def _letter(self, letter: str) -> None:
        if letter == "\x03":  # what Ctrl-C leaves where it is not written out
            return
        if letter == "\r":
            self.column = 0
            return
        width = cell_len(letter)
        if letter == "\n" or self.column + width > self.width:
            self.row += 1
            self.column = 0
        if self.row == self.height:
            self.cells = [*self.cells[1:], [" "] * self.width]
            self.row -= 1
            self.scrolled += 1
        if letter != "\n":
            assert letter.isprintable(), letter
            # The second half of a wide letter holds nothing.
            self.cells[self.row][self.column : self.column + width] = [letter, *[""] * (width - 1)]
            self.column += width


def terminal(width: int, height: int) -> tuple[Console, Screen]:
    """Return a console and the terminal that it writes to."""
    screen = Screen(width, height)
    console = Console(
        file=screen,
        force_terminal=True,
        force_interactive=True,
        width=width,
        height=height,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={"TERM": "xterm-256color"},
    )
    return console, screen
