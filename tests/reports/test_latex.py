"""LaTeX: fragments by their structure, documents by real compiles with two engines and by what their pages say."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.reports import paper_style
from harness.reports.ablation import ablation
from harness.reports.latex import document, escape, fragment, sheet
from harness.reports.latex_layout import parts, wraps
from harness.reports.sheets import Head, Line, heads
from harness.reports.tables import Table
from tests.latex import ENGINES, compile_tex, has_font
from tests.reports import fakes, printable

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
MADE = "harness 0.1.0, commit abc1234 (clean)"
SMALL = (
    r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs,siunitx,threeparttable,adjustbox,textcomp}"
)


@pytest.fixture(scope="module")
def table() -> Table:
    """Three models in four variants over five seeds, with costs and originals of others. Read only."""
    return printable.with_published(printable.with_costs(printable.table()))


def rows_of(text: str) -> list[list[str]]:
    """The lines of a fragment's tables, split into cells; rules and spaces between lines are left out."""
    bodies = re.findall(r"\\toprule(.*?)\\bottomrule", text, flags=re.DOTALL)
    lines = [line for body in bodies for line in body.split("\\\\\n")]
    kept = [re.sub(r"\\(?:midrule|addlinespace\[[^]]*\]|cmidrule\S*)\s*", "", line).strip() for line in lines]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", line)] for line in kept if line]


def written(folder: Path, fragments: Sequence[str], title: str = printable.NASTY) -> Path:
    names = [f"f{place}" for place in range(len(fragments))]
    for name, text in zip(names, fragments, strict=True):
        (folder / f"{name}.tex").write_text(text, encoding="utf-8")
    (folder / "tables.tex").write_text(document(title, names, NOW), encoding="utf-8")
    return folder


def value_row(text: str, label: str) -> list[str]:
    return next(row for row in rows_of(text) if row[0] == str(escape(label)))


# ------------------------------------------------------------------------------------------------------ house style


def test_every_row_has_three_columns_per_metric_and_one_per_cost(table: Table) -> None:
    found = rows_of(fragment(table))
    body = [row for block in table.blocks for row in block.rows]
    assert len(found) == 2 + len(body), "two lines of heads"
    for cells in found[2:]:
        spanned = sum(2 for cell in cells if cell.startswith(r"\multicolumn{3}"))
        assert len(cells) + spanned == 2 + 3 * len(table.columns) + 2


def test_daggers_stand_alone_between_number_and_spread(table: Table) -> None:
    held = sum(number.dagger for block in table.blocks for row in block.rows for number in row.numbers)
    assert held > 0
    found = [cells for cells in rows_of(fragment(table)) if cells[0].startswith(r"\ensuremath{\Delta}")]
    daggers = [place for cells in found for place, cell in enumerate(cells) if cell == r"\harnessdagger"]
    assert len(daggers) == held
    assert {place % 3 for place in daggers} == {0}, "the second of every metric's three columns, after model and n"


def test_marks_are_those_of_the_table(table: Table) -> None:
    text = fragment(table)
    for rank, command in ((1, r"\harnessbest{"), (2, r"\harnesssecond{")):
        expected = sum(number.rank == rank for block in table.blocks for row in block.rows for number in row.numbers)
        assert expected > 0
        assert sum(cell.startswith(command) for row in rows_of(text) for cell in row) == expected


def test_published_rows_are_set_off_and_have_no_spread(table: Table) -> None:
    [cells] = [row for row in rows_of(fragment(table)) if row[0] == r"\harnessothers{TFN*}"]
    assert cells[1] == ""
    assert cells[2] == r"\harnessothers{\harnessnum{70.00}}"
    assert not any("harnesssd" in cell or "best" in cell for cell in cells)
    assert cells[-3:] == [r"\multicolumn{3}{c}{\textemdash}", "", ""]


def test_costs_are_powers_and_their_changes_percent(table: Table) -> None:
    text = fragment(table)
    assert value_row(text, "#TFN-fg")[-2:] == [r"\harnessnum{5.04e6}", r"\harnessnum{3.54e9}"]
    assert value_row(text, "Δ fg")[-2:] == [r"\harnessnum{+0.20}\,\%", ""]
    assert "Params" not in fragment(replace(table, costs=()))


def test_notes_name_signatures_and_what_rendered_them(table: Table) -> None:
    text = fragment(table, made=MADE)
    last = text[text.index("Metric signatures") :]
    for column in table.columns:
        assert str(escape(column.metric.signature)).replace(r"\textbar{}", r"\textbar{}\allowbreak{}") in last
    assert str(escape(f"Rendered by {MADE}.")) in last
    assert "Rendered by" not in fragment(table)


