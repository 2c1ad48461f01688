r"""The paper's words and numbers for a page and for LaTeX: Δ_{fg}, 5.72×10^5 and the formulas of quotes set as such."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from markupsafe import Markup, escape

from harness.reports import latex
from harness.reports.latex import Tex

__all__ = ["html", "html_prose", "tex", "tex_prose"]

TextT = TypeVar("TextT", bound=str)

_PIECE = re.compile(
    r"""\$(?P<formula>[^$]+)\$
      | (?<=\u0394)_\{(?P<sub>\w+)\}
      | (?<=\u00d710)\^(?:\{(?P<braced>-?\d+)\}|(?P<bare>-?\d+))""",
    re.VERBOSE,
)
_SCRIPT = re.compile(r"(?P<mark>[_^])(?:\{(?P<braced>[^{}]*)\}|(?P<bare>\w))")
_MINUS = re.compile(r"(?<![\w.)])-(?=\d)")
_UNBROKEN = re.compile(r"(\b[A-Za-z]\w*-\d\b)")
_SYMBOLS = {r"\in": "\u2208", r"\times": "\u00d7", r"\uparrow": "\u2191", r"\downarrow": "\u2193"}
_COMMAND = re.compile(r"\\(?:text|mathbb|mathrm)\{([^{}]*)\}")
_TEX_ONLY = {"\u2713": Tex(r"\ensuremath{\checkmark}"), "\u2208": Tex(r"\ensuremath{\in}")}


def html(text: str) -> Markup:
    """Return `text` for a page, escaped, with subscripts and superscripts where the paper has them."""
    scripts = {"_": "sub", "^": "sup"}
    return _set(
        str(text), _html_leaf, lambda mark, inner: Markup("<{0}>{1}</{0}>").format(scripts[mark], inner), Markup
    )


def html_prose(text: str) -> Markup:
    """Return a sentence of ours the same way, with typographic minus and comparison signs."""
    return html(_signs(text))


def tex(text: str) -> Tex:
    r"""Return `text` for LaTeX, escaped, with \textsubscript and \textsuperscript; needs amssymb for ticks."""
    commands = {"_": r"\textsubscript", "^": r"\textsuperscript"}
    return _set(str(text), _tex_leaf, lambda mark, inner: Tex(f"{commands[mark]}{{{inner}}}"), Tex)


def tex_prose(text: str) -> Tex:
    """Return a sentence of ours the same way, with the same signs."""
    return tex(_signs(text))


def _signs(text: str) -> str:
    return _MINUS.sub("\u2212", str(text)).replace("<=", "\u2264").replace(">=", "\u2265")


def _html_leaf(text: str) -> Markup:
    # Inside Acc-2 and has-0 no line may end.
    pieces = _UNBROKEN.split(text)
    wrapped = (Markup('<span class="nb">{}</span>').format(p) if i % 2 else escape(p) for i, p in enumerate(pieces))
    return Markup("").join(wrapped)


def _tex_leaf(text: str) -> Tex:
    pieces = re.split(f"([{''.join(_TEX_ONLY)}])", text)
    return Tex("".join(_TEX_ONLY.get(piece) or latex.escape(piece) for piece in pieces))


def _set(
    text: str, leaf: Callable[[str], TextT], script: Callable[[str, TextT], TextT], kind: Callable[[str], TextT]
) -> TextT:
    """Cut a text into plain pieces and scripts, and set each."""
    for command, symbol in _SYMBOLS.items():
        text = text.replace(command, symbol)

    def pieces() -> Iterator[TextT]:
        last = 0
        for found in _PIECE.finditer(text):
            yield leaf(text[last : found.start()])
            last = found.end()
            if found["formula"]:
                yield _formula(_COMMAND.sub(r"\1", found["formula"]), leaf, script, kind)
            else:
                mark = "_" if found["sub"] else "^"
                yield script(mark, leaf((found["sub"] or found["braced"] or found["bare"]).replace("-", "\u2212")))
        yield leaf(text[last:])

    return kind("".join(pieces()))


def _formula(
    text: str, leaf: Callable[[str], TextT], script: Callable[[str, TextT], TextT], kind: Callable[[str], TextT]
) -> TextT:
    """Set the scripts of a formula, those within scripts included."""
    out, last = [], 0
    for found in _SCRIPT.finditer(text):
        inner = _formula(found["braced"] or found["bare"] or "", leaf, script, kind)
        out += [leaf(text[last : found.start()]), script(found["mark"], inner)]
        last = found.end()
    return kind("".join([*out, leaf(text[last:])]))
