"""Over models: hand-made tables against scipy, floors of small tables, and who competes in a ranking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from harness.comparison import Contrast, Ranking, Side, contrasts, over_models, rankings
from harness.comparison.models import OVER
from harness.results import summarise
from tests.comparison import made
from tests.statistics.test_blocks import AUC

UP = [0.011, 0.023, 0.034, 0.042, 0.055, 0.061, 0.078, 0.087]
MIXED = [0.031, -0.012, 0.044, 0.023, -0.005, 0.052, 0.017, -0.026]


def table(deltas: Mapping[tuple[str, str, bool], Sequence[float]], variant: str = "fg") -> pd.DataFrame:
    """Make values over two seeds whose mean delta per model is given, as (data set, metric, higher): deltas."""
    cells = []
    for (dataset, metric, higher), numbers in deltas.items():
        named: dict[str, Any] = {"metric": metric, "higher": higher, "dataset": dataset}
        for i, delta in enumerate(numbers):
            base, gain = 0.5 + i / 100, delta if higher else -delta
            cells.append(made.rows(f"M{i}", "original", [base, base], **named))
            cells.append(made.rows(f"M{i}", variant, [base + gain + 0.001, base + gain - 0.001], **named))
    return made.frame(*cells)


def test_rows_are_tested_as_scipy_does() -> None:
    asked = {("one", "Acc-2", True): MIXED, ("one", "MAE", False): UP, ("two", "Acc-2", True): [-x for x in UP]}
    found = over_models(contrasts(table(asked)))
    assert list(found.columns) == ["dataset", "task", "metric", "contrast", *OVER]
    raw = []
    for (dataset, metric, _), deltas in asked.items():
        row = made.only(found, dataset=dataset, metric=metric)
        raw.append(stats.wilcoxon(deltas, method="exact").pvalue)
        positive = sum(delta > 0 for delta in deltas)
        assert row["wilcoxon"] == pytest.approx(raw[-1])
        assert row["sign"] == pytest.approx(stats.binomtest(positive, len(deltas)).pvalue)
        assert (row["better"], row["worse"], row["equal"]) == (positive, len(deltas) - positive, 0)
        interval = stats.ttest_1samp(deltas, 0).confidence_interval(0.95)
        assert (row["mean"], row["low"], row["high"]) == pytest.approx((np.mean(deltas), interval.low, interval.high))
        assert (row["models"], row["floor"], row["family"]) == (8, 2.0**-7, 2 if dataset == "one" else 1)
    for name, method in (("holm", "holm"), ("q", "fdr_bh")):
        adjusted = [*multipletests(raw[:2], method=method)[1], raw[2]]
        assert found[name].to_numpy() == pytest.approx(adjusted)
    assert found["verdict"].to_list() == ["no difference shown", "better", "worse"]


def test_a_family_is_a_contrast_on_one_data_set_and_task() -> None:
    fg = table({("one", "Acc-2", True): UP, ("one", "MAE", False): MIXED, ("two", "Acc-2", True): MIXED})
    v = table({("one", "Acc-2", True): MIXED}, variant="v")
    both = over_models(contrasts(pd.concat([fg, v[v["variant"] == "v"]])))
    sizes = both.groupby(["dataset", "contrast"])["family"].unique().map(list).to_dict()
    assert sizes == {
        ("one", "fg against original"): [2],
        ("two", "fg against original"): [1],
        ("one", "v against original"): [1],
    }
    made.alike(both[both["contrast"] == "fg against original"], over_models(contrasts(fg)), ["dataset", "metric"])


def test_metrics_that_are_one_on_this_data_count_once() -> None:
    asked = {("one", "Acc-2/has-0", True): UP, ("one", "Acc-2/non-0", True): UP, ("one", "MAE", False): MIXED}
    found = over_models(contrasts(table(asked)))
    assert found["family"].to_list() == [2, 2, 2]
    assert found["holm"].to_list()[:2] == pytest.approx([2 * found["wilcoxon"].iloc[0]] * 2)


def test_a_column_with_a_defect_gives_way_to_its_correction() -> None:
    asked = {("one", "Acc-2/non-0", True): UP, ("one", "Acc-2/non-0/corrected", True): MIXED}
    assert over_models(contrasts(table(asked)))["metric"].to_list() == ["Acc-2/non-0/corrected"]


def test_the_direction_is_that_of_the_rank_sums() -> None:
    found = made.only(over_models(contrasts(table({("one", "Acc-2", True): [*[0.01] * 6, *[0.0] * 16]}))))
    assert found["verdict"] == "better"


def test_deltas_of_zero_and_ties() -> None:
    row = made.only(over_models(contrasts(table({("one", "Acc-2", True): [0.01, 0.01, 0.02, 0.0, -0.01, 0.03]}))))
    assert (row["better"], row["worse"], row["equal"], row["models"]) == (4, 1, 1, 6)
    assert row["floor"] == 2.0**-4
    assert row["sign"] == pytest.approx(stats.binomtest(4, 5).pvalue)
    # Ranks 2, 2, 4, 2, 5 under all 32 patterns of signs.
    ranks = np.array([2, 2, 4, 2, 5])
    sums = [ranks[[bool(i >> k & 1) for k in range(5)]].sum() for i in range(32)]
    assert row["wilcoxon"] == pytest.approx(2 * np.mean([x >= 13 for x in sums]))


@pytest.mark.parametrize(
    ("models", "metrics", "verdict"), [(5, 1, "cannot tell"), (6, 1, "better"), (8, 6, "better"), (8, 7, "cannot tell")]
)
def test_a_table_too_small_to_tell_says_so(models: int, metrics: int, verdict: str) -> None:
    asked = {("one", f"Acc-{i}", True): [delta * (1 + i / 10) for delta in UP[:models]] for i in range(metrics)}
    found = over_models(contrasts(table(asked)))
    assert set(found["wilcoxon"]) == set(found["floor"]) == {2.0 ** (1 - models)}
    assert set(found["verdict"]) == {verdict}
    assert (2.0 ** (1 - models) * metrics < 0.05) == (verdict == "better")


def test_one_model_is_no_table() -> None:
    assert over_models(contrasts(table({("one", "Acc-2", True): UP[:1]}))).empty
    asked = Contrast(Side("original", "M0"), Side("fg", "M1"))
    assert over_models(contrasts(table({("one", "Acc-2", True): UP}), asked)).empty
    assert over_models(contrasts(made.frame())).empty


def test_a_model_without_a_delta_is_left_out() -> None:
    values = table({("one", "Acc-2", True): UP})
    values.loc[(values["model"] == "M3") & (values["variant"] == "fg"), "value"] = math.nan
    row = made.only(over_models(contrasts(values)))
    assert (row["models"], row["floor"]) == (7, 2.0**-6)
    assert row["wilcoxon"] == stats.wilcoxon([x for i, x in enumerate(UP) if i != 3], method="exact").pvalue


def test_aliases_are_one_contrast() -> None:
    values = table({("one", "Acc-2", True): UP})
    again = values[values["variant"] == "fg"].assign(variant="a", alias_of="fg", duplicate=True)
    made.alike(over_models(contrasts(pd.concat([values, again]))), over_models(contrasts(values)), ["metric"])


def ranked(values: pd.DataFrame, alpha: float = 0.05) -> tuple[Ranking, ...]:
    return rankings(summarise(values), values, alpha)


DEMSAR = ("original", "fg", "a", "v")


def demsar(*, higher: bool = True, metric: str = "Acc-2") -> list[made.Rows]:
    """Make Demsar's (2006) four classifiers on 14 data sets into our four variants of 14 models, over two seeds."""
    return [
        made.rows(f"M{i}", variant, [x - 1e-4, x + 1e-4], metric=metric, higher=higher)
        for i, row in enumerate(AUC if higher else 1 - AUC)
        for variant, x in zip(DEMSAR, row, strict=True)
    ]


