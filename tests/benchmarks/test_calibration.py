"""The calibration in short: the simulation is what it says, the promises hold, and broken procedures break them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.calibration import __main__ as command
from benchmarks.calibration.coverage import PROMISED_NOISE, cover
from benchmarks.calibration.figures import COMMITTED, COVERED, SCHEMA, as_text, broken
from benchmarks.calibration.naive import coverage_over_seeds, false_positives
from benchmarks.calibration.plan import FULL, QUICK, jobs, settings
from benchmarks.calibration.power import floors, power_curve
from benchmarks.calibration.rates import Rate
from benchmarks.calibration.simulation import (
    ACCURACY,
    COLLAPSE,
    CUT,
    METRICS,
    Noise,
    Setting,
    agreement,
    generator,
    item_sums,
    noise_ratio,
    population,
    predict,
    qualities,
    true_means,
)
from benchmarks.calibration.stars import ALPHA, MODELS, compared, daggers, simulate_values, values_frame
from harness.results import VALUE_COLUMNS
from harness.statistics import minimum_detectable_effect, paired_t_power

NOISES: tuple[Noise, ...] = ("normal", "skewed", "collapsing", "variant skewed", "variant collapsing")
FIVE = Setting(457, 5, 1.2)
LOUD = Setting(457, 5, 2.5)


@pytest.mark.parametrize("quality", [0.3, 0.8])
def test_metrics_over_all_utterances_are_closed_forms(quality: float) -> None:
    rng = generator("closed forms", quality)
    label, difficulty, profile = rng.standard_normal((3, 200_000))
    pred = predict(label, difficulty, profile, np.array([quality]), rng)
    expected = population(np.array([quality]))
    for metric, sums in item_sums(label, pred).items():
        assert sums.values()[0] == pytest.approx(expected[metric][0], abs=0.004), metric


def test_accuracy_is_the_chance_of_equal_signs_of_a_normal_pair() -> None:
    both = stats.multivariate_normal(cov=[[1, 0.7], [0.7, 1]])
    same = both.cdf([CUT, CUT]) + both.cdf([-CUT, -CUT])
    assert population(np.array(0.7))["Acc-2"] == pytest.approx(same, abs=1e-4)


def test_runs_agree_as_stated() -> None:
    quality = float(np.interp(ACCURACY, population(grid := np.linspace(0, 0.99, 500))["Acc-2"], grid))
    rng = generator("agreement")
    label, difficulty, one, other = rng.standard_normal((4, 200_000))
    first, second = predict(label, difficulty, one, np.full(2, quality), rng) > CUT
    third = predict(label, difficulty, other, np.array([quality]), rng)[0] > CUT
    stated = agreement()
    assert np.mean(first == second) == pytest.approx(stated["other seed"], abs=0.004)
    assert np.mean(first == third) == pytest.approx(stated["other model"], abs=0.004)


@pytest.mark.parametrize("noise", NOISES)
def test_both_arms_are_equally_good_over_seeds(noise: Noise) -> None:
    quality = qualities(Setting(457, 20, 1.2, noise=noise), 5000, generator("mean", noise))
    accuracy = population(quality)["Acc-2"].reshape(2, -1)
    assert accuracy.mean(axis=1) == pytest.approx([ACCURACY, ACCURACY], abs=0.0006)
    plain, collapsing = 0.012, np.hypot(0.012, COLLAPSE["points"] / 100 * np.sqrt(0.05 * 0.95))
    own = collapsing if "collapsing" in noise else plain
    assert accuracy.std(axis=1) == pytest.approx([plain if "variant" in noise else own, own], rel=0.03)
    skew = stats.skew(accuracy, axis=1)
    assert (skew < -1.5).tolist() == [noise in ("skewed", "collapsing"), noise != "normal"]


def test_arms_share_what_a_seed_does_to_both() -> None:
    for shared in (0.0, 0.5):
        quality = qualities(Setting(457, 20, 1.2, shared=shared), 2000, generator("shared", shared))
        original, variant = population(quality)["Acc-2"].reshape(2, -1)
        assert stats.pearsonr(original, variant).statistic == pytest.approx(shared, abs=0.03)


def test_no_comparison_has_an_effect() -> None:
    for setting in (Setting(100, 3, 2.5), Setting(100, 3, 2.5, profile="own")):
        rng = generator("null", setting)
        values = np.stack([simulate_values(setting, 4, rng) for _ in range(200)])
        deltas = (values[:, :, 1] - values[:, :, 0]).mean(axis=(1, 2))
        away = deltas.mean(axis=0) / (deltas.std(axis=0, ddof=1) / np.sqrt(200))
        assert np.abs(away).max() < 3.5, setting


def test_true_means_and_noise_are_those_of_simulated_runs() -> None:
    quality = qualities(Setting(457, 20, 2.5), 3000, generator("truth"))[0].ravel()
    many = population(quality)
    rng = generator("test sets")
    usual = float(np.interp(ACCURACY, population(grid := np.linspace(0, 0.99, 500))["Acc-2"], grid))
    sets = []
    for _ in range(1000):
        label, difficulty, profile = rng.standard_normal((3, 457))
        run = predict(label, difficulty, profile, np.array([usual]), rng)
        sets.append([float(sums.values()[0]) for sums in item_sums(label, run).values()])
    over_sets = dict(zip(METRICS, np.std(sets, axis=0), strict=True))
    for metric, ratio in noise_ratio(457, 2.5).items():
        assert many[metric].mean() == pytest.approx(true_means(2.5)[metric], abs=0.001), metric
        assert many[metric].std() / over_sets[metric] == pytest.approx(ratio, rel=0.1), metric


def test_frames_are_what_the_comparison_reads() -> None:
    values = np.zeros((2, 3, 2, 4, 2))
    values[1, 2, 1, :, 1] = [1.0, 1.1, 0.9, 1.0]  # table 1, model 2, the variant's MAE
    frame = values_frame(values, ["Acc-2", "MAE"])
    assert list(frame.columns) == VALUE_COLUMNS
    found = compared(values, ["Acc-2", "MAE"]).set_index(["dataset", "model", "metric"])
    assert len(found) == 12
    assert set(found["family"]) == {3}
    judged = found[found["significant"]]
    assert judged.index.tolist() == [("table 1", "model 2", "MAE")]
    assert judged["verdict"].tolist() == ["worse"]


def test_rates_carry_exact_bounds() -> None:
    assert Rate(0, 50).bounds(0.99) == pytest.approx((0, 1 - 0.005 ** (1 / 50)))
    assert Rate(50, 50).bounds(0.9) == pytest.approx((0.05 ** (1 / 50), 1))


def figures(stars: list[Any], coverage: list[Any]) -> dict[str, Any]:
    return {"stars": stars, "coverage": coverage}


def test_daggers_keep_the_family_wise_rate_and_unadjusted_tests_do_not() -> None:
    rows = [row.as_json() for row in daggers(FIVE, 40, True)]
    assert [row["metric"] for row in rows] == [*METRICS, "any"]
    assert broken(figures(rows, [])) == []
    unadjusted = [row | {"family": row["unadjusted"]} for row in rows]
    assert {str(one.row["metric"]) for one in broken(figures(unadjusted, []))} == set(METRICS)
    for row in rows[:-1]:
        assert row["family"]["of"] == 40
        assert row["single"]["of"] == 40 * MODELS
        assert row["single"]["rate"] == pytest.approx(ALPHA, abs=0.03)


def test_where_arms_vary_differently_only_equal_means_are_counted() -> None:
    rows = daggers(Setting(457, 3, 1.2, noise="variant collapsing"), 2, False)
    assert [row.metric for row in rows] == ["Acc-2", "F1"]


def test_a_profile_of_its_own_makes_differences_that_hold_on_one_test_set_only() -> None:
    rows = daggers(Setting(457, 20, 0.6, profile="own"), 8, False)
    single = next(row.single for row in rows if row.metric == "Acc-2")
    assert single is not None
    assert single.bounds()[0] > ALPHA


def test_intervals_cover_and_those_over_one_level_alone_do_not() -> None:
    rows = [row.as_json() for row in cover(LOUD, 240, 400)]
    assert {row["metric"] for row in rows if row["promised"]} == {"Acc-2", "F1"}
    assert broken(figures([], rows)) == []
    by_t = rows[0] | {"shown": Rate(round(240 * rows[0]["t"]), 240).as_json()}
    assert by_t["of"] == "mean"
    assert len(broken(figures([], [by_t]))) == 1
    items = next(row for row in false_positives(LOUD, 240) if row.method.startswith("bootstrap over utterances"))
    over_items = rows[1] | {"shown": Rate(240 - items.rate.count, 240).as_json()}
    assert over_items["of"] == "difference, profile kept"
    assert len(broken(figures([], [over_items]))) == 1


def test_seeds_that_dominate_bring_the_t_interval() -> None:
    quiet, loud = (cover(Setting(457, 5, sd), 30, 200) for sd in (0.6, 5.0))
    share = {one.setting.seed_sd: one.by_t for one in (quiet[1], loud[1])}
    assert share[0.6] < 15 < share[5.0]
    assert quiet[0].noise < PROMISED_NOISE < loud[0].noise
    with pytest.raises(ValueError, match="normal noise"):
        cover(Setting(457, 5, 1.2, noise="skewed"), 1)


def test_common_methods_err_as_known() -> None:
    found = {row.method: row.rate.rate for row in false_positives(LOUD, 240)}
    assert found["paired t over seeds"] < 0.1
    assert found["two-level interval"] < 0.1
    assert found["McNemar on one seed"] > 0.2
    assert found["bootstrap over utterances of the mean over seeds"] > 0.2
    covered = {row.method: row.rate for row in coverage_over_seeds(5, 2000)}
    assert covered["t over seeds"].bounds()[0] < 0.95 < covered["t over seeds"].bounds()[1]
    assert covered["percentile bootstrap over seeds"].rate == pytest.approx(0.83, abs=0.03)
    assert "BCa over seeds" not in covered


def test_simulated_power_is_the_closed_form() -> None:
    curve = [row.as_json() for row in power_curve(5, 8)]
    assert [row["effect"] for row in curve if row["detectable"]] == [minimum_detectable_effect(5)]
    for row in curve:
        assert row["closed"] == paired_t_power(row["effect"], 5)
        assert row["single"]["low"] <= row["closed"] <= row["single"]["high"], row
        assert row["daggers"]["rate"] <= row["single"]["rate"]


def test_a_lone_effect_needs_the_power_of_the_adjusted_level() -> None:
    effect = minimum_detectable_effect(5, ALPHA / MODELS)
    values = generator("lone").normal(0, np.sqrt(0.5), (60, MODELS, 2, 5, 1))
    values[:, 0, 1] += effect
    frame = compared(values, ["effect"])
    found = Rate(int(frame.loc[frame["model"] == "model 0", "significant"].sum()), 60)
    assert found.bounds()[0] <= 0.8 <= found.bounds()[1]


def test_floors_are_powers_of_two_and_effects_those_of_the_statistics_sheet() -> None:
    rows = {row["seeds"]: row for row in floors((3, 5, 6, 10, 20))}
    for n, row in rows.items():
        assert row["sign_flip"] == row["wilcoxon"] == 2.0 ** (1 - n)
        assert row["detectable_alone"] > row["detectable"]
    assert [round(rows[n]["detectable"], 2) for n in (3, 5, 10, 20)] == [3.26, 1.68, 1.0, 0.66]


def test_figures_are_the_same_text_whatever_else_is_made() -> None:
    quick = [job for job in jobs(QUICK) if job.part in ("methods", "floors")][-2:]
    first = as_text({"rows": [row for job in quick for row in job.rows()]})
    second = as_text({"rows": [row for job in reversed(quick) for row in job.rows()][::-1]})
    assert sorted(line.rstrip(",") for line in first.splitlines()) == sorted(
        line.rstrip(",") for line in second.splitlines()
    )
    assert as_text({"b": [{"y": 1 / 3, "x": 2}], "a": 1}) == '{\n "a": 1,\n "b": [\n  {"x": 2, "y": 0.333333}\n ]\n}\n'


def test_the_exit_code_says_whether_a_promise_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = json.loads(COMMITTED.read_text(encoding="utf-8"))
    monkeypatch.setattr(command, "measure", lambda *_args, **_named: made)
    out = tmp_path / "figures.json"
    assert command.main(["--quick", "--out", str(out)]) == 0
    assert out.read_text(encoding="utf-8") == COMMITTED.read_text(encoding="utf-8")
    made["stars"][0]["family"] = Rate(70, 600).as_json()
    promised = next(row for row in made["coverage"] if row["promised"])
    promised["shown"] = Rate(700, 800).as_json()
    assert command.main(["--quick"]) == 1
    said = capsys.readouterr().err
    assert "at most 5%: 11.7%" in said
    assert "at least 93%: 87.5%" in said
    with pytest.raises(SystemExit):
        command.main(["--quick", "--write"])


def test_the_committed_figures_are_complete_and_keep_what_is_promised() -> None:
    text = COMMITTED.read_text(encoding="utf-8")
    made = json.loads(text)
    assert made["schema"] == SCHEMA
    assert made["settings"] == json.loads(as_text({"settings": settings(FULL)}))["settings"]
    assert as_text(made) == text
    assert broken(made) == []
    promised = [row for row in made["coverage"] if row["promised"]]
    assert min(row["shown"]["rate"] for row in promised) > COVERED - 0.03
    assert {job.part for job in jobs(FULL)} | {"level", "schema", "settings"} == set(made)


def test_the_committed_rows_are_those_of_today() -> None:
    made = json.loads(COMMITTED.read_text(encoding="utf-8"))
    for part in ("stars", "coverage", "methods", "power", "floors"):
        asked = [job for job in jobs(QUICK) if job.part == part]
        fresh = json.loads(as_text({"rows": asked[0].rows()}))["rows"]
        if part == "stars":
            alike = [not job.arguments[0].noise.startswith("variant") for job in asked]
            assert len(made[part]) == sum(len(METRICS) + 1 if one else 2 for one in alike)
        if part == "coverage":
            assert len(made[part]) == 3 * len(METRICS) * len(asked)
        assert made[part][0].keys() == fresh[0].keys()
    exact = [job for job in jobs(FULL) if job.part == "floors" or "coverage_over_seeds" in str(job.function)]
    for job in exact:
        for row in json.loads(as_text({"rows": job.rows()}))["rows"]:
            assert row in made[job.part]
