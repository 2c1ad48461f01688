"""The pages in a real browser: what a reader can do with them, and that nothing leaves them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import models
from harness.metrics import metrics_for
from harness.reports import render
from harness.reports.pages import environment
from harness.reports.run_pages import run_pages
from harness.reports.sheets import Head, Line, Sheet, heads
from harness.results import collect
from tests.browser import opened, running_browser
from tests.reports import fakes

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Site:
    """A report of 13 models over two seeds, and the page of one run."""

    report: Path
    run: Path


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


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    with opened(browser, site.report) as shown:
        yield shown


def names(table: Locator) -> list[str]:
    return [text.strip() for text in table.locator("tbody th:visible").all_inner_texts()]


def cells(table: Locator, column: int) -> list[str]:
    return [text.strip() for text in table.locator(f"tbody tr:visible > :nth-child({column})").all_inner_texts()]


def means(table: Locator, metric: str) -> list[float]:
    """What stands in a metric's column of a table of scores, after the columns of names and of n."""
    column = 3 + [one.name for one in metrics_for("regression", "mosei")].index(metric)
    return [float(text.replace("−", "-").partition("±")[0].strip(" †")) for text in cells(table, column)]


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


def test_a_click_sorts_whole_models_and_the_third_restores_the_order(page: Page) -> None:
    table = page.locator("table.scores")
    head = table.get_by_role("columnheader", name="MAE")
    before, own = names(table), means(table, "MAE")[::3]
    listed = [name for name in before if not name.startswith("Δ") and not name.endswith("-fg")]
    expected = [model for _, model in sorted(zip(own, listed, strict=True))]
    assert expected != listed
    for way, order in (("ascending", expected), ("descending", expected[::-1])):
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == way
        assert names(table) == [name for model in order for name in (model, f"{model}-fg", "Δ fg")]
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None
    assert names(table) == before


def test_the_best_come_first_where_higher_is_better(page: Page) -> None:
    table = page.locator("table.scores")
    head = table.get_by_role("columnheader", name="Corr")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    by_mae = table.get_by_role("columnheader", name="MAE")
    by_mae.get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None, "one column at a time"
    assert by_mae.get_attribute("aria-sort") == "ascending"


def test_the_second_line_of_the_head_sorts_the_columns_below_it(page: Page) -> None:
    table = page.locator("table.scores")
    head = table.get_by_role("columnheader", name="has-0").nth(1)
    head.get_by_role("button").click()
    shown = means(table, "F1/has-0")[::3]
    assert shown == sorted(shown, reverse=True)
    assert shown != sorted(shown)


def test_the_keyboard_sorts_runs_by_time_and_what_is_missing_stays_last(page: Page) -> None:
    page.locator("#runs summary").press("Enter")
    table = page.locator("#runs table")
    press = table.get_by_role("columnheader", name="Wall time").get_by_role("button")
    press.press("Enter")
    rising = cells(table, 5)
    press.press("Space")
    falling = cells(table, 5)
    order = ["59.0 s", "3 min 07 s", "1 h 06 min"]
    assert list(dict.fromkeys(rising)) == [*order, ""]
    assert list(dict.fromkeys(falling)) == [*order[::-1], ""]


@pytest.mark.parametrize(
    ("rising", "words"),
    [
        (["−1.20 to +0.35", "-0.5", "0", "+0.25", "3 %", "12 345"], False),
        (["<0.0001", "0.0001", "0.0002", "0.05", "1.0000"], False),
        (["9.5e5", "1.2e6 †", "3.00e12"], False),
        (["2/5", "10", "12.5 ± 0.3"], False),
        (["seed 2", "seed 10", "Über", "zero"], True),
    ],
)
def test_numbers_sort_as_numbers_and_names_as_people_read(
    browser: Browser, tmp_path: Path, rising: list[str], words: bool
) -> None:
    mixed = [rising[-1], "", *rising[1:-1], "—", rising[0]]
    with opened(browser, sheet_page(tmp_path, {"Value": mixed}, words=words)) as shown:
        press = shown.get_by_role("button", name="Value")
        press.click()
        table = shown.locator("table.sheet")
        assert [text.replace("−", "-") for text in cells(table, 2)] == [
            text.replace("−", "-") for text in (*rising, "", "—")
        ]
        press.click()
        assert cells(table, 2)[0].replace("−", "-") == rising[-1].replace("−", "-")
        assert cells(table, 2)[-2:] == ["", "—"]