def test_demsars_table_reaches_friedman_and_nemenyi() -> None:
    (found,) = ranked(made.frame(*demsar()))
    assert found.variants == DEMSAR
    assert found.blocks == tuple(f"M{i}" for i in range(14))
    assert (found.dataset, found.task, found.metric, found.synthetic) == ("toy", "regression", "Acc-2", False)
    assert found.friedman.statistic == pytest.approx(10.23, abs=5e-3)
    assert found.friedman.p == pytest.approx(stats.friedmanchisquare(*AUC.T).pvalue)
    assert found.nemenyi.mean_ranks == pytest.approx((3.143, 2.000, 2.893, 1.964), abs=5e-4)
    assert found.nemenyi.critical_difference == pytest.approx(1.25, abs=5e-3)
    assert "models" in found.friedman.blocks
    (loose,) = ranked(made.frame(*demsar()), 0.10)
    assert loose.nemenyi.critical_difference == pytest.approx(1.12, abs=5e-3)


def test_a_low_error_ranks_first() -> None:
    (found,) = ranked(made.frame(*demsar(higher=False, metric="MAE")))
    (wanted,) = ranked(made.frame(*demsar()))
    assert found.nemenyi == wanted.nemenyi
    assert found.friedman == wanted.friedman


def test_the_order_of_rows_changes_nothing() -> None:
    values = made.frame(*demsar())
    turned = pd.concat([block.iloc[::-1] for _, block in values.groupby("variant", sort=False)])
    (found,), (wanted,) = ranked(turned), ranked(values)
    assert found.variants == wanted.variants
    assert found.nemenyi.mean_ranks == pytest.approx(wanted.nemenyi.mean_ranks)
    assert set(found.blocks) == set(wanted.blocks)


