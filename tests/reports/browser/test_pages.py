"""Pages in a real browser: folds, figures, colours, phones, print, and that nothing leaves them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from harness.reports.loss_chart import loss_chart
from harness.reports.pages import environment
from tests.browser import opened
from tests.reports.browser.shown import Site, names

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


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
        figure.locator("button:focus", has_text="Enlarge").wait_for()
        assert not dialog.is_visible()
        assert figure.evaluate("figure => [...figure.children].map(child => child.tagName)") == before
        assert figure.locator("svg").bounding_box() == small


def test_the_browser_keeps_its_own_keys_for_zooming(browser: Browser, site: Site) -> None:
    with opened(browser, site.run) as shown:
        shown.get_by_role("button", name="Enlarge").press("Enter")
        stage = shown.get_by_role("region", name="Enlarged figure")
        width = "stage => stage.firstChild.getBoundingClientRect().width"
        fitting = stage.evaluate(width)
        for key in ("Control++", "Meta++", "Alt++", "Control+-"):
            stage.press(key)
            assert stage.evaluate(width) == fitting, key
        stage.press("+")
        assert stage.evaluate(width) > 1.3 * fitting
        stage.press("Control+0")
        assert stage.evaluate(width) > 1.3 * fitting
        stage.press("0")
        assert stage.evaluate(width) == fitting


@pytest.mark.parametrize("losses", [(1.09821, 1.09829), (0.00001234, 0.00001235), (123456.7, 123457.9), (0.1, 0.9)])
def test_nothing_in_a_chart_covers_anything_else(browser: Browser, tmp_path: Path, losses: tuple[float, float]) -> None:
    history = [{"train_loss": loss, "valid_loss": losses[0], "best": False} for loss in losses]
    template = (
        "{% extends 'base.html' %}{% from 'parts.html' import loss_chart %}{% block main %}{{ loss_chart(chart) }}"
        "{% endblock %}"
    )
    path = tmp_path / "chart.html"
    path.write_text(environment().from_string(template).render(chart=loss_chart(history)), encoding="utf-8")
    corners = """texts => texts.map(text => {
      const { left, top, right, bottom } = text.getBoundingClientRect();
      return [text.textContent, left, top, right, bottom];
    })"""
    with opened(browser, path) as shown:
        boxes = shown.locator(".chart text").evaluate_all(corners)
        ((_, outer_left, _, outer_right, _),) = shown.locator("svg.chart").evaluate_all(corners)
    assert len(boxes) >= 7
    for i, (text, left, top, right, bottom) in enumerate(boxes):
        assert outer_left <= left < right <= outer_right, text
        for other, left_2, top_2, right_2, bottom_2 in boxes[:i]:
            assert right <= left_2 or right_2 <= left or bottom <= top_2 or bottom_2 <= top, (text, other)


def test_a_click_on_a_figure_enlarges_it_and_the_focus_comes_back_to_its_button(browser: Browser, site: Site) -> None:
    with opened(browser, site.run) as shown:
        shown.locator("#history svg").click()
        shown.get_by_role("dialog").get_by_role("button", name="Close").click()
        shown.locator("button:focus", has_text="Enlarge").wait_for()


def rgb(text: str) -> list[float]:
    return [int(number) / 255 for number in re.findall(r"\d+", text)[:3]]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2: relative luminances of two sRGB colours, each plus 0.05."""

    def luminance(text: str) -> float:
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb(text)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


# Every element that bears text itself: its colour, the ground that it stands on, and whether it is large.
WRITTEN = """() => {
  const isClear = (colour) => /, 0\\)$/.test(colour);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const { backgroundColor } = getComputedStyle(one);
      if (!isClear(backgroundColor)) return backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  const written = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.querySelectorAll("body *")]
    .filter((element) => written(element) && element.checkVisibility() && !element.matches("title, desc"))
    .map((element) => {
      const { color, fill, fontSize, fontWeight } = getComputedStyle(element);
      const size = parseFloat(fontSize);
      return {
        colour: element.closest("svg") ? fill : color,
        ground: ground(element),
        large: size >= 24 || (size >= 18.66 && fontWeight >= 700),
        what: element.outerHTML.slice(0, 100),
        kinds: KINDS.filter((kind) => element.closest(kind)),
      };
    });
}"""
KINDS = {
    "report": [
        *("h1", ".meta", ".badge", ".warning", ".warning a", "nav a", "nav button", "caption", "thead th", "summary"),
        *("thead th button", "tr.delta td", "tr.delta th", "tr.value td.n", "tr.alias td", "tr.failed td", ".side"),
        *("td.holds.up", "td.holds.down", ".best", ".second", ".tools label", ".tools legend", ".about", ".notes"),
        *("code", "dt", "dd", "footer"),
    ],
    "run": [".chart text", ".enlarge", "pre", "figcaption", ".badge", ".warning", "dt"],
    "failed": ["#failure .warning", "#failure pre"],
    "history": [".chart text", "figcaption", ".badge", ".warning", "thead th", "tbody td", "code"],
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(
    browser: Browser, held: Path, past: Path, scheme: Literal["light", "dark"]
) -> None:
    runs = sorted((held.parent / "runs").iterdir())
    failed = next(path for path in runs if 'id="failure"' in path.read_text(encoding="utf-8"))
    done = next(path for path in runs if path != failed)
    for name, path in {"report": held, "run": done, "failed": failed, "history": past}.items():
        with opened(browser, path, color_scheme=scheme) as shown:
            shown.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
            found = shown.evaluate(WRITTEN.replace("KINDS", json.dumps(KINDS[name])))
        assert {kind for one in found for kind in one["kinds"]} == set(KINDS[name]), "a kind of text was not looked at"
        for one in found:
            assert contrast(one["colour"], one["ground"]) >= (3 if one["large"] else 4.5), one


def test_the_reasons_of_failed_runs_name_no_folder_of_a_machine(held: Path) -> None:
    text = held.read_text(encoding="utf-8")
    assert "no such file: &#39;…/mosi.pkl&#39;" in text
    assert "alice" not in text


def test_light_and_dark_differ(browser: Browser, site: Site) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        with opened(browser, site.report, color_scheme=scheme) as shown:
            grounds.append(shown.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    assert contrast(*grounds) > 10


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_never_scrolls_the_page_sideways(browser: Browser, site: Site, past: Path, width: int) -> None:
    for path in (site.report, site.run, past):
        with opened(browser, path, width=width) as shown:
            if path != past:  # which has no folds
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


def test_a_table_that_is_printed_in_part_says_so(page: Page) -> None:
    page.get_by_label("Filter models").fill("tfn")
    page.get_by_role("group", name="Rows").get_by_label("differences").uncheck()
    left_out = page.get_by_text("Rows left out: differences")
    assert not left_out.is_visible(), "the box says so already"
    page.emulate_media(media="print")
    assert names(page.locator("table.scores")) == ["TFN", "TFN-fg"]
    assert page.get_by_text("1 of 13 models shown").is_visible()
    assert left_out.is_visible()
    assert not page.get_by_label("Filter models").is_visible()


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
