"""Rows that come from no run: originals that others published, and what models cost."""

from __future__ import annotations

import pytest

from harness.costs import CellCosts
from harness.plan import Plan
from harness.reports.layout import build
from harness.reports.numbers import percent, power
from harness.reports.tables import Row, Table
from tests.reports import fakes


def one_table(plan: Plan, costs: dict[tuple[str, str, str, str, str], CellCosts] | None = None) -> Table:
    [table] = build(fakes.compared(plan, fakes.filled(plan)), plan, costs)
    return table


def row(table: Table, label: str) -> Row:
    return next(row for block in table.blocks for row in block.rows if row.label == label)


def real(name: str, convention: str) -> Plan:
    data = fakes.dataset(name, synthetic=False, convention=convention, hyperparameters=convention)
    return fakes.plan([data], models=("LF-DNN", "MFN", "Self-MM"), variants=("original", "fg"))


def test_what_others_published_stands_first_as_printed_and_takes_no_part_in_ranks() -> None:
    table = one_table(real("sims", "sims"))
    assert [r.label for r in table.blocks[0].rows] == ["LF-DNN*", "#LF-DNN", "#LF-DNN-fg", "Δ fg"]
    others = row(table, "LF-DNN*")
    texts = {column.metric.name: number.text for column, number in zip(table.columns, others.numbers, strict=True)}
    # Table 5 of the paper, first row.
    assert texts == {
        "Acc-2": "77.02",
        "F1": "77.27",
        "Acc-3": "64.33",
        "Acc-5": "39.74",
        "MAE": "0.446",
        "Corr": "0.555",
    }
    assert others.kind == "published"
    assert {(n.sd, n.rank, n.dagger) for n in others.numbers} == {("", 0, False)}
    assert any("* as the paper prints it" in note for note in table.notes)


def test_an_original_printed_for_another_data_setting_is_not_set_beside_ours() -> None:
    table = one_table(real("mosei", "mosei"))
    # Table 4 prints MFN* for aligned data, and the runs here are on unaligned data.
    assert [r.label for r in table.blocks[0].rows][:2] == ["LF-DNN*", "#LF-DNN"]
    assert next(r.label for r in table.blocks[1].rows) == "#MFN"


def test_a_published_row_has_the_data_setting_that_is_printed_and_no_other() -> None:
    regression = one_table(real("mosei", "mosei"))
    assert row(regression, "Self-MM*").setting == "unaligned"
    data = fakes.dataset("mosei", synthetic=False, convention="mosei", hyperparameters="mosei")
    plan = fakes.plan([data], tasks=("classification",), models=("LF-DNN",), variants=("original",))
    # Table 6 prints no setting.
    assert row(one_table(plan), "LF-DNN*").setting == ""


@pytest.mark.parametrize("name", ["toy", "sims"])
def test_synthetic_or_unknown_data_has_no_published_rows(name: str) -> None:
    plan = fakes.plan([fakes.dataset(name, synthetic=name == "sims")])
    table = one_table(plan)
    assert {r.kind for block in table.blocks for r in block.rows} == {"value", "delta"}
    assert not any(r.label.startswith("#") for block in table.blocks for r in block.rows)
    assert not any("# our runs" in note for note in table.notes)


def test_costs_stand_in_their_columns_with_their_change_and_are_empty_where_not_counted() -> None:
    plan = fakes.plan(models=("LMF", "TFN"), variants=("original", "fg"))
    key = ("toy", "unaligned", "regression", "LMF")
    costs = {
        (*key, "original"): CellCosts(params=508_475, macs=22_985_802, params_paper=0, macs_paper=0, batch_size=32),
        (*key, "fg"): CellCosts(params=519_307, macs=22_985_802, params_paper=0, macs_paper=0, batch_size=32),
    }
    table = one_table(plan, costs)
    assert [column.label for column in table.costs] == ["Params", "MACs"]
    assert row(table, "LMF").costs == ("5.08e5", "2.30e7")
    assert row(table, "Δ fg").costs == ("+2.13", "0.00")
    assert row(table, "TFN").costs == ("", "")
    assert one_table(plan).costs == ()
    assert row(one_table(plan), "LMF").costs == ()


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (7, "7.00e0"), (999_499, "9.99e5"), (999_500, "1.00e6"), (138 * 10**9, "1.38e11")]
)
def test_counts_have_three_significant_digits(count: int, text: str) -> None:
    assert power(count) == text


def test_changes_in_percent_have_a_sign_only_where_they_are_one() -> None:
    assert [percent(*pair) for pair in ((200, 201), (200, 199), (10**6, 10**6 + 1), (0, 5))] == [
        "+0.50",
        "-0.50",
        "0.00",
        "",
    ]
