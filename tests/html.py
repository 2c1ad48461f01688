"""Pages as a strict HTML parser reads them."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

import html5lib

__all__ = ["parse", "text_of"]


def parse(page: Path) -> Element:
    """Return the document; whatever is not valid HTML raises."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    document: Element = parser.parse(page.read_text(encoding="utf-8"))
    return document


def text_of(element: Element | None) -> str:
    """Return the text of an element that must be there, white space collapsed."""
    assert element is not None
    return " ".join("".join(element.itertext()).split())
