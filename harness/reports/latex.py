r"""LaTeX: escaping, and tables as fragments that any document can \input.

Whatever a template prints is escaped unless it is `Tex`: names come from users' files, and a forgotten escape is a
document that does not compile or, worse, one that runs what a file says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.reports.latex_layout import NOTES_WIDE, notes_height, parts, wraps
from harness.reports.sheets import Head, Line, Sheet
from harness.reports.tables import Column, Number, Row, Table

__all__ = ["TEMPLATES", "Tex", "cost", "document", "environment", "escape", "fragment", "mark", "render", "sheet"]

TEMPLATES = Path(__file__).parent / "templates"

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
    "χ": r"\ensuremath{\chi}",
    "²": r"\textsuperscript{2}",
    "·": r"\textperiodcentered{}",
    "✓": r"\ensuremath{\surd}",
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
_EAST = "\u2e80-\uffff"
_MINUS = re.compile(r"(?<![\w)])-(?=[\d.])")
_FOREIGN = re.compile(r"[^\x20-\x7eÀ-ÖØ-öø-ÿ]+")


class Tex(str):
    """Text that is LaTeX already."""

    __slots__ = ()


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


def fragment(table: Table, *, made: str = "") -> str:
    r"""Return one table as floats that a document can \input, in the house style.

    Needs booktabs, siunitx 3, threeparttable and adjustbox. Every metric has three columns of its own: number, dagger,
    standard deviation. A long table comes in parts that hold whole models, with the notes below the last.

    Parameters
    ----------
    table : Table
    made : str
        What rendered it, such as ``"harness 0.1.0, commit abc1234 (clean)"``; said in the last note unless empty.
    """
    return render(
        "table.tex",
        table.blocks,
        [len(block.rows) + 0.5 for block in table.blocks],
        [*map(escape, table.notes), _signatures(table.columns)],
        made,
        slug=table.slug,
        short=f"{table.title}, {table.task}",
        caption=table.caption.rstrip("."),
        synthetic=table.synthetic,
        table=table,
        split=any(split for *_, split in table.groups),
        heads=list(_heads(table.columns)),
    )


def sheet(plain: Sheet, *, made: str = "") -> str:
    r"""Return a plain table as floats that a document can \input; needs what `fragment` needs.

    Long words wrap, numbers stand on the right, lines that hold are bold, and a name that lines share is printed once.
    """
    heads = (Head(plain.first, words=True), *plain.columns)
    rows = [(line.name, *line.cells) for line in plain.lines]
    widths = wraps([head.label for head in heads], [head.words for head in heads], rows)
    room = [max(map(len, column), default=0) for column in zip(*rows, strict=True)] or [0] * len(heads)
    heights = [max([1, *(width.lines(text) for width, text in zip(widths, row, strict=True))]) for row in rows]
    return render(
        "sheet.tex",
        plain.lines,
        heights,
        [escape(text) for text in (plain.about,) if text],
        made,
        slug=plain.slug,
        short=plain.caption.rstrip("."),
        caption=plain.caption.rstrip("."),
        synthetic=plain.synthetic,
        heads=[_head(head, width.em, most) for head, width, most in zip(heads, widths, room, strict=True)],
        columns=[_column(head, width.em) for head, width in zip(heads, widths, strict=True)],
        cells=lambda line: [
            _sheet_cell(text, head, width.em, line)
            for text, head, width in zip((line.name, *line.cells), heads, widths, strict=True)
        ],
        wrapped=any(width.em for width in widths),
    )


def render(
    template: str, items: Sequence[Any], heights: Sequence[float], notes: Sequence[Tex], made: str, **given: Any
) -> str:
    """Return a template of a long table: its items in parts that a page holds, with notes below the last.

    Parameters
    ----------
    template : str
    items : sequence
        What must not be torn apart, such as the blocks of a table.
    heights : sequence of float
        How many lines each item takes.
    notes : sequence of Tex
    made : str
        What rendered it, which the last note says unless empty.
    **given : Any
        ``slug``, ``short``, ``caption`` and ``synthetic``, and what the template wants beside them.
    """
    below = [*notes, *([escape(f"Rendered by {made}.")] if made else [])]
    cut = parts(items, heights, notes_height(below))
    return environment().get_template(template).render(parts=cut, notes=below, notes_wide=NOTES_WIDE, **given)


def document(title: str, inputs: Sequence[str], now: datetime) -> str:
    """Return a document of its own that inputs the fragments, on landscape pages, for pdfLaTeX, XeLaTeX or LuaLaTeX."""
    return environment().get_template("tables.tex").render(title=title, inputs=inputs, now=now)


def _escape_known(text: str) -> str:
    return "".join(_SPECIAL.get(c, c) for c in text)


def _escape_foreign(text: str) -> Iterator[str]:
    """Escape characters that have a command one by one, and the rest in runs."""
    for piece in re.findall(f"[{_NAMED}]|[^{_NAMED}]+", text):
        points = " ".join(f"U+{ord(c):04X}" for c in piece)
        yield _SPECIAL.get(piece, rf"\harnessforeign{{{piece}}}{{{points}}}")


def _signatures(columns: Sequence[Column]) -> Tex:
    """Return the note that says how every metric is computed."""
    # A line may end after a bar, which separates the fields of a signature.
    bar = _SPECIAL["|"]
    distinct = dict.fromkeys(column.metric.signature for column in columns)
    named = (escape(name).replace(bar, rf"{bar}\allowbreak{{}}") for name in distinct)
    return Tex("Metric signatures: " + "; ".join(rf"\texttt{{{name}}}" for name in named) + ".")


def _heads(columns: Sequence[Column]) -> Iterator[Tex]:
    """Yield the heads of the metrics' columns: what tells them apart, or name and unit where nothing stands above."""
    for column in columns:
        label = escape(column.label)
        if not column.label:
            unit = r" (\%)" if column.metric.percent else ""
            label = Tex(f"{escape(column.group)}{unit} {escape(column.arrow)}")
        elif ", " in column.label:
            first, _, second = column.label.partition(", ")
            label = _stacked(first, second, side="c")
        yield Tex(rf"{label}\textsuperscript{{\textdaggerdbl}}") if column.defect else label


