"""The paper's own layout, held to the paper's own tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness.costs import CellCosts, CellKey
from harness.published import Cell, load, own_results
from harness.reports import paper_style
from harness.reports.ablation import ablation
from harness.reports.tables import Block, Number, Row, Table
from harness.spec import Task
from tests.reports import fakes, printable
from tests.reports.test_latex import rows_of

MODELS = ("TFN", "LMF")
OURS = {"value": "reproduction", "delta": "delta"}
PAPER = ((4, "mosei", "regression"), (5, "sims", "regression"), (6, "mosei", "classification"))


def plain(cell: str) -> str:
    """What a cell of LaTeX prints, in the notation of the paper's text."""
    cell = re.sub(r"\\harness(?:num|best|second){([^{}]*)}", r"\1", cell)
    cell = re.sub(r"\\harness(?:best|second){([^{}]*)}", r"\1", cell)
    for tex, text in ((r"\ensuremath{\Delta}\textsubscript", "Δ_"), (r"\#", "#"), (r"\,\%", "%"), ("-{}", "-")):
        cell = cell.replace(tex, text)
    return re.sub(r"e(\d+)$", r"×10^\1", cell.replace(r"\textendash{}", "–"))


def arrowed(head: str) -> str:
    """A head of the paper or of ours, with one spelling of arrows and without what only ours says."""
    head = head.replace(r"\textsuperscript{\textdaggerdbl}", "").replace(r"\%", "%")
    for arrow, name in (("↑", "uparrow"), ("↓", "downarrow")):
        head = re.sub(rf"\s*(?:{arrow}|(?:\\ensuremath{{)?\\{name}}}?)", arrow, head)
    return head


def as_printed(number: int, dataset: str, task: Task) -> Table:
    """A table of the harness that holds the paper's numbers."""
    data = fakes.dataset(dataset, synthetic=False, convention=dataset)
    made = printable.table(fakes.plan([data], (task,), MODELS, ("original", "fg")))
    printed: dict[tuple[str, str, str, str], Cell] = {
        (cell.model, cell.variant, cell.source, cell.metric): cell for cell in load().table(number)
    }

    def row(block: Block, one: Row) -> Row:
        if one.kind == "published":
            return one
        cells = [printed.get((block.model, one.variant, OURS[one.kind], name)) for name in made.metrics]
        texts = [cell.printed.plain.replace("−", "-") if cell is not None and cell.printed else "" for cell in cells]
        signs = [one.kind == "delta" and text.startswith("+") and float(text) > 0 for text in texts]
        return replace(
            one, numbers=tuple(Number(text, sign=1 if sign else 0) for text, sign in zip(texts, signs, strict=True))
        )

    blocks = tuple(replace(block, rows=tuple(row(block, one) for one in block.rows)) for block in made.blocks)
    return replace(made, blocks=blocks)


def printed_costs(table: Table) -> dict[CellKey, CellCosts]:
    params, flops = own_results("Params"), own_results("FLOPs")
    costs: dict[CellKey, CellCosts] = {}
    for model in MODELS:
        for variant in ("original", "fg"):
            key = (table.dataset, model, variant)
            counts = int(params[key].value), int(flops[key].value)
            costs[table.dataset, "unaligned", table.task, model, variant] = CellCosts(1, 1, *counts, batch_size=1)
    return costs


def rows_in_paper(number: int) -> Iterator[list[str]]:
    """The paper's rows of these models as they stand in its text, with one dash and one minus for all."""
    by_row: dict[int, dict[str, Cell]] = {}
    for cell in load().table(number):
        if cell.model in MODELS:
            by_row.setdefault(cell.place, {})[cell.heading] = cell
    for cells in by_row.values():
        first = next(iter(cells.values()))
        texts = [cell.text if cell.printed is not None else "–" for cell in cells.values()]
        setting = [first.setting.capitalize() if first.setting else "–"] if number == 4 else []
        yield [text.replace("−", "-") for text in (first.row, *texts, *setting)]


@pytest.mark.parametrize(("number", "dataset", "task"), PAPER)
def test_the_papers_tables_come_out_as_they_are_printed(number: int, dataset: str, task: Task) -> None:
    table = as_printed(number, dataset, task)
    head, *rows = rows_of(paper_style.fragment(table, printed_costs(table)))
    printed = list(dict.fromkeys(arrowed(cell.heading) for cell in load().table(number)))
    assert [arrowed(plain(cell)) for cell in head] == ["Model", *printed, *(["Data Setting"] if number == 4 else [])]
    found = [[plain(cell) for cell in row] for row in rows]
    expected = [[re.sub(r"^\+(0\.00%)$", r"\1", text) for text in row] for row in rows_in_paper(number)]
    assert found == expected