def test_rules_between_groups_are_gone_while_a_sheet_is_sorted(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, sheet_page(tmp_path, {"Value": ["2", "1", "3"]})) as shown:
        rule = "getComputedStyle(document.querySelectorAll('tbody td')[2]).borderTopWidth"
        assert shown.evaluate(rule) == "1px"
        shown.get_by_role("button", name="Value").click()
        assert shown.evaluate(rule) == "0px"


def test_a_filter_keeps_models_that_hold_all_words_and_escape_empties_it(page: Page) -> None:
    table = page.locator("table.scores")
    everything = names(table)
    field = page.get_by_label("Filter models")
    field.fill("tfn FG")
    kept = names(table)
    assert kept
    assert all("tfn" in name.lower() for name in kept if not name.startswith("Δ"))
    said = page.locator("#toy-regression output, .tools output").first
    assert said.inner_text() == f"{len(kept) // 3} of 13 models"
    field.fill("no such model")
    assert names(table) == []
    field.press("Escape")
    assert field.input_value() == ""
    assert names(table) == everything
    assert said.inner_text() == ""


def test_kinds_of_rows_can_be_left_out_and_the_order_follows_what_is_shown(page: Page) -> None:
    table = page.locator("table.scores")
    kinds = page.get_by_role("group", name="Rows")
    kinds.get_by_label("differences").uncheck()
    assert not [name for name in names(table) if name.startswith("Δ")]
    table.get_by_role("columnheader", name="MAE").get_by_role("button").click()
    kinds.get_by_label("original").uncheck()
    assert all(name.endswith("-fg") for name in names(table))
    assert means(table, "MAE") == sorted(means(table, "MAE"))
    kinds.get_by_label("original").check()
    kinds.get_by_label("differences").check()
    assert len(names(table)) == 39


def test_published_rows_stay_with_their_model_and_never_decide_its_place(browser: Browser, tmp_path: Path) -> None:
    plan = fakes.plan((fakes.dataset("mosei", synthetic=False),), models=("TFN", "LMF", "MulT"), seeds=(1, 2))
    store = fakes.filled(plan, lambda run: {"TFN": 3.0, "LMF": 0.1, "MulT": 1.0}[run.model])
    results = collect(plan, store.as_store)
    report, *_ = render(results, plan, tmp_path, now=NOW, resamples=fakes.RESAMPLES)
    with opened(browser, report) as shown:
        table = shown.locator("table.scores").first
        assert names(table)[0] == "TFN*"
        table.get_by_role("columnheader", name="MAE").get_by_role("button").click()
        assert [name for name in names(table) if name.endswith("*")] == ["LMF*", "MulT*", "TFN*"]
        assert names(table)[:2] == ["LMF*", "#LMF"]
        shown.get_by_role("group", name="Rows").first.get_by_label("published").uncheck()
        assert names(table)[0] == "#LMF"
        assert not [name for name in names(table) if name.endswith("*")]


def test_folds_open_and_close_together(page: Page) -> None:
    folds = page.locator("main details")
    assert folds.count() > 2
    page.get_by_role("button", name="Open all folds").click()
    assert page.locator("main details[open]").count() == folds.count()
    page.get_by_role("button", name="Close all folds").click()
    assert page.locator("main details[open]").count() == 0


def test_a_link_into_a_closed_fold_opens_it(browser: Browser, site: Site) -> None:
    with opened(browser, site.report, place="rule-test") as shown:
        assert shown.locator("#rule-test").is_visible()
    with opened(browser, site.report) as shown:
        assert not shown.locator("#runs-caption").is_visible()
        shown.evaluate("location.hash = 'runs-caption'")
        shown.locator("#runs-caption").wait_for(state="visible")