def test_notes_and_labels_stand_once_however_many_parts_there_are() -> None:
    text = fragment(printable.table(fakes.plan(models=[f"M{i}" for i in range(14)])), made=MADE)
    count = text.count(r"\begin{table}")
    assert count > 2
    assert text.count("Metric signatures") == 1
    assert text.count("Rendered by") == 1
    assert len(set(re.findall(r"\\label{(.*?)}", text))) == count
    assert text.count(f"The notes stand below part {count}.") == count - 1


def test_a_share_of_defined_runs_is_printed_even_where_none_is() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original", "fg"))
    store = fakes.filled(plan)
    for record in store.records.values():
        if record.spec.variant == "fg":
            record.frame["pred"] = 0.3
    text = fragment(printable.table(plan, store))
    assert r"\multicolumn{3}{c}{\textemdash\textsuperscript{0/5}}" in value_row(text, "LMF-fg")


# ----------------------------------------------------------------------------------------------------------- sheets


def test_a_sheet_keeps_its_lines_and_prints_a_shared_name_once() -> None:
    lines = (Line("a", ("x", "1")), Line("a", ("y", "-2")), Line("b", ("z", "x-3"), holds=True, opens=True))
    plain = printable.cases(columns=heads(Head("Word", words=True), "Long number"), lines=lines)
    text = sheet(plain, made=MADE)
    head, *found = rows_of(text)
    assert head == ["Utterance", "Word", r"\shortstack[r]{Long\\number}"]
    assert found[:2] == [["a", "x", "1"], ["", "y", r"\ensuremath{-}2"]]
    assert found[2] == [r"\textbf{b}", r"\textbf{z}", r"\textbf{x-{}3}"]
    assert r"\begin{tabular}{@{}llr@{}}" in text
    assert text.count(r"\addlinespace") == 1
    assert r"\textbf{Synthetic data.}" in text
    assert r"\textbf{Synthetic data.}" not in sheet(replace(plain, synthetic=False))


def test_long_words_wrap_and_numbers_do_not() -> None:
    text = sheet(printable.cases())
    [columns] = re.findall(r"\\begin{tabular}{@{}(.*)@{}}", text)
    assert re.sub(r">{\\raggedright\\arraybackslash}p{[\d.]+em}", "p", columns) == "llpprrrp"


def test_long_words_may_break_and_chinese_stays_whole() -> None:
    text = sheet(printable.cases())
    assert max(map(len, re.findall("W+", text))) < 25
    assert rf"\harnessforeign{{{printable.CHINESE}}}" in text


def test_a_sheet_without_lines_is_a_table_all_the_same() -> None:
    [head] = rows_of(sheet(printable.cases(lines=())))
    assert head[0] == "Utterance"


@given(st.lists(st.tuples(st.text(max_size=80), st.text(max_size=30), st.booleans(), st.booleans()), max_size=4))
def test_whatever_a_sheet_says_is_balanced_and_has_all_cells(given_lines: list[tuple[str, str, bool, bool]]) -> None:
    lines = tuple(Line(name, (cell, cell), holds, opens) for name, cell, holds, opens in given_lines)
    text = sheet(printable.cases(columns=heads(Head("W", words=True), "N"), lines=lines))
    bare = re.sub(r"\\[\\{}&%$#_]", "", re.sub(r"(?m)^%.*", "", text))
    assert all(depth >= 0 for depth in depths(bare))
    assert depths(bare)[-1] == 0
    assert [len(row) for row in rows_of(text)] == [3] * (1 + len(lines))


def depths(text: str) -> list[int]:
    return [0, *itertools.accumulate({"{": 1, "}": -1}.get(letter, 0) for letter in text)]


# ----------------------------------------------------------------------------------------------------------- layout


@given(st.lists(st.floats(0.5, 60), min_size=1, max_size=40), st.floats(0, 30))
def test_parts_hold_everything_once_in_order(heights: list[float], notes: float) -> None:
    items = list(range(len(heights)))
    found = parts(items, heights, notes)
    assert [item for part in found for item in part.items] == items
    assert all(part.items for part in found)
    assert [part.number for part in found] == list(range(1, len(found) + 1))
    for part in found:
        assert len(part.items) == 1 or sum(heights[item] for item in part.items) <= 47
    last = [heights[item] for item in found[-1].items]
    assert len(last) == 1 or sum(last) + notes <= 47


@settings(max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 300)), min_size=1, max_size=10))
def test_columns_that_wrap_share_what_the_others_leave(columns: list[tuple[bool, int]]) -> None:
    widths = wraps(["x"] * len(columns), [words for words, _ in columns], [["y" * length for _, length in columns]])
    for (words, length), width in zip(columns, widths, strict=True):
        assert width.letters <= length
        assert width.em == 0 or (words and length > 24)
        assert width.em or width.letters == length
        assert not width.em or width.letters >= 12
    total, room = sum(length for _, length in columns), 165 - 3 * len(columns)
    assert any(width.em for width in widths) == (total > room and any(words and n > 24 for words, n in columns))
    narrowest = [width.letters for width in widths if width.em] == [12] * sum(width.em > 0 for width in widths)
    assert narrowest or sum(width.letters for width in widths) <= room