def test_improvements_alone_are_bold() -> None:
    table = as_printed(4, "mosei", "regression")
    rows = rows_of(paper_style.fragment(table))
    bold = [cell for row in rows for cell in row if "harnessbest" in cell]
    signs = [n.sign > 0 for block in table.blocks for row in block.rows for n in row.numbers]
    assert "".join(bold).count(r"\harnessbest{") == sum(signs) > 4
    assert all("+" in cell for cell in bold)
    assert r"\harnesssecond" not in "".join(cell for row in rows for cell in row)


def test_ours_are_marked_whatever_the_data_and_synthetic_ones_called_so() -> None:
    table = printable.table()
    text = paper_style.fragment(table, printable.counted(table), made="harness 0.1")
    labels = [plain(row[0]) for row in rows_of(text)]
    assert labels[:4] == ["Model", "#LF-DNN", "#LF-DNN-fg", "Δ_{fg}"]
    assert r"\textbf{Synthetic data.}" in text
    assert "harnesssd" not in text.split(r"\begin{table}", 1)[1]
    assert r"\harnessdagger" not in text.split(r"\begin{table}", 1)[1]
    assert [plain(cell) for cell in rows_of(text)[3][-2:]] == ["+10.00%", "+10.00%"]
    assert "(n: 5)" in text
    assert "Rendered by harness 0.1." in text


def test_without_such_a_table_in_the_paper_corrections_alone_are_left_out() -> None:
    table = printable.table(fakes.plan(tasks=("classification",)))
    heads = [head.split(r" (\%)")[0] for head in rows_of(paper_style.fragment(table))[0][1:]]
    assert heads == ["Acc-{}2", "F1", "Acc-{}3", "F1-{}3"]
    alone = printable.table(fakes.plan(tasks=("classification",), report={"metrics": ["Acc-2/non-0/corrected"]}))
    assert len(rows_of(paper_style.fragment(alone))[0]) == 2


def test_missing_halves_and_missing_runs_are_dashes() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original", "fg"))
    store = fakes.filled(plan)
    for run in plan.runs[5:]:
        del store.records[run.run_id]
    table = printable.table(plan, store)
    first = table.blocks[0].rows[0]
    half = replace(first, numbers=(Number(), *first.numbers[1:]))
    table = replace(table, blocks=(replace(table.blocks[0], rows=(half, *table.blocks[0].rows[1:])),))
    _, ours, fg = rows_of(paper_style.fragment(table))
    assert ours[1] == rf"\textendash{{}}/\harnessnum{{{first.numbers[1].text}}}"
    assert {plain(cell) for cell in fg[1:]} == {"–"}


def test_the_ablation_marks_best_and_second_best_values() -> None:
    table = ablation(printable.table())
    assert table is not None
    text = paper_style.ablation_fragment(table)
    _, *rows = rows_of(text)
    assert len(rows) == 12
    for rank, command in ((1, r"\harnessbest{"), (2, r"\harnesssecond{")):
        expected = sum(number.rank == rank for block in table.blocks for row in block.rows for number in row.numbers)
        assert "".join(cell for row in rows for cell in row).count(command) == expected
    assert "Params" not in text
    assert "Best value of each model" in text
    assert r"\ensuremath{\pm}" not in text.split(r"\begin{table}", 1)[1], "means alone"
    assert f"\\label{{tab:{table.slug}-paper}}" in text


def test_a_and_v_stand_in_the_ablation_or_here_if_there_is_none() -> None:
    table = printable.table()
    assert not any(re.search(r"-\{?\}?[av]\b", row[0]) for row in rows_of(paper_style.fragment(table)))
    plan = fakes.plan(models=("LMF",), variants=("original", "fg", "a"))
    store = fakes.filled(plan)
    for run in plan.runs:
        if run.variant == "fg":
            del store.records[run.run_id]
    labels = [plain(row[0]) for row in rows_of(paper_style.fragment(printable.table(plan, store)))]
    assert labels == ["Model", "#LMF", "#LMF-fg", "#LMF-a", "Δ_{a}"]
