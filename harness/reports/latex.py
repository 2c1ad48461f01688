r"""LaTeX: escaping, and tables as fragments that any document can \input.

Whatever a template prints is escaped unless it is `Tex`: names come from users' files, and a forgotten escape is a
document that does not compile or, worse, one that runs what a file says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.reports.tables import Block, Number, Table

__all__ = ["TEMPLATES", "Tex", "document", "environment", "escape", "fragment"]

TEMPLATES = Path(__file__).parent / "templates"
_ROWS_PER_PAGE = 34
"""Rows of one part of a table: what a landscape page holds beside caption and notes. Models are never torn apart."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    # Braces stop the ligatures that turn these into other characters.
    "-": "-{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "?": "?{}",
    "!": "!{}",
    ",": ",{}",
    "±": r"\ensuremath{\pm}",
    "×": r"\ensuremath{\times}",
    "÷": r"\ensuremath{\div}",
    "−": r"\ensuremath{-}",
    "Δ": r"\ensuremath{\Delta}",
    "α": r"\ensuremath{\alpha}",
    "↑": r"\ensuremath{\uparrow}",
    "↓": r"\ensuremath{\downarrow}",
    "→": r"\ensuremath{\rightarrow}",
    "≥": r"\ensuremath{\geq}",
    "≤": r"\ensuremath{\leq}",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "§": r"\textsection{}",
    "°": r"\textdegree{}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\textellipsis{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
}
_NAMED = "".join(c for c in _SPECIAL if not c.isascii())
_FOREIGN = re.compile(r"[^\x20-\x7eÀ-ÖØ-öø-ÿ]+")


class Tex(str):
    """Text that is LaTeX already."""

    __slots__ = ()


@dataclass(frozen=True)
class _Part:
    """The blocks of one float, the table it is a part of, and how the part is called."""

    table: Table
    blocks: tuple[Block, ...]
    number: int
    count: int


def escape(text: str) -> Tex:
    """Return `text` so that LaTeX prints it and runs none of it.

    White space becomes one space and control characters vanish. Scripts that pdfLaTeX cannot print by itself go through
    a macro of the fragment, which prints them where the engine or a font can, and their code points where not.
    """
    cleaned = "".join(c for c in re.sub(r"\s+", " ", text) if c.isprintable())
    pieces, last = [], 0
    for match in _FOREIGN.finditer(cleaned):
        pieces.append(_escape_known(cleaned[last : match.start()]))
        pieces.extend(_escape_foreign(match.group()))
        last = match.end()
    return Tex("".join([*pieces, _escape_known(cleaned[last:])]))


def fragment(table: Table) -> str:
    r"""Return one table as floats that a document can \input; needs booktabs, siunitx 3, threeparttable, adjustbox."""
    return environment().get_template("table.tex").render(parts=_parts(table), table=table)


def document(title: str, inputs: Sequence[str], now: datetime) -> str:
    """Return a document of its own that inputs the fragments, on landscape pages."""
    return environment().get_template("tables.tex").render(title=title, inputs=inputs, now=now)


def _escape_known(text: str) -> str:
    return "".join(_SPECIAL.get(c, c) for c in text)


def _escape_foreign(text: str) -> Iterator[str]:
    """Escape characters that have a command one by one, and the rest in runs."""
    for piece in re.findall(f"[{_NAMED}]|[^{_NAMED}]+", text):
        points = " ".join(f"U+{ord(c):04X}" for c in piece)
        yield _SPECIAL.get(piece, rf"\harnessforeign{{{piece}}}{{{points}}}")


def _parts(table: Table) -> list[_Part]:
    parts: list[list[Block]] = [[]]
    for block in table.blocks:
        if parts[-1] and sum(len(b.rows) for b in parts[-1]) + len(block.rows) > _ROWS_PER_PAGE:
            parts.append([])
        parts[-1].append(block)
    return [_Part(table, tuple(blocks), i, len(parts)) for i, blocks in enumerate(parts, start=1)]


def _cells(number: Number) -> Tex:
    """Return the two columns of a cell: the number, and its sd or dagger."""
    if not number.text:
        return Tex(r"\multicolumn{2}{c}{\textemdash}")
    text = rf"\harnessnum{{{number.text}}}"
    mark = {1: r"\harnessbest", 2: r"\harnesssecond"}.get(number.rank)
    left = f"{mark}{{{text}}}" if mark else text
    right = rf"\harnesssd{{{number.sd}}}" if number.sd else r"\textsuperscript{\textdagger}" if number.dagger else ""
    share = rf"\textsuperscript{{{number.share}}}" if number.share else ""
    return Tex(f"{left} & {right}{share}")


def _finalize(value: Any) -> Tex:
    return value if isinstance(value, Tex) else escape(str(value))


@cache
def environment(*folders: Path) -> Environment:
    """Return what renders this room's LaTeX templates, and those in other folders, which may include them."""
    # The output is LaTeX, not HTML: `finalize` escapes every expression instead.
    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        undefined=StrictUndefined,
        finalize=_finalize,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 -- LaTeX is escaped by `finalize`
    )
    made.filters["cells"] = _cells
    made.filters["tex"] = Tex
    return made