def test_a_figure_fills_the_window_and_goes_back(browser: Browser, site: Site) -> None:
    with opened(browser, site.run) as shown:
        figure = shown.locator("#history figure")
        figure.scroll_into_view_if_needed()
        before = figure.evaluate("figure => [...figure.children].map(child => child.tagName)")
        small = figure.locator("svg").bounding_box()
        figure.get_by_role("button", name="Enlarge").press("Enter")
        dialog = shown.get_by_role("dialog", name="Loss by epoch")
        large = dialog.locator("svg").bounding_box()
        assert small is not None
        assert large is not None
        assert large["width"] > 1.5 * small["width"]
        assert large["height"] <= 800
        ids = shown.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
        assert len(ids) == len(set(ids))
        dialog.get_by_role("button", name="Larger").click()
        larger = dialog.locator("svg").bounding_box()
        assert larger is not None
        assert larger["width"] > 1.3 * large["width"]
        shown.keyboard.press("Escape")
        assert not dialog.is_visible()
        assert figure.evaluate("figure => [...figure.children].map(child => child.tagName)") == before
        assert figure.locator("svg").bounding_box() == small
        assert figure.get_by_role("button", name="Enlarge").evaluate("press => press === document.activeElement")


def test_a_click_on_a_figure_enlarges_it_and_the_focus_comes_back_to_its_button(browser: Browser, site: Site) -> None:
    with opened(browser, site.run) as shown:
        shown.locator("#history svg").click()
        shown.get_by_role("dialog").get_by_role("button", name="Close").click()
        assert shown.evaluate("document.activeElement.textContent") == "Enlarge"


def rgb(text: str) -> list[float]:
    return [int(number) / 255 for number in re.findall(r"\d+", text)[:3]]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2: relative luminances of two sRGB colours, each plus 0.05."""

    def luminance(text: str) -> float:
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb(text)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_light_and_dark_differ_and_both_can_be_read(browser: Browser, site: Site) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        with opened(browser, site.report, color_scheme=scheme) as shown:
            grounds[scheme] = shown.evaluate("getComputedStyle(document.documentElement).backgroundColor")
            for selector in ("body", ".meta", "nav a", "nav button", "caption", "tr.delta td", ".side", "summary"):
                colour = shown.evaluate(f"getComputedStyle(document.querySelector({selector!r})).color")
                assert contrast(colour, grounds[scheme]) >= 4.5, (scheme, selector)
    assert contrast(grounds["light"], grounds["dark"]) > 10


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_never_scrolls_the_page_sideways(browser: Browser, site: Site, width: int) -> None:
    for path in (site.report, site.run):
        with opened(browser, path, width=width) as shown:
            shown.get_by_role("button", name="Open all folds").click()
            assert shown.evaluate("document.documentElement.scrollWidth") <= width, path.name


def test_print_is_black_on_white_without_controls(browser: Browser, site: Site) -> None:
    with opened(browser, site.report, color_scheme="dark") as shown:
        shown.emulate_media(media="print", color_scheme="dark")
        assert shown.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
        assert shown.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        link = shown.evaluate("getComputedStyle(document.querySelector('nav a')).color")
        assert contrast(link, "rgb(255, 255, 255)") >= 4.5, "a colour for dark pages"
        for gone in ("nav", ".tools >> nth=0", "#runs table"):
            assert not shown.locator(gone).is_visible(), gone
        said = "getComputedStyle(document.querySelector('#runs summary'), '::after').content"
        assert "not printed" in shown.evaluate(said)
        assert names(shown.locator("table.scores"))
        assert shown.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_without_scripts_everything_is_there_and_nothing_pretends_to_be_a_control(browser: Browser, site: Site) -> None:
    with opened(browser, site.report, java_script_enabled=False) as shown:
        assert len(names(shown.locator("table.scores"))) == 39
        shown.locator("#runs summary").click()
        assert len(names(shown.locator("#runs table"))) == 52
        assert shown.locator("button, input").count() == 0


def test_a_run_page_leads_back_to_the_runs(browser: Browser, site: Site) -> None:
    with opened(browser, site.run) as shown:
        back = shown.locator("header a").evaluate("link => link.href")
    assert back == f"{site.report.as_uri()}#runs"


def test_the_policy_of_a_page_lets_nothing_else_run_or_load(browser: Browser, site: Site, tmp_path: Path) -> None:
    text = site.report.read_text(encoding="utf-8")
    foreign = "<script>document.title = 'taken'</script><img src='http://example.invalid/a.png'>"
    path = tmp_path / "index.html"
    path.write_text(text.replace("<main>", f"<main>{foreign}", 1), encoding="utf-8")
    fresh = browser.new_page()
    refused: list[str | None] = []
    fresh.on("requestfailed", lambda request: refused.append(request.failure))
    with fresh.expect_event("requestfailed"):
        fresh.goto(path.as_uri())
    assert fresh.title() == "A made-up suite"
    assert refused == ["csp"]
    fresh.close()
