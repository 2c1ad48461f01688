"""Tables before they are rendered: marks, shares, notes."""

from __future__ import annotations

import pandas as pd
import pytest

from harness.plan import Plan
from harness.reports.latex import fragment
from harness.reports.layout import build
from harness.reports.notes import seeds_text
from harness.reports.numbers import plain, signed
from harness.reports.summary import answers, headline
from harness.reports.tables import Number, Row, Table
from harness.results import collect
from harness.spec import RunSpec
from tests.reports import fakes


def tables(plan: Plan, store: fakes.FakeStore) -> list[Table]:
    return build(fakes.compared(plan, store), plan)


def cell(table: Table, label: str, metric: str) -> Number:
    return row(table, label).numbers[[column.metric.name for column in table.columns].index(metric)]


def row(table: Table, label: str) -> Row:
    return next(row for block in table.blocks for row in block.rows if row.label == label)


def off_by(run: RunSpec, distance: float) -> pd.DataFrame:
    """Predictions that miss every label by the same distance, so that MAE is known."""
    frame = fakes.predictions(run, 0.0)
    return frame.assign(pred=frame["label"] + distance)


def test_best_and_second_are_by_printed_value_and_lower_mae_wins() -> None:
    plan = fakes.plan(models=("A", "B", "C", "D"), variants=("original",), seeds=(1, 2))
    store = fakes.FakeStore()
    distance = {"A": 0.25, "B": 0.2501, "C": 0.5, "D": 0.75}
    for run in plan.runs:
        store.add(run, frame=off_by(run, distance[run.model]))
    [table] = tables(plan, store)
    assert [cell(table, model, "MAE").rank for model in "ABCD"] == [1, 1, 2, 0]
    assert cell(table, "A", "MAE").text == cell(table, "B", "MAE").text == "0.250"


def test_a_lone_row_is_neither_best_nor_second() -> None:
    plan = fakes.plan(models=("A",), variants=("original",))
    [table] = tables(plan, fakes.filled(plan))
    assert {number.rank for number in row(table, "A").numbers} == {0}


def test_repeated_rows_are_marked_unranked_and_have_no_delta_row_of_their_own() -> None:
    plan = fakes.plan([fakes.dataset(vision_groups=False)], models=("LMF",))
    [table] = tables(plan, fakes.filled(plan, fakes.typical_error))
    assert [r.label for r in table.blocks[0].rows] == ["LMF", "LMF-fg", "Δ fg", "LMF-a", "LMF-v"]
    assert row(table, "LMF-a").alias == "fg"
    assert {n.rank for n in row(table, "LMF-a").numbers} == {0}
    assert 1 in {n.rank for n in row(table, "LMF-fg").numbers}
    assert row(table, "LMF-v").empty
    assert any("-a and -fg are the same runs" in note for note in table.notes)


def test_missing_runs_show_in_n_of_the_row_and_of_its_delta() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original", "fg"))
    store = fakes.filled(plan)
    del store.records[plan.runs[0].run_id]
    [table] = tables(plan, store)
    assert [(r.label, r.n) for r in table.blocks[0].rows] == [("LMF", "4/5"), ("LMF-fg", "5"), ("Δ fg", "4/5")]


def test_undefined_values_are_counted_in_the_cell_and_explained() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original",))
    store = fakes.filled(plan)
    store.records[plan.runs[0].run_id].frame["pred"] = 0.3
    [table] = tables(plan, store)
    assert cell(table, "LMF", "Corr").share == "4/5"
    assert cell(table, "LMF", "MAE").share == ""
    assert any(note.startswith("Corr: not defined") for note in table.notes)


def test_notes_name_the_seeds_the_test_the_floor_and_what_can_be_found() -> None:
    plan = fakes.plan()
    [table] = tables(plan, fakes.filled(plan))
    notes = " ".join(table.notes)
    for phrase in ("5 seeds (1111 to 1115)", "paired t test", "Holm", "0.0625", "1.68 standard deviations"):
        assert phrase in notes
    assert "up to 3 models" in notes


