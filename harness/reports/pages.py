"""What all pages share: the templates, how they print numbers, and writing a file whole."""

from __future__ import annotations

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

__all__ = ["environment", "page", "write"]


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


def _number(text: str) -> str:
    """Return a printed number with a typographic minus."""
    return text.replace("-", "−")


def _whole(value: Any) -> str:
    return "" if pd.isna(value) else f"{int(value):,}".replace(",", "\u202f")


def _seconds(value: Any) -> str:
    return "" if pd.isna(value) else duration(float(value))


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
    made.filters |= {"number": _number, "whole": _whole, "seconds": _seconds}
    # The style sheet is ours and part of the page: no second file, nothing fetched.
    made.globals["style"] = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))  # noqa: S704
    return made
