"""Texts of a machine as a page may show them: without the folders of whoever ran there, since a report is passed on."""

from __future__ import annotations

import re

__all__ = ["without_paths"]

# No pattern looks ahead without a bound, since a log may hold a word of any length.
_PART = r"""[^\s/\\"'`<>|:;,()\[\]{}]+"""
_DRIVE = r"[A-Za-z]:[/\\]+"
_WORD = r"[\w.~…@%+$-]"
_PATHS = re.compile(
    rf"""
    # An address in a network stays; one without a host, such as file:///home, is a path.
    (?P<address> \b(?!file:)[A-Za-z][\w+.-]{{,30}}://[^\s/"'<>(),;][^\s"'<>(),;]* )
    # Between quotes a path may have blanks and brackets.
    | (?<=(?P<quote>["'`])) (?P<quoted> (?:/|{_DRIVE})[^"'`\n:;,]+ ) (?=(?P=quote))
    # A drive's letter stands alone.
    | (?<!\w) (?P<drive> {_DRIVE}{_PART}(?:[/\\]+{_PART})*[/\\]* )
    # What follows a word, a dot or a closing bracket is relative to it, unless the word is an escaped line end.
    | (?P<relative> (?:[)\]}}] | (?:(?<![\w.~…\\]) | (?<=\\[nrt]))[\w.~…]){_WORD}{{,255}} (?:/+{_WORD}+)+ )
    | (?<!/) (?P<path> (?:/+{_PART}){{2,}}/* )
    """,
    re.VERBOSE,
)
_INSTALLED = re.compile(r".*/(?:site|dist)-packages/(?=.)")
_HOME = re.compile(r"/+(?:home|Users)/+[^/]+")


def without_paths(text: str) -> str:
    """Return a text whose absolute paths, of POSIX or with a drive, are cut to what says nothing about the machine.

    Parameters
    ----------
    text : str
        A log, a traceback, a message.

    Returns
    -------
    str
        A path of an installed package begins at the package, as in ``…/torch/nn/modules/linear.py``; of any other the
        last part stays, and of somebody's home nothing. Paths of one part (``/tmp``), relative paths, fractions,
        dates and addresses such as ``https://pytorch.org/docs`` stay.
    """
    return _PATHS.sub(_cut, text)


def _cut(found: re.Match[str]) -> str:
    if found["address"] or found["relative"]:
        return found[0]
    path = re.sub(r"[/\\]+", "/", found[0]).rstrip("/")
    if path.count("/") < 2 and path.startswith("/"):
        return found[0]
    below_drive = path if path.startswith("/") else path[2:]
    if _HOME.fullmatch(below_drive):
        return "…"
    installed = _INSTALLED.match(path)
    return "…/" + (path[installed.end() :] if installed else path.rpartition("/")[2])
