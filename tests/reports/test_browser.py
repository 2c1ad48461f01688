"""The pages in a real browser: what a reader can do with them, and that nothing leaves them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from harness import models
from harness.metrics import metrics_for
from harness.reports import render
from harness.reports.loss_chart import loss_chart
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


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    with opened(browser, site.report) as shown:
        yield shown


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
    said = page.locator(".tools output").first
    assert {"TFN", "TETFN", "MLF-DNN", "LF-DNN"} <= set(everything)
    for asked, kept in {"tfn FG": ["TFN"], "Tfn-fg": ["TFN"], "dnn": ["LF-DNN", "MLF-DNN"], "-dnn": []}.items():
        field.fill(asked)
        expected = kept or ["LF-DNN", "MLF-DNN"]
        assert [name for name in names(table) if name in everything[::3]] == [
            model for model in everything[::3] if model in expected
        ], asked
        assert len(names(table)) == 3 * len(expected), "blocks stay whole"
        assert said.inner_text() == f"{len(expected)} of 13 models shown"
    field.fill("no such model")
    assert names(table) == []
    field.press("Escape")
    assert field.input_value() == ""
    assert names(table) == everything
    assert said.inner_text() == ""


def test_kinds_of_rows_can_be_left_out_and_the_order_follows_what_is_shown(page: Page) -> None:
    table = page.locator("table.scores")
    kinds = page.get_by_role("group", name="Rows")
    assert [text.strip() for text in kinds.locator("label").all_inner_texts()] == ["original", "fg", "differences"]
    kinds.get_by_label("differences").uncheck()
    assert not [name for name in names(table) if name.startswith("Δ")]
    table.get_by_role("columnheader", name="MAE").get_by_role("button").click()
    kinds.get_by_label("original").uncheck()
    assert all(name.endswith("-fg") for name in names(table))
    assert means(table, "MAE") == sorted(means(table, "MAE"))
    kinds.get_by_label("original").check()
    kinds.get_by_label("differences").check()
    assert len(names(table)) == 39


def test_differences_alone_sort_by_themselves_with_the_largest_improvement_first(page: Page) -> None:
    table = page.locator("table.scores")
    kinds = page.get_by_role("group", name="Rows")
    kinds.get_by_label("original").uncheck()
    kinds.get_by_label("fg").uncheck()
    assert names(table) == ["Δ fg"] * 13
    whose = [one.inner_text().strip() for one in table.locator("th > .unseen").all()]
    assert whose == [f"of {model}" for model in models.names()[:13]]
    first = table.locator("tr.delta th").first
    assert first.evaluate("head => getComputedStyle(head.querySelector('.unseen')).clipPath") == "none", (
        "named by nothing else"
    )
    for metric in ("MAE", "Corr"):
        head = table.get_by_role("columnheader", name=metric)
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        shown = means(table, metric)
        assert shown == sorted(shown, reverse=True)
        assert shown[0] > 0 > shown[-1]
    kinds.get_by_label("original").check()
    assert means(table, "Corr")[::2] == sorted(means(table, "Corr")[::2], reverse=True), "values decide again"


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("-2.39", ["−2.39", "-2.39 kg"]),
        ("−2.39", ["−2.39", "-2.39 kg"]),
        ("2.39", ["−2.39", "-2.39 kg", "2.391"]),
        ("39", ["39"]),
        ("635821", ["635\u202f821", "635,821"]),
        ("635,821", ["635\u202f821", "635,821"]),
        ("635\u202f821", ["635\u202f821", "635,821"]),
        ("821", []),
        ("aligned", ["aligned", "mosi-aligned"]),
        ("UNAL", ["unaligned"]),
        ("über", ["Über"]),
        (".*(", []),
        ("c++ (x)", ["C++ (x)"]),
    ],
)
def test_a_filter_finds_words_and_numbers_from_their_beginning(
    browser: Browser, tmp_path: Path, asked: str, kept: list[str]
) -> None:
    texts = ["−2.39", "-2.39 kg", "12.39", "2.391", "39", "635\u202f821", "635,821", "1635821"]
    texts += ["aligned", "unaligned", "mosi-aligned", "Über", "C++ (x)"]
    lines = {"Value": texts, "Other": ["nothing"] * len(texts)}
    with opened(browser, sheet_page(tmp_path, lines, words=True)) as shown:
        shown.get_by_label("Filter rows").fill(asked)
        table = shown.locator("table.sheet")
        assert cells(table, 2) == kept
        assert shown.locator(".tools output").inner_text() == f"{len(kept)} of {len(texts)} rows shown"


def test_those_who_hear_the_page_are_told_ranks_and_whose_a_difference_is(browser: Browser, held: Path) -> None:
    with opened(browser, held) as shown:
        table = shown.locator("table.scores").first
        heads = table.locator("tr.delta th").all_text_contents()
        assert [head.strip() for head in heads[:3]] == ["Δ fg of LF-DNN", "Δ a of LF-DNN", "Δ v of LF-DNN"]
        for rank, text in {"best": "best", "second": "second best"}.items():
            marked = table.locator(f"td.{rank}")
            assert marked.count() >= 9
            assert {
                told.all_text_contents()[0].strip() for told in (cell.locator(".unseen") for cell in marked.all())
            } == {text}
            assert text in marked.first.aria_snapshot()
        assert table.locator("td:not(.best, .second) .unseen").count() == 0
        for hidden in table.locator(".unseen").all():
            box = hidden.bounding_box()
            assert box is None or box["width"] <= 1


def test_the_place_for_a_spread_is_kept_only_where_there_is_one(browser: Browser, held: Path, tmp_path: Path) -> None:
    plan = fakes.plan(seeds=(1,))
    store = fakes.filled(plan, fakes.typical_error)
    lone, *_ = render(collect(plan, store.as_store), plan, tmp_path, now=NOW, resamples=fakes.RESAMPLES)
    width = "document.querySelector('.scores .side').getBoundingClientRect().width"
    with opened(browser, held) as shown:
        assert shown.evaluate(width) > 40
    with opened(browser, lone) as shown:
        assert shown.evaluate(width) < 10


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
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(browser: Browser, held: Path, scheme: Literal["light", "dark"]) -> None:
    runs = sorted((held.parent / "runs").iterdir())
    failed = next(path for path in runs if 'id="failure"' in path.read_text(encoding="utf-8"))
    done = next(path for path in runs if path != failed)
    for name, path in {"report": held, "run": done, "failed": failed}.items():
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
