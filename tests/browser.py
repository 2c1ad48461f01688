"""A real browser, driven: the system's Chromium through Playwright, which downloads nothing here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["opened", "running_browser"]


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Give a Chromium without a window; skips, with the reason, where there is none or Playwright is not installed."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (it is in the test extra)"
    )
    program = os.environ.get("HARNESS_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine (HARNESS_TEST_CHROMIUM names one)")
    with sync_api.sync_playwright() as playwright:
        # Containers often run tests as root, where Chromium has no sandbox to offer; the pages are our own.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, path: Path, *, place: str = "", width: int = 1400, **context: Any) -> Iterator[Page]:
    """Open a file; afterwards, nothing but that file was asked for, and the page complained of nothing.

    Parameters
    ----------
    browser : Browser
    path : Path
    place : str
        An anchor to begin at.
    width : int
        Of the window, in CSS pixels.
    **context
        Options of Playwright's browser context, such as ``color_scheme`` and ``java_script_enabled``.
    """
    asked: list[str] = []
    complaints: list[str] = []
    fresh = browser.new_context(viewport={"width": width, "height": 800}, offline=True, **context)
    fresh.set_default_timeout(5000)
    try:
        page = fresh.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{path.as_uri()}#{place}" if place else path.as_uri())
        yield page
        assert {url.partition("#")[0] for url in asked} == {path.as_uri()}
        assert complaints == []
    finally:
        fresh.close()