def test_an_alias_does_not_compete() -> None:
    cells = [
        made.rows(model, variant, [x], alias_of=alias, duplicate=bool(alias))
        for model, numbers in (("A", (1, 2, 3)), ("B", (2, 3, 1)))
        for variant, alias, x in zip(
            ("original", "fg", "v", "a"), ("", "", "", "fg"), (*numbers, numbers[1]), strict=True
        )
    ]
    (found,) = ranked(made.frame(*cells))
    assert found.variants == ("original", "fg", "v")
    without = [cell for cell in cells if cell[0]["variant"] != "v"]
    assert ranked(made.frame(*without)) == (), "two variants are no ranking"


def test_a_model_with_a_missing_variant_is_left_out() -> None:
    cells = demsar()
    (whole,) = ranked(made.frame(*cells))
    gone = [cell for cell in cells if (cell[0]["model"], cell[0]["variant"]) != ("M5", "v")]
    undefined = made.frame(*cells)
    undefined.loc[(undefined["model"] == "M5") & (undefined["variant"] == "v"), "value"] = math.nan
    for values in (made.frame(*gone), undefined):
        (found,) = ranked(values)
        assert found.blocks == tuple(model for model in whole.blocks if model != "M5")
        assert found.friedman.n == 13
        assert found.friedman.statistic == pytest.approx(stats.friedmanchisquare(*np.delete(AUC, 5, 0).T).statistic)


def test_a_variant_that_nobody_has_a_value_for_ends_the_ranking_and_not_the_program() -> None:
    values = made.frame(*demsar(), *demsar(metric="Corr"))
    values.loc[(values["metric"] == "Corr") & (values["variant"] == "fg"), "value"] = math.nan
    assert [one.metric for one in ranked(values)] == ["Acc-2"]


def test_one_model_or_nothing_is_no_ranking() -> None:
    assert ranked(made.frame(*demsar()[:4])) == ()
    assert ranked(made.frame()) == ()


def test_data_sets_and_tasks_are_ranked_apart() -> None:
    values = made.frame(*demsar())
    others = [values.assign(dataset="two"), values.assign(task="classification"), values.assign(metric="F1")]
    found = ranked(pd.concat([values, *others]))
    assert len({(one.dataset, one.task, one.metric) for one in found}) == len(found) == 4
    assert all(len(one.blocks) == 14 for one in found)