def _stacked(first: str, second: str, side: str) -> Tex:
    return Tex(rf"\shortstack[{side}]{{{escape(first)}\\{escape(second)}}}")


def mark(text: str, rank: int) -> Tex:
    """Return LaTeX in bold for rank 1, underlined for rank 2, and as it is for any other."""
    command = {1: r"\harnessbest", 2: r"\harnesssecond"}.get(rank)
    return Tex(f"{command}{{{text}}}" if command else text)


def _cells(number: Number, row: Row) -> Tex:
    """Return the three columns of a cell: the number, its dagger, its standard deviation."""
    share = rf"\textsuperscript{{{escape(number.share)}}}" if number.share else ""
    if not number.text:
        return Tex(rf"\multicolumn{{3}}{{c}}{{\textemdash{share}}}")
    text = rf"\harnessnum{{{number.text}}}"
    text = rf"\harnessothers{{{text}}}" if row.kind == "published" else mark(text, number.rank)
    spread = rf"\harnesssd{{{number.sd}}}" if number.sd else ""
    dagger = r"\harnessdagger" if number.dagger else ""
    return Tex(f"{text} & {dagger} & {spread}{share}")


def cost(text: str, row: Row) -> Tex:
    """Return a cost as a product with a power of ten, in a row of differences a change in percent."""
    if not text:
        return Tex("")
    return Tex(rf"\harnessnum{{{text}}}" + (r"\,\%" if row.kind == "delta" else ""))


def _head(head: Head, em: float, room: int) -> Tex:
    """Return a head of a sheet, in two lines where its words are wider than what stands below."""
    gaps = [match.start() for match in re.finditer(" ", head.label)]
    if em or not gaps or len(head.label) <= room:
        return escape(head.label)
    at = min(gaps, key=lambda gap: abs(gap - len(head.label) / 2))
    return _stacked(head.label[:at], head.label[at + 1 :], side="l" if head.words else "r")


def _column(head: Head, em: float) -> Tex:
    if em:
        return Tex(rf">{{\raggedright\arraybackslash}}p{{{em:.1f}em}}")
    return Tex("l" if head.words else "r")


def _sheet_cell(text: str, head: Head, em: float, line: Line) -> Tex:
    """Return a cell of a sheet, with breaks in words that are longer than their column."""
    if em:
        # The widest bold letters take 1.3 em: pieces of that many letters fit whatever they are. A line may end after
        # any Chinese letter, and after any code point that stands for one.
        longest = max(1, int(0.75 * em))
        words = (re.findall(f"[{_EAST}]+|[^{_EAST}]{{1,{longest}}}", word) for word in text.split())
        told = Tex(" ".join(r"\harnessbreak{}".join(map(escape, pieces)) for pieces in words))
    else:
        told = escape(text if head.words else _MINUS.sub("−", text))
    return Tex(rf"\textbf{{{told}}}") if line.holds and told else told


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
    made.filters |= {"cells": _cells, "cost": cost, "tex": Tex}
    return made