def test_a_remark_that_two_metrics_share_is_made_once() -> None:
    plan = fakes.plan(tasks=("classification",))
    [table] = tables(plan, fakes.filled(plan))
    assert [note.split(":")[0] for note in table.notes if note.startswith("‡")] == ["‡ Acc-2/non-0 and F1/non-0"]


def test_only_the_metrics_asked_for_are_shown() -> None:
    plan = fakes.plan(report={"metrics": ["Corr", "MAE"]})
    [table] = tables(plan, fakes.filled(plan))
    assert [column.metric.name for column in table.columns] == ["MAE", "Corr"]
    assert set(table.contrasts["metric"]) == {"MAE", "Corr"}


def test_the_summary_names_the_models_behind_the_verdicts() -> None:
    plan = fakes.plan(
        tasks=("classification",), variants=("original", "fg"), report={"metrics": ["Acc-3", "Acc-2/non-0"]}
    )
    store = fakes.filled(plan, fakes.typical_error)
    [(heading, (told, *_))] = answers(tables(plan, store), fakes.compared(plan, store), "original")
    assert heading == "Toy set toy (synthetic data), classification"
    # Acc-2/non-0 keeps MMSA's defect and is not counted: three models, one metric.
    assert told == "Significant at 0.05 after Holm, against original: fg 1 of 3 comparisons (1 better: LMF)."
    assert list(headline(collect(plan, store.as_store), plan))[1].startswith("All 30 runs are done.")


def test_one_seed_is_not_tested() -> None:
    plan = fakes.plan(seeds=(7,), variants=("original", "fg"))
    store = fakes.filled(plan)
    [table] = tables(plan, store)
    [(_, (held, blind, *_))] = answers([table], fakes.compared(plan, store), "original")
    assert "not testable" in held
    assert blind == "Cannot be told with the runs that there are: 27 comparisons."
    assert not any(n.dagger for block in table.blocks for r in block.rows for n in r.numbers)
    assert {n.sd for n in row(table, "LMF").numbers} == {""}


def test_another_baseline_turns_the_deltas_round() -> None:
    forth = fakes.plan(models=("LMF",), variants=("original", "fg"))
    back = fakes.plan(models=("LMF",), variants=("original", "fg"), report={"baseline": "fg"})
    store = fakes.filled(forth, fakes.typical_error)
    [one], [other] = tables(forth, store), tables(back, store)
    for metric in ("MAE", "Acc-7"):
        assert cell(one, "Δ fg", metric).sign == 1
        assert cell(other, "Δ original", metric).sign == -1


def test_latex_parts_hold_whole_models() -> None:
    plan = fakes.plan(models=[f"M{i}" for i in range(12)])
    [table] = tables(plan, fakes.filled(plan))
    text = fragment(table)
    assert text.count(r"\begin{table}") == 3
    parts = text.split(r"\begin{table}")[1:]
    for i in range(12):
        assert [part.count(f"M{i}-{{}}") + part.count(f"M{i} &") for part in parts].count(0) == 2
    assert text.count(r"\label{tab:synthetic-toy-regression}") == 1


@pytest.mark.parametrize(
    ("value", "percent", "expected"),
    [(0.82345, "82.34", "+82.34"), (-0.00001, "0.00", "0.00"), (-0.01, "-1.00", "-1.00"), (float("nan"), "", "")],
)
def test_numbers_are_printed_with_a_sign_only_where_they_have_one(value: float, percent: str, expected: str) -> None:
    plan = fakes.plan(report={"metrics": ["Acc-7"]})
    metric = tables(plan, fakes.FakeStore())[0].columns[0].metric
    assert (plain(value, metric), signed(value, metric)) == (percent, expected)


def test_seeds_in_words() -> None:
    assert seeds_text((7,)) == "one seed (7)"
    assert seeds_text((3, 1)) == "2 seeds (1 and 3)"
