"""What folds out below a table: the first level with intervals, the means, the second level."""

from __future__ import annotations

import pandas as pd
import pytest
from scipy import stats

from harness.comparison import Comparison
from harness.plan import Plan
from harness.reports.details import comparisons, folds, means, second_level
from harness.reports.layout import build
from harness.reports.numbers import between, p_value, plain, signed
from harness.reports.sheets import Line, Sheet
from harness.reports.tables import Table
from harness.spec import Variant
from tests.reports import fakes

PAIR: tuple[Variant, ...] = ("original", "fg")


def one_table(plan: Plan, store: fakes.FakeStore, *, items: bool = False) -> tuple[Table, Comparison]:
    compared = fakes.compared(plan, store, items=items)
    [table] = build(compared, plan)
    return table, compared


def column(sheet: Sheet, label: str) -> list[str]:
    place = [head.label for head in sheet.columns].index(label)
    return [line.cells[place] for line in sheet.lines]


def line(sheet: Sheet, name: str, metric: str) -> Line:
    return next(line for line in sheet.lines if (line.name, line.cells[0]) == (name, metric))


@pytest.fixture(scope="module")
def typical() -> tuple[Table, Comparison, Sheet]:
    """Three models, fg against original, where LMF-fg is much better. Read only."""
    plan = fakes.plan(variants=PAIR)
    table, compared = one_table(plan, fakes.filled(plan, fakes.typical_error), items=True)
    sheet = comparisons(table, compared, "original")
    assert sheet is not None
    return table, compared, sheet


def test_a_comparison_is_the_paired_t_test_of_scipy(typical: tuple[Table, Comparison, Sheet]) -> None:
    table, _, sheet = typical
    plan = fakes.plan(variants=PAIR)
    store = fakes.filled(plan, fakes.typical_error)
    errors = {variant: [mae(store, plan, variant, seed) for seed in fakes.SEEDS] for variant in PAIR}
    expected = stats.ttest_rel(errors["original"], errors["fg"])
    deltas = pd.Series(errors["original"]) - pd.Series(errors["fg"])
    cells = dict(zip([head.label for head in sheet.columns], line(sheet, "LMF-fg", "MAE").cells, strict=True))
    metric = table.metrics["MAE"]
    assert cells["p"] == p_value(float(expected.pvalue))
    assert cells["Mean Δ"] == signed(float(deltas.mean()), metric) + "†"
    assert cells["sd"] == plain(float(deltas.std()), metric)
    # 1.68 standard deviations of the deltas, in the units of the metric.
    assert float(cells["Detectable Δ"]) == pytest.approx(1.682 * float(deltas.std()), abs=1e-3)
    assert (cells["Exact p"], cells["floor"], cells["Verdict"]) == ("0.0625", "0.0625", "better")


def mae(store: fakes.FakeStore, plan: Plan, variant: str, seed: int) -> float:
    run = next(run for run in plan.runs if (run.model, run.variant, run.seed) == ("LMF", variant, seed))
    frame = store.records[run.run_id].frame
    return float((frame["pred"].astype(float) - frame["label"].astype(float)).abs().mean())


def test_every_interval_says_how_it_was_made(typical: tuple[Table, Comparison, Sheet]) -> None:
    table, _, sheet = typical
    shown = table.contrasts["method"].map({"two-level bootstrap": "two-level", "t over seeds": "t"})
    assert column(sheet, "by") == shown.tolist()
    assert set(column(sheet, "by")) <= {"two-level", "t"}
    metric = table.metrics["MAE"]
    row = table.contrasts[(table.contrasts["model"] == "LMF") & (table.contrasts["metric"] == "MAE")].iloc[0]
    assert line(sheet, "LMF-fg", "MAE").cells[4] == between(row["low"], row["high"], metric)


def test_what_holds_is_set_off_and_nothing_else(typical: tuple[Table, Comparison, Sheet]) -> None:
    sheet = typical[2]
    held = [line.holds for line in sheet.lines]
    assert held == [verdict in {"better", "worse"} for verdict in column(sheet, "Verdict")]
    assert any(held)
    assert not all(held)


