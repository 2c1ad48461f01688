"""Effects over models, against scipy and statsmodels on numbers taken from the tables in another way."""

from __future__ import annotations

import functools
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from harness.published import Cell, load
from harness.reanalysis import Effect, effects, summaries
from tests.reanalysis.tools import ENOUGH, changed, own_values


@functools.cache
def found() -> tuple[Effect, ...]:
    return effects(load())


def one(table: int, metric: str, variant: str = "fg", baseline: str = "original") -> Effect:
    (effect,) = (
        effect
        for effect in found()
        if (effect.table, effect.metric, effect.variant, effect.baseline) == (table, metric, variant, baseline)
    )
    return effect


def test_every_metric_of_every_contrast_once() -> None:
    places = [(effect.table, effect.variant, effect.baseline, effect.metric) for effect in found()]
    assert len(places) == len(set(places)) == 8 + 6 + 6 + 6 + 5 * 4
    assert not {"Params", "FLOPs"} & {effect.metric for effect in found()}


def test_a_column_typed_by_hand() -> None:
    # Table 5, Acc-2, printed as the row of differences.
    by_hand = [0.44, 3.72, 0.83, 2.84, 1.71, 2.85, 1.28, 1.62, 1.97, 2.40]
    effect = one(5, "Acc-2")
    assert effect.deltas == tuple(by_hand)
    assert effect.models[:3] == ("LF-DNN", "TFN", "LMF")
    assert (effect.dataset, effect.task, effect.unit) == ("sims", "regression", "points")
    assert effect.rows.wilcoxon.p == pytest.approx(2 / 2**10)  # ten of ten
    assert effect.rows.wilcoxon.p == pytest.approx(stats.wilcoxon(by_hand, method="exact").pvalue)
    interval = stats.ttest_1samp(by_hand, 0).confidence_interval(0.95)
    assert (effect.rows.mean.low, effect.rows.mean.high) == pytest.approx((interval.low, interval.high))


def test_less_error_is_an_improvement_and_has_no_unit() -> None:
    effect = one(5, "MAE")
    assert effect.deltas == (0.008, 0.026, 0.003, 0.030, 0.002, 0.033, 0.020, 0.009, 0.008, 0.015)
    assert effect.unit == ""


def test_a_contrast_of_two_variants() -> None:
    assert one(8, "Acc-2", "v", "a").deltas[:3] == (0.52, 1.44, 0.44)
    assert one(8, "Acc-2", "fg", "v").deltas[:3] == (-0.13, 0.88, 1.05)


def test_an_absent_number_is_no_row() -> None:
    assert "TMT" in one(4, "Acc-2/non-0").models
    assert "TMT" not in one(4, "Acc-2/has-0").models
    assert one(4, "Acc-2/has-0").rows.wilcoxon.n == 10


@pytest.mark.parametrize(("table", "size"), [(4, 8), (6, 6), (7, 6)])
def test_holm_within_a_table(table: int, size: int) -> None:
    family = [effect for effect in found() if effect.table == table]
    assert len(family) == size
    assert len({effect.family for effect in family}) == 1
    for tests in ([e.rows.wilcoxon for e in family], [e.rows.sign for e in family]):
        wanted = multipletests([test.p for test in tests], method="holm")[1]
        assert [test.adjusted for test in tests] == pytest.approx(list(wanted))


def test_what_table_8_repeats_counts_once() -> None:
    repeated, first = one(8, "Acc-2"), one(5, "Acc-2")
    assert repeated.rows == first.rows
    assert repeated.family == first.family
    assert first.rows.wilcoxon.family == 6
    different = effects(load().reprinted(8, ("TFN", "fg", "reproduction"), "Acc-2", "79.88"))
    assert {effect.rows.wilcoxon.family for effect in different if effect.table == 5} == {7}


def test_each_ablation_is_a_family_of_its_own() -> None:
    families = {(e.variant, e.baseline): e.rows.wilcoxon.family for e in found() if e.table == 8}
    assert families == {
        ("fg", "original"): 6,
        ("a", "original"): 4,
        ("v", "original"): 4,
        ("v", "a"): 4,
        ("fg", "v"): 4,
    }


def test_mmsas_defective_columns_are_marked() -> None:
    marked = {(effect.table, effect.metric) for effect in found() if effect.defect}
    assert marked == {(table, metric) for table in (6, 7) for metric in ("Acc-2/non-0", "F1/non-0")}


def test_summaries_count_cells_and_verdicts() -> None:
    by_table = {(s.table, s.variant, s.baseline): s for s in summaries(found())}
    table5 = by_table[5, "fg", "original"]
    # Counted by eye in the row of differences: the minus signs of Table 5, and LMF's Corr.
    assert (table5.improved, table5.declined, table5.unchanged) == (54, 5, 1)
    assert table5.better == ("Acc-2", "F1", "Acc-5", "MAE", "Corr")
    assert by_table[6, "fg", "original"].untold == ("Acc-2/has-0", "F1/has-0", "Acc-3", "F1-3")
    assert all(not summary.worse for summary in by_table.values())


def test_a_method_that_harms_is_seen() -> None:
    paper = load()
    before = own_values(paper)

    def harmed(cell: Cell) -> Decimal | None:
        if not (cell.own and cell.table == 5 and cell.variant == "fg" and cell.column in ENOUGH):
            return None
        return before[5, cell.model, "original", cell.metric] - Decimal(ENOUGH[cell.column])

    (harm,) = (summary for summary in summaries(effects(changed(paper, harmed))) if summary.table == 5)
    assert harm.worse == ("Acc-2", "F1", "Acc-3", "Acc-5", "MAE", "Corr")
    assert (harm.improved, harm.declined) == (0, 60)


def test_equal_differences_are_ties_although_binary_numbers_differ() -> None:
    effect = one(8, "MAE", "v", "original")
    assert effect.deltas == tuple(np.round(effect.deltas, 3))


def test_tables_without_rows_have_no_effects() -> None:
    assert effects(replace(load(), cells=())) == ()
    assert summaries(()) == ()
