"""What all pages share: the templates, how they print numbers, and writing a file whole."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.disk import replace_file
from harness.errors import StoreError
from harness.reports.latex import TEMPLATES
from harness.reports.numbers import duration
from harness.reports.private import without_paths

__all__ = ["environment", "flat", "page", "write"]


def page(template: str, **given: Any) -> str:
    """Return an HTML page made from a template of this room; whatever is given is escaped."""
    return environment().get_template(template).render(given)


def write(path: Path, text: str) -> Path:
    """Write a file, which appears whole or not at all, and return its path.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda file: file.write(text.encode("utf-8")))
    except OSError as error:
        raise StoreError(
            f"cannot write the report: {error.strerror or error}",
            where=str(path),
            hint="check space and permissions there, or name another folder with --reports-dir",
        ) from error
    return path


def flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested mappings as dotted names, so that any of them can be listed; what is empty is left out."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from flat(inner, f"{prefix}{key}.")
        elif inner is not None and (text := _listed(inner)):
            yield f"{prefix}{key}", text


def _listed(value: Any) -> str:
    """Return a list as ``ZCR 1, MFCC 20``, and anything else as it is."""
    if isinstance(value, (list, tuple)):
        return ", ".join(_listed(one).replace(", ", " ") for one in value)
    return str(value)


def _number(text: str) -> str:
    """Return a printed number with a typographic minus."""
    return text.replace("-", "−")


def _whole(value: Any) -> str:
    return "" if pd.isna(value) else f"{int(value):,}".replace(",", "\u202f")


def _seconds(value: Any) -> str:
    return "" if pd.isna(value) else duration(float(value))


def _plain(value: Any) -> str:
    """Return a number as a script sorts by it."""
    return "" if pd.isna(value) else repr(float(value))


def _power(text: str) -> Markup | str:
    """Return ``5.04e6`` as a product with a power of ten."""
    mantissa, found, exponent = text.partition("e")
    if not found:
        return _number(text)
    return Markup("{}×10<sup>{}</sup>").format(_number(mantissa), _number(str(int(exponent))))


@cache
def environment(*folders: Path) -> Environment:
    """Return what renders this room's templates, and those in other folders, which may extend them."""
    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": _number, "plain": _plain, "power": _power, "seconds": _seconds, "whole": _whole}
    made.filters["pathless"] = without_paths
    # Style sheet and script are ours and part of the page: no second file, nothing fetched.
    script = (TEMPLATES / "script.js").read_text(encoding="utf-8")
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    made.globals |= {
        "style": Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),  # noqa: S704
        "script": Markup(script),  # noqa: S704
        # The page's policy lets this script run, by its hash, and no other.
        "script_hash": f"sha256-{base64.b64encode(digest).decode()}",
    }
    return made
