"""What the tests of pages share: the reports they look at, and what is seen of tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.metrics import metrics_for
from harness.reports.pages import environment
from harness.reports.sheets import Head, Line, Sheet, heads

if TYPE_CHECKING:
    from playwright.sync_api import Locator

__all__ = ["NOW", "Site", "cells", "means", "names", "sheet_page"]

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Site:
    """A report of 13 models over two seeds, and the page of one run."""

    report: Path
    run: Path


def names(table: Locator) -> list[str]:
    """The rows' heads as they are seen."""
    seen = "heads => heads.map(head => head.firstChild.textContent.trim())"
    found: list[str] = table.locator("tbody th:visible").evaluate_all(seen)
    return found


def cells(table: Locator, column: int) -> list[str]:
    return [text.strip() for text in table.locator(f"tbody tr:visible > :nth-child({column})").all_inner_texts()]


def means(table: Locator, metric: str) -> list[float]:
    """What stands in a metric's column of a table of scores, after the columns of names and of n."""
    column = 3 + [one.name for one in metrics_for("regression", "mosei")].index(metric)
    shown = table.locator(f"tbody tr:visible > :nth-child({column}) .mean").all_inner_texts()
    return [float(text.replace("−", "-")) for text in shown]


def sheet_page(folder: Path, columns: dict[str, list[str]], *, words: bool = False) -> Path:
    """A page with nothing on it but a sheet, whose lines are named by their place."""
    count = len(next(iter(columns.values())))
    sheet = Sheet(
        "sheet",
        "Anything.",
        "",
        False,
        "Line",
        heads(*(Head(name, words=words) for name in columns)),
        tuple(Line(str(i), tuple(texts[i] for texts in columns.values()), opens=i > 0) for i in range(count)),
    )
    template = (
        "{% extends 'base.html' %}{% from 'parts.html' import draw %}{% block main %}{{ draw(sheet) }}{% endblock %}"
    )
    path = folder / "sheet.html"
    path.write_text(environment().from_string(template).render(sheet=sheet), encoding="utf-8")
    return path
