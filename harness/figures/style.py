"""How every figure looks: matplotlib's settings, colours that colour-blind readers tell apart, names as plain text."""

from __future__ import annotations

import re
import textwrap
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.figure import Figure

__all__ = [
    "BASELINE_LOOK",
    "BLUE",
    "DIVERGING",
    "HAIR",
    "INK",
    "LIGHT_BLUE",
    "LOOKS",
    "SOFT",
    "WIDTH",
    "Look",
    "applied",
    "families",
    "look_of",
    "settle",
    "sheet",
    "slug",
]

INK = "#010203"
"""The colour of text and lines. In SVG it becomes ``currentColor``, the text colour of the page around the figure,
light or dark; nothing else may have it."""
SOFT, HAIR = 0.65, 0.15
"""How opaque ink is in what stands back (secondary text), and in lines that only guide the eye."""
WIDTH = 7.2
"""Width of a figure in inches: two columns of a paper."""

_FAMILIES = (
    "DejaVu Sans",
    # One of these has the Chinese glyphs, where it is installed.
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "Droid Sans Fallback"),
)
_LETTERS, _LINE = 12.5, 0.16  # of a heading: letters in an inch, inches from line to line
DIVERGING = "RdBu"
"""Red below zero (worse), blue above (better): told apart with every common colour blindness."""


@dataclass(frozen=True)
class Look:
    """How one series is drawn: three ways to tell it from its neighbours.

    ``dashes`` is what matplotlib's ``linestyle`` takes.
    """

    colour: str
    marker: str
    dashes: tuple[float, tuple[float, ...]] | None


BLUE, LIGHT_BLUE = "#0072B2", "#56B4E9"
# After Okabe and Ito (2008), without the yellow, sky blue and orange that fade on white.
BASELINE_LOOK = Look(INK, "o", None)
LOOKS = (
    Look(BLUE, "s", (0.0, (4.0, 1.5))),
    Look("#D55E00", "^", (0.0, (1.5, 1.5))),
    Look("#009E73", "D", (0.0, (6.0, 1.5, 1.5, 1.5))),
    Look("#CC79A7", "v", (0.0, (3.0, 1.0, 1.0, 1.0, 1.0, 1.0))),
)
_BY_VARIANT = {"original": BASELINE_LOOK, **dict(zip(("fg", "a", "v"), LOOKS, strict=False))}

_LOCK = threading.RLock()


def look_of(variant: str) -> Look:
    """Return the look of a variant, the same in every figure."""
    return _BY_VARIANT.get(variant, LOOKS[-1])


@cache
def families() -> tuple[str, ...]:
    """Return the font families that are installed, in the order in which a glyph is looked for."""
    known = {entry.name for entry in font_manager.fontManager.ttflist}
    return tuple(name for name in _FAMILIES if name in known)


@contextmanager
def applied(salt: str = "") -> Iterator[None]:
    """Draw and save in the style of the harness; the settings of the process are as before afterwards.

    Matplotlib's settings belong to the whole process, so one thread draws at a time.

    Parameters
    ----------
    salt : str
        What ids inside an SVG are made from, besides what they stand for.
    """
    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    settings: dict[Any, Any] = {
        **dict.fromkeys(inked, INK),
        "font.family": list(families()),
        "font.size": 8.0,
        "axes.titlesize": 8.5,
        "axes.labelsize": 8.0,
        "xtick.labelsize": 7.5,
        "ytick.labelsize": 7.5,
        "legend.fontsize": 7.5,
        "figure.titlesize": 9.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "legend.frameon": False,
        "lines.linewidth": 1.2,
        "lines.markersize": 4.5,
        "hatch.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        # A name may hold $, which must not start a formula; so no formatter may write formulas either.
        "text.parse_math": False,
        "axes.formatter.use_mathtext": False,
        "svg.fonttype": "none",
        "svg.hashsalt": salt or "harness",
        "pdf.fonttype": 42,
    }
    with _LOCK, mpl.rc_context(settings), warnings.catch_warnings():
        # SVG holds the characters themselves and the reader's fonts draw them; only a PDF made where no font has the
        # glyphs shows boxes, which is no reason to go without the figure.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font", category=UserWarning)
        yield


def sheet(height: float, width: float = WIDTH, *, heading: str = "") -> Figure:
    """Return an empty figure of that many inches, whose axes are laid out without overlap; not known to pyplot.

    A heading stands at its left; one that needs several lines makes the figure higher.
    """
    lines = textwrap.wrap(heading, int(width * _LETTERS))
    figure = Figure(figsize=(width, height + _LINE * max(len(lines) - 1, 0)), dpi=72, layout="constrained")
    if lines:
        figure.suptitle("\n".join(lines), x=0.01, ha="left")
    return figure


def settle(figure: Figure) -> None:
    """Lay a figure out for good, so that neither saving nor what is added from now on moves anything."""
    figure.draw_without_rendering()
    figure.set_layout_engine(None)


def slug(text: str) -> str:
    """Return a name as part of a file name and of an id: letters, digits and hyphens of ASCII.

    Where that loses something, digits of a hash keep different names different.
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")
    return plain if plain == text else f"{plain}-{sha256(text.encode()).hexdigest()[:6]}".lstrip("-")
