"""Tables in a real browser: sorting, filtering, what those who hear them are told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import models
from harness.reports import render
from harness.results import collect
from tests.browser import opened
from tests.reports import fakes
from tests.reports.browser.shown import NOW, cells, means, names, sheet_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


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
