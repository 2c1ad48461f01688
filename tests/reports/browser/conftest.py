"""A browser, and reports to open in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import models
from harness.gate.history import series_of
from harness.reports import render
from harness.reports.history import render_history
from harness.reports.run_pages import run_pages
from harness.results import collect
from tests.browser import opened, running_browser
from tests.gate import made
from tests.reports import fakes
from tests.reports.browser.shown import NOW, Site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    plan = fakes.plan(models=models.names()[:13], variants=("original", "fg"), seeds=(1, 2))
    place = {name: i for i, name in enumerate(plan.suite.models)}
    step = {"original": 5, "fg": 7}
    store = fakes.filled(plan, lambda run: 0.3 + 0.2 * (step[run.variant] * place[run.model] % 13))
    del store.records[plan.runs[2].run_id]
    for i, record in enumerate(store.records.values()):
        record.data["wall_seconds"] = [59.0, 187.0, 4000.0][i % 3]
    out = tmp_path_factory.mktemp("site")
    results = collect(plan, store.as_store)
    report, *_ = render(results, plan, out, now=NOW, resamples=fakes.RESAMPLES)
    addresses = run_pages(results, plan, report.parent)
    return Site(report, report.parent / addresses[plan.runs[0].run_id])


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with differences that hold, for better and for worse, an ablation, aliases, and a run that failed."""
    plan = fakes.plan((fakes.dataset(), fakes.dataset("plain", vision_groups=False)), seeds=(1, 2, 3, 4))
    store = fakes.filled(plan, fakes.typical_error)
    lost = plan.runs[-1]
    del store.records[lost.run_id]
    store.fail(lost, "no such file: '/home/alice/data/mosi.pkl'")
    out = tmp_path_factory.mktemp("held")
    report, *_ = render(collect(plan, store.as_store), plan, out, now=NOW, resamples=fakes.RESAMPLES)
    return report


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The history of a baseline with a change of level."""
    known = made.versions(0.0, 0.0, 0.0, 0.1, 0.1, 0.1)
    out = tmp_path_factory.mktemp("past") / "history.html"
    return render_history(known, series_of(known), ["0123abcd: not JSON"], out, now=NOW)


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    with opened(browser, site.report) as shown:
        yield shown
