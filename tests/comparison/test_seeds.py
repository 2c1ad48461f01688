"""The first level: deltas by hand, families by statsmodels, and every word of a verdict."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from harness.comparison import Contrast, Side, contrasts
from harness.comparison.seeds import FAMILY
from harness.results import collect
from tests.comparison import made
from tests.reports import fakes

NAN = math.nan
ORIGINAL = [0.70, 0.71, 0.72, 0.73, 0.74]


def simulated(models: int = 4, seed: int = 3) -> pd.DataFrame:
    """Draw values with true effects in some cells: two data sets, an accuracy, an error, three variants."""
    rng = np.random.default_rng(seed)
    cells = []
    for dataset in ("one", "two"):
        for metric, higher in (("Acc-2", True), ("MAE", False)):
            for model in range(models):
                base = rng.normal(0.7, 0.02, 5)
                for variant, effect in (("original", 0.0), ("fg", 0.02 * model), ("v", -0.03)):
                    numbers = base + (effect if higher else -effect) + rng.normal(0, 0.01, 5)
                    numbers[rng.random(5) < 0.1] = NAN
                    named: dict[str, Any] = {"metric": metric, "higher": higher, "dataset": dataset}
                    cells.append(made.rows(f"M{model}", variant, numbers.tolist(), **named))
    return made.frame(*cells)


def deltas_of(values: pd.DataFrame, row: pd.Series) -> NDArray[np.float64]:
    """Subtract by hand, from the raw values."""
    own = values[(values["dataset"] == row["dataset"]) & (values["metric"] == row["metric"])]

    def arm(model: str, variant: str) -> dict[int, float]:
        kept = own[(own["model"] == model) & (own["variant"] == variant)]
        return dict(zip(kept["seed"], kept["value"], strict=True))

    base, other = arm(row["baseline_model"], row["baseline"]), arm(row["model"], row["variant"])
    sign = -1 if row["metric"] == "MAE" else 1
    deltas: NDArray[np.float64] = np.array(
        [sign * (other[seed] - base[seed]) for seed in sorted(other) if seed in base]
    )
    defined: NDArray[np.float64] = deltas[np.isfinite(deltas)]
    return defined


ASKED = [
    Contrast(),
    Contrast(Side("fg")),
    Contrast(Side("original"), Side("v")),
    Contrast(Side("fg", "M1")),
    Contrast(Side("original", "M0"), Side("fg", "M3")),
]


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_every_figure_follows_from_the_raw_values(asked: Contrast) -> None:
    values = simulated()
    found = contrasts(values, asked)
    assert len(found)
    for _, row in found.iterrows():
        deltas = deltas_of(values, row)
        test = stats.ttest_1samp(deltas, 0)
        interval = test.confidence_interval(0.95)
        assert row["n"] == len(deltas)
        assert (row["mean"], row["sd"]) == pytest.approx((deltas.mean(), deltas.std(ddof=1)))
        assert (row["t"], row["df"], row["p"]) == pytest.approx((test.statistic, len(deltas) - 1, test.pvalue))
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
        flips = stats.permutation_test((deltas,), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert row["exact"] == pytest.approx(flips.pvalue)
        assert row["floor"] == 2.0 ** (1 - len(deltas))
        power = TTestPower().power(row["detectable"], len(deltas), 0.05)  # NaN where scipy gives up, with two pairs
        assert power == pytest.approx(0.8, abs=1e-4) or (len(deltas) == 2 and math.isnan(power))


@pytest.mark.parametrize("asked", [ASKED[0], ASKED[3]], ids=str)
def test_families_are_adjusted_as_statsmodels_does(asked: Contrast) -> None:
    values, alpha = simulated(), 0.04
    found = contrasts(values, asked, alpha)
    for _, block in found.groupby(["dataset", "task", "metric", "contrast"]):
        p = np.array([stats.ttest_1samp(deltas_of(values, row), 0).pvalue for _, row in block.iterrows()])
        rejected, holm = multipletests(p, alpha, "holm")[:2]
        assert block["holm"].to_numpy() == pytest.approx(holm)
        assert block["q"].to_numpy() == pytest.approx(multipletests(p, alpha, "fdr_bh")[1])
        assert set(block["family"]) == {len(block)}
        assert block["significant"].to_list() == rejected.tolist() == (holm < alpha).tolist()


def test_a_family_is_a_data_set_task_metric_and_contrast() -> None:
    assert FAMILY == ["dataset", "task", "metric", "contrast"]
    values = simulated()
    assert set(contrasts(values)["family"]) == {4}, "four models; each variant is a question of its own"
    assert set(contrasts(values, Contrast(Side("fg", "M1")))["family"]) == {3}, "all other models"
    assert set(contrasts(values, Contrast(Side("fg", "M1"), Side("fg", "M2")))["family"]) == {1}
    settings = values.assign(setting=np.where(values["model"] == "M0", "aligned", "unaligned"))
    assert set(contrasts(settings)["family"]) == {4}, "a setting does not split it"
    tasks = pd.concat([values, values.assign(task="classification")])
    assert set(contrasts(tasks)["family"]) == {4}, "a task does"


def test_a_family_does_not_depend_on_others() -> None:
    values = simulated()
    whole = contrasts(values)
    part = contrasts(values[(values["dataset"] == "two") & (values["metric"] == "MAE")])
    kept = whole[(whole["dataset"] == "two") & (whole["metric"] == "MAE")]
    assert kept.reset_index(drop=True).equals(part)


def test_tests_that_cannot_be_made_do_not_count() -> None:
    cells = [made.rows(model, "original", ORIGINAL) for model in ("A", "B", "C", "D")]
    cells += [
        made.rows("A", "fg", [0.75, 0.74, 0.77, 0.76, 0.78]),
        made.rows("B", "fg", [0.70, 0.72, 0.71, 0.74, 0.74]),
        made.rows("C", "fg", [0.75]),
        made.rows("D", "fg", [x + 0.01 for x in ORIGINAL]),
    ]
    found = contrasts(made.frame(*cells)).set_index("model")
    assert set(found["family"]) == {2}
    assert found.loc["A", "holm"] == pytest.approx(2 * stats.ttest_1samp([0.05, 0.03, 0.05, 0.03, 0.04], 0).pvalue)
    assert found.loc[["C", "D"], "holm"].isna().all()


@pytest.mark.parametrize(
    ("numbers", "higher", "verdict", "note", "n"),
    [
        ([0.80, 0.82, 0.81, 0.84, 0.83], True, "better", "", 5),
        ([0.60, 0.62, 0.61, 0.64, 0.63], True, "worse", "", 5),
        ([0.60, 0.62, 0.61, 0.64, 0.63], False, "better", "", 5),
        ([0.80, 0.82, 0.81, 0.84, 0.83], False, "worse", "", 5),
        ([0.71, 0.70, 0.73, 0.72, 0.74], True, "no difference shown", "", 5),
        (ORIGINAL, True, "no difference shown", "no difference", 5),
        ([x + 0.1 for x in ORIGINAL], True, "cannot tell", "constant", 5),
        ([x - 0.1 for x in ORIGINAL], False, "cannot tell", "constant", 5),
        ([0.9], True, "cannot tell", "one pair", 1),
        ([NAN, NAN, 0.9, NAN, NAN], True, "cannot tell", "one pair", 1),
        ([NAN] * 5, True, "cannot tell", "no pairs", 0),
        ([NAN, 0.82, 0.81, NAN, 0.85], True, "better", "", 3),
        ([0.80, 0.65], True, "no difference shown", "", 2),
    ],
)
def test_verdicts(numbers: list[float], higher: bool, verdict: str, note: str, n: int) -> None:
    cells = made.rows("A", "original", ORIGINAL, higher=higher), made.rows("A", "fg", numbers, higher=higher)
    row = made.only(contrasts(made.frame(*cells)))
    assert (row["verdict"], row["note"], row["n"]) == (verdict, note, n)
    assert row["significant"] == (verdict in ("better", "worse"))
    deltas = [(1 if higher else -1) * (x - y) for x, y in zip(numbers, ORIGINAL, strict=False) if not math.isnan(x)]
    assert row["mean"] == pytest.approx(np.mean(deltas) if deltas else NAN, nan_ok=True)
    assert math.isnan(row["holm"]) == (verdict == "cannot tell")


def test_all_zero_is_a_p_of_one_and_constant_is_none() -> None:
    cells = [made.rows("A", "original", ORIGINAL), made.rows("A", "fg", ORIGINAL)]
    same = made.only(contrasts(made.frame(*cells)))
    assert (same["p"], same["holm"], same["exact"], same["mean"]) == (1, 1, 1, 0)
    assert (same["low"], same["high"]) == (0, 0)
    constant = made.only(contrasts(made.frame(cells[0], made.rows("A", "fg", [x + 0.1 for x in ORIGINAL]))))
    assert math.isnan(constant["p"])
    assert math.isnan(constant["d"])
    assert constant["exact"] == constant["floor"] == 0.0625
    assert math.isnan(constant["low"])


def test_the_level_decides() -> None:
    cells = made.rows("A", "original", ORIGINAL), made.rows("A", "fg", [0.72, 0.71, 0.76, 0.73, 0.77])
    strict, loose = (made.only(contrasts(made.frame(*cells), alpha=alpha)) for alpha in (0.05, 0.2))
    assert 0.05 < strict["holm"] == loose["holm"] < 0.2
    assert (strict["verdict"], loose["verdict"]) == ("no difference shown", "better")
    assert loose["high"] - loose["low"] < strict["high"] - strict["low"]
    assert loose["detectable"] < strict["detectable"]


def test_the_exact_test_never_vetoes() -> None:
    cells = made.rows("A", "original", ORIGINAL), made.rows("A", "fg", [0.80, 0.82, 0.81, 0.84, 0.83])
    row = made.only(contrasts(made.frame(*cells)))
    assert row["exact"] == row["floor"] == 0.0625
    assert row["verdict"] == "better"


def test_seeds_are_paired_by_number_and_not_by_place() -> None:
    straight = made.frame(made.rows("A", "original", ORIGINAL), made.rows("A", "fg", [0.70, 0.72, 0.71, 0.74, 0.75]))
    shuffled = pd.concat([straight[straight["variant"] == "fg"].iloc[::-1], straight[straight["variant"] != "fg"]])
    made.alike(contrasts(shuffled), contrasts(straight), ["variant"])


def test_deltas_of_records_are_paired_and_plus_is_an_improvement() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original", "fg"))
    store = fakes.filled(plan, fakes.typical_error)
    store.records.pop(plan.cells[0].runs[2].run_id)  # this seed has no pair
    values = collect(plan, store.as_store).values
    found = {str(row["metric"]): row for row in contrasts(values).to_dict("records")}
    wide = values.pivot_table(index="seed", columns=["metric", "variant"], values="value")
    for metric, sign in (("MAE", -1), ("Acc-7", 1)):
        deltas = sign * (wide[metric]["fg"] - wide[metric]["original"]).dropna()
        assert found[metric]["n"] == 4 == len(deltas)
        assert found[metric]["mean"] == pytest.approx(deltas.mean())
        assert found[metric]["p"] == pytest.approx(stats.ttest_1samp(deltas, 0).pvalue)
        assert found[metric]["mean"] > 0, "LMF-fg was made better"


def test_an_alias_in_records_is_shown_and_counts_once() -> None:
    plan = fakes.plan([fakes.dataset("mosi-utterance", synthetic=False, vision_groups=False)])
    found = contrasts(collect(plan, fakes.filled(plan, fakes.typical_error).as_store).values)
    for _, block in found.groupby("metric"):
        fg, a = (block[block["variant"] == v].reset_index(drop=True) for v in ("fg", "a"))
        assert set(block["family"]) == {3}
        assert a["duplicate"].all()
        assert not fg["duplicate"].any()
        assert a["holm"].equals(fg["holm"])


def test_nothing_run_gives_an_empty_frame_of_the_same_columns() -> None:
    plan = fakes.plan(models=("LMF",))
    nothing = contrasts(collect(plan, fakes.FakeStore().as_store).values)
    assert nothing.empty
    assert list(nothing.columns) == list(contrasts(collect(plan, fakes.filled(plan).as_store).values).columns)
