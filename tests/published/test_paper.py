"""The typed tables against the paper's text, cell by cell and in order; skipped where the text is not at hand."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from harness.published import Cell, load

PAPER = Path(__file__).resolve().parents[3] / "shared" / "paper" / "paper.txt"
SETTINGS = {"Aligned": "aligned", "Unaligned": "unaligned", "–": None}


@pytest.fixture(scope="module")
def lines() -> list[str]:
    if not PAPER.is_file():
        pytest.skip("the paper's text is not at hand")
    return PAPER.read_text(encoding="utf-8").splitlines()


def printed(lines: list[str], table: int) -> list[list[str]]:
    """The heading and the rows of a table, split at tabs: they follow its caption."""
    rows = []
    for line in lines[lines.index(f"Table {table}") + 1 :]:
        if "\t" in line:
            rows.append(line.split("\t"))
        elif rows:
            break
    return rows


def once(cells: list[Cell]) -> list[Cell]:
    """One of the two numbers of each cell that holds two."""
    return [cell for cell in cells if cell.half != "non-0"]


@pytest.mark.parametrize("table", [4, 5, 6, 7, 8])
def test_every_result_stands_in_the_paper_and_every_result_of_the_paper_was_typed(lines: list[str], table: int) -> None:
    heading, *wanted = printed(lines, table)
    typed = [once(list(cells)) for _, cells in groupby(load().table(table), key=lambda cell: cell.place)]
    settings = [row.pop() for row in wanted] if heading[-1] == "Data Setting" else ["–"] * len(wanted)
    assert [[cells[0].row, *(cell.text for cell in cells)] for cells in typed] == wanted
    assert [cells[0].place for cells in typed] == list(range(1, len(wanted) + 1))
    for cells, setting in zip(typed, settings, strict=True):
        assert [cell.heading for cell in cells] == [name for name in heading[1:] if name != "Data Setting"]
        assert {cell.setting for cell in cells} == {SETTINGS[setting]}


def test_the_model_of_a_row_is_that_of_its_block() -> None:
    """Rows of differences belong to the model above them, which no label says."""
    for table in (4, 5, 6, 7):
        model = ""
        for cells in load().rows(table).values():
            cell = next(iter(cells.values()))
            if cell.source != "delta":
                model = cell.row.strip("#*").removesuffix("-fg").replace("MuT", "MulT")
            assert cell.model == model


def test_the_describing_tables(lines: list[str]) -> None:
    tables = load()
    assert [
        [size.row, *(number.text for number in (size.train, size.valid, size.test, size.total))]
        for size in tables.sizes
    ] == printed(lines, 1)[1:]
    assert [
        [row.row, row.modality.capitalize(), row.text, row.dimension.text] for row in tables.sub_features
    ] == printed(lines, 2)[1:]
    ticks = {True: "✓", False: "–"}
    assert [
        [row.row, row.text, row.acoustics, row.vision, ticks[row.regression], ticks[row.classification]]
        for row in tables.networks
    ] == printed(lines, 3)[1:]


def test_the_case_study(lines: list[str]) -> None:
    (_, *columns), *rows = printed(lines, 9)
    wanted = [{(row[0], column): text for column, text in zip(columns, row[1:], strict=True) if text} for row in rows]
    examples = [
        first | second | third for first, second, third in zip(wanted[::3], wanted[1::3], wanted[2::3], strict=True)
    ]
    assert [dict(case.printed) for case in load().cases] == examples


def test_captions(lines: list[str]) -> None:
    for table, caption in load().captions.items():
        assert lines[lines.index(f"Table {table}") + 2] == caption
    assert list(load().captions) == list(range(1, 10))