# --------------------------------------------------------------------------------------------------------- compiles


@pytest.fixture(scope="module", params=ENGINES)
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, table: Table) -> tuple[str, str]:
    """The engine, and what the pages of a document say that holds every kind of fragment."""
    title = f"{printable.NASTY} {printable.CHINESE}"
    nasty = fakes.plan(
        [fakes.dataset(title=title)], ("classification",), ("A&B_%#~^", "LMF"), report={"figures": False}
    )
    other = replace(printable.table(nasty), settings=True)
    marked = ablation(table)
    assert marked is not None
    fragments = [
        *(fragment(table, made=MADE), fragment(printable.with_published(printable.with_costs(other)), made=title)),
        *(fragment(marked), paper_style.fragment(table, printable.counted(table)), paper_style.fragment(other)),
        *(paper_style.ablation_fragment(marked), sheet(printable.cases(), made=title)),
        sheet(printable.cases(slug="long", lines=printable.cases().lines[:2] * 20)),
    ]
    folder = written(tmp_path_factory.mktemp("tex"), fragments, title)
    # This fails on errors, overfull boxes and missing letters.
    return str(request.param), compile_tex(folder, "tables.tex", str(request.param)).text


def test_the_pages_show_the_numbers(compiled: tuple[str, str], table: Table) -> None:
    _, page = compiled
    shown = set(re.findall(r"[+−]?\d+\.\d+", page))
    texts = {number.text.replace("-", "−") for block in table.blocks for row in block.rows for number in row.numbers}
    assert texts - {""} <= shown
    row = next(row for row in table.blocks[2].rows if row.label == "#LMF-fg")
    pattern = r"#LMF-fg\s+5\s+" + r"\s*".join(rf"{n.text}\s*±\s*{n.sd}" for n in row.numbers) + r"\s+5\.04\s*×\s*10"
    assert re.search(pattern, page)
    assert re.search(r"[Δ∆] fg +5 +\+\d", page), "differences keep their sign"
    assert re.search(r"\+0\.20\s?%", page)
    assert "Acc-7|class:round|clip:3|v1" in page.replace("\n", "")


def test_the_pages_show_names_as_they_are(compiled: tuple[str, str]) -> None:
    _, page = compiled
    assert r"A&B_100% #1 $x^2$" in page.replace("ˆ", "^").replace("\N{EN DASH}", "-")
    assert "#A&B_%#" in page
    assert MADE in page


def test_chinese_is_printed_where_it_can_be_and_else_by_its_code_points(compiled: tuple[str, str]) -> None:
    engine, page = compiled
    if engine == "xelatex":
        if not has_font("Noto Serif CJK SC") and not has_font("Noto Sans CJK SC"):
            pytest.skip("no Noto CJK font is installed (Debian: fonts-noto-cjk)")
        assert "不太理想" in page
        assert "U+4E0D" not in page
    else:
        assert "不太理想" in page or "U+4E0D U+592A" in page


def test_a_fragment_fits_a_narrow_page_of_another_document(tmp_path: Path, table: Table) -> None:
    (tmp_path / "one.tex").write_text(fragment(table), encoding="utf-8")
    (tmp_path / "two.tex").write_text(sheet(printable.cases()), encoding="utf-8")
    main = SMALL + r"\begin{document}\input{one}\input{two}\end{document}"
    (tmp_path / "paper.tex").write_text(main, encoding="utf-8")
    assert "LF-DNN" in compile_tex(tmp_path, "paper.tex", runs=1).text


def test_a_table_of_very_many_parts_compiles(tmp_path: Path) -> None:
    text = sheet(printable.cases(lines=printable.cases().lines[:1] * 2500))
    assert text.count(r"\begin{table}") > 52, "more than LaTeX holds back at once"
    (tmp_path / "one.tex").write_text(text, encoding="utf-8")
    (tmp_path / "long.tex").write_text(SMALL + r"\begin{document}\input{one}\end{document}", encoding="utf-8")
    assert "part 60 of" in compile_tex(tmp_path, "long.tex", runs=1).text


def test_a_suite_without_tables_is_a_document_too(tmp_path: Path) -> None:
    assert "There is no table" in compile_tex(written(tmp_path, []), "tables.tex", runs=1).text


def test_an_overfull_box_is_seen(tmp_path: Path) -> None:
    main = r"\documentclass{article}\begin{document}\noindent\hbox to 400pt{}\end{document}"
    (tmp_path / "wide.tex").write_text(main, encoding="utf-8")
    with pytest.raises(AssertionError, match="Overfull"):
        compile_tex(tmp_path, "wide.tex", runs=1)
