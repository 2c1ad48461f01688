"""Matplotlib's SVG made fit for a page: ids of its own, the page's text colour, and words for screen readers."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from harness.figures.style import BLUE, INK, LIGHT_BLUE

__all__ = ["adapted"]

_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_FONTS = "'DejaVu Sans', Verdana, 'Noto Sans', 'Noto Sans CJK SC', 'Droid Sans Fallback', sans-serif"
# Holds where the file is opened by itself: as part of a page it is not the root, and takes the page's colours.
_ALONE = (
    "svg:root{color:#1c2128;background:#fff}"
    "@media (prefers-color-scheme:dark){svg:root{color:#e6edf3;background:#0f141a}}"
)
# The one colour of the palette that is dim on near-black gives way to its lighter sister there. Not below the figure's
# id: what `use` repeats stands in a tree of its own. In every figure the rule is the same.
_DARK = "".join(f'[style*="{part}: {BLUE.lower()}"]{{{part}:{LIGHT_BLUE}!important}}' for part in ("fill", "stroke"))
_REFERENCE = re.compile(r"url\(#")
_FAMILY = re.compile(r"font-family:[^;]*;?\s*")

ET.register_namespace("", _SVG)
ET.register_namespace("xlink", _LINK)


def adapted(picture: bytes, name: str, title: str, description: str) -> bytes:
    """Return an SVG that can stand in a page beside others, or alone.

    Every id, and what refers to it, starts with the figure's name; `INK` becomes ``currentColor``; no rule of its
    style sheet changes another figure or the page; fonts are named once, at the root, where a page can override them;
    title and description are there for screen readers. There is no XML declaration, so that the file can be put into
    HTML as it is.

    Parameters
    ----------
    picture : bytes
        What matplotlib's SVG backend wrote.
    name, title, description : str
        Of the figure.
    """
    root = ET.fromstring(picture)  # noqa: S314 -- matplotlib's own output
    for child in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(child)
    for element in root.iter():
        _adapt(element, name)
    root.attrib |= {
        "id": name,
        "class": "figure",
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
        "font-family": _FONTS,
    }
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        words = ET.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{tag}"})
        words.text = text
        root.insert(place, words)
    return ET.tostring(root, encoding="unicode").encode()


def _adapt(element: ET.Element, name: str) -> None:
    if element.tag == f"{{{_SVG}}}style":
        dark = f"@media screen and (prefers-color-scheme:dark){{{_DARK}}}"
        element.text = f"#{name} {element.text}{_ALONE}{dark}"
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif key == f"{{{_LINK}}}href":
            element.set(key, f"#{name}-{value.removeprefix('#')}")
        elif key == "style" and element.tag == f"{{{_SVG}}}text":
            element.set(key, _FAMILY.sub("", value).replace(INK, "currentColor"))
        elif key in {"style", "clip-path", "fill", "stroke"}:
            element.set(key, _REFERENCE.sub(f"url(#{name}-", value).replace(INK, "currentColor"))