def test_means_carry_their_intervals(typical: tuple[Table, Comparison, Sheet]) -> None:
    table, compared, _ = typical
    sheet = means(table, compared)
    assert sheet is not None
    assert [line.name for line in sheet.lines] == ["LF-DNN", "LF-DNN-fg", "TFN", "TFN-fg", "LMF", "LMF-fg"]
    assert [line.opens for line in sheet.lines] == [True, False] * 3
    low, high = (float(end) for end in column(sheet, "Acc-7")[0].split("(")[1].split(")")[0].split(" to "))
    mean = float(column(sheet, "Acc-7")[0].split(" ")[0])
    assert low < mean < high


def test_the_second_level_never_stands_alone(typical: tuple[Table, Comparison, Sheet]) -> None:
    table, compared, first = typical
    sheet = second_level(table, compared)
    assert sheet is not None
    assert column(sheet, "First level") == column(first, "Verdict")
    assert column(sheet, "Holm p") == column(first, "Holm p")
    assert "nothing is said about other seeds" in sheet.about
    tests = dict(zip(column(sheet, "Metric"), column(sheet, "Test by seed"), strict=True))
    assert "McNemar" in tests["Acc-7"]
    assert "Williams" in tests["Corr"]
    assert tests["MAE"] == ""
    assert all(p.count(",") == len(fakes.SEEDS) - 1 for p in column(sheet, "p by seed") if p)


def test_the_same_runs_are_not_compared_with_themselves() -> None:
    plan = fakes.plan(
        [fakes.dataset(vision_groups=False)], models=("LMF",), variants=("fg", "a"), report={"baseline": "fg"}
    )
    table, compared = one_table(plan, fakes.filled(plan))
    sheet = comparisons(table, compared, "fg")
    assert sheet is None or set(column(sheet, "Verdict")) == {"the same runs"}


def test_an_alias_is_listed_once() -> None:
    plan = fakes.plan([fakes.dataset(vision_groups=False)], models=("LMF",))
    table, compared = one_table(plan, fakes.filled(plan), items=True)
    for _, sheet in folds(table, compared, "original"):
        assert "LMF-a" not in {line.name for line in sheet.lines}
        assert "LMF-fg" in {line.name for line in sheet.lines}


def test_one_seed_gives_no_interval_and_says_why_nothing_can_be_told() -> None:
    plan = fakes.plan(seeds=(7,), models=("LMF",), variants=PAIR)
    table, compared = one_table(plan, fakes.filled(plan))
    assert means(table, compared) is None
    sheet = comparisons(table, compared, "original")
    assert sheet is not None
    assert set(column(sheet, "Verdict")) == {"cannot tell: one pair of runs"}
    assert set(column(sheet, "95 % interval")) == set(column(sheet, "Detectable Δ")) == {""}


def test_runs_on_other_utterances_have_no_interval_and_the_table_says_so() -> None:
    plan = fakes.plan(models=("LMF",), variants=PAIR)
    store = fakes.filled(plan, fakes.typical_error)
    run = next(run for run in plan.runs if run.variant == "fg")
    frame = store.records[run.run_id].frame
    store.records[run.run_id].frame = frame.assign(id="other" + frame["id"])
    table, compared = one_table(plan, store)
    sheet = comparisons(table, compared, "original")
    assert sheet is not None
    assert all("not tested on the same utterances" in verdict for verdict in column(sheet, "Verdict"))
    assert set(column(sheet, "by")) == {""}
    listed = means(table, compared)
    assert listed is not None
    assert ["(" in cell for cell in column(listed, "MAE")] == [True, False]
    assert any(note.startswith("No interval for 1 cell in") for note in table.notes)


def test_nothing_folds_out_below_an_empty_table() -> None:
    plan = fakes.plan(models=("LMF",))
    table, compared = one_table(plan, fakes.FakeStore(), items=True)
    assert folds(table, compared, "original") == []
