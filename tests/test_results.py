"""Records to frames: metrics by recomputation, contrasts by hand, families without aliases, broken records."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness.metrics import compute
from harness.results import collect, contrasts, summarise
from harness.store import RunStore
from tests.helpers import fake_record
from tests.reports import fakes


def test_values_are_recomputed_from_predictions() -> None:
    plan = fakes.plan(models=("LMF",))
    store = fakes.filled(plan, fakes.typical_error)
    results = collect(plan, store.as_store)
    run = plan.runs[3]
    frame = store.records[run.run_id].frame
    expected = compute("regression", "mosei", frame["label"].to_numpy(), frame["pred"].to_numpy())
    rows = results.values[results.values["run_id"] == run.run_id].set_index("metric")
    assert rows["value"].to_dict() == pytest.approx({name: got.value for name, got in expected.items()})
    assert rows.loc["MAE", "mmsa"] == expected["MAE"].mmsa
    assert set(results.runs["status"]) == {"done"}
    assert set(results.environments) == {"aaaa1111"}


def test_mean_and_sd_are_over_seeds() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original",))
    values = collect(plan, fakes.filled(plan).as_store).values
    mae = values.loc[values["metric"] == "MAE", "value"].to_numpy()
    row = summarise(values).set_index("metric").loc["MAE"]
    assert row["n"] == len(fakes.SEEDS)
    assert row["mean"] == pytest.approx(np.mean(mae))
    assert row["sd"] == pytest.approx(np.std(mae, ddof=1))


def test_deltas_are_paired_by_seed_and_plus_is_an_improvement() -> None:
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


def test_holm_runs_over_the_models_of_a_family() -> None:
    plan = fakes.plan(variants=("original", "fg", "v"))
    found = contrasts(collect(plan, fakes.filled(plan, fakes.typical_error).as_store).values)
    for _, block in found.groupby(["metric", "variant"]):
        assert set(block["family"]) == {3}
        p = np.sort(block["p"].to_numpy())
        expected = np.minimum(1, np.maximum.accumulate(p * np.arange(3, 0, -1)))
        assert np.sort(block["holm"].to_numpy()) == pytest.approx(expected)
    assert found["significant"].any()


def test_an_alias_is_shown_and_counts_once() -> None:
    plan = fakes.plan([fakes.dataset("mosi-utterance", synthetic=False, vision_groups=False)])
    results = collect(plan, fakes.filled(plan, fakes.typical_error).as_store)
    assert set(results.values["variant"]) == {"original", "fg", "a"}
    assert set(results.skipped["variant"]) == {"v"}
    assert len(results.runs) == 2 * len(fakes.MODELS) * len(fakes.SEEDS)
    found = contrasts(results.values)
    for _, block in found.groupby("metric"):
        fg, a = (block[block["variant"] == v].reset_index(drop=True) for v in ("fg", "a"))
        assert set(block["family"]) == {3}
        assert a["duplicate"].all()
        assert not fg["duplicate"].any()
        assert a["holm"].equals(fg["holm"])


def test_one_seed_has_a_delta_and_no_verdict() -> None:
    plan = fakes.plan(seeds=(7,), models=("LMF",))
    found = contrasts(collect(plan, fakes.filled(plan).as_store).values)
    assert (found["n"] == 1).all()
    assert found["p"].isna().all()
    assert not found["significant"].any()


def test_undefined_metrics_are_left_out_of_means() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original",))
    store = fakes.filled(plan)
    store.records[plan.runs[0].run_id].frame["pred"] = 0.3
    rows = summarise(collect(plan, store.as_store).values).to_dict("records")
    (row,) = (row for row in rows if row["metric"] == "Corr")
    assert (row["n"], row["undefined"]) == (4, 1)
    assert not math.isnan(row["mean"])


def test_nothing_run_gives_empty_frames() -> None:
    plan = fakes.plan()
    results = collect(plan, fakes.FakeStore().as_store)
    assert results.values.empty
    assert set(results.runs["status"]) == {"missing"}
    assert summarise(results.values).empty
    assert contrasts(results.values).empty


def test_a_damaged_record_is_a_failed_run_with_a_reason(tmp_path: Path) -> None:
    plan = fakes.plan(models=("LMF",), variants=("original",), seeds=(1, 2))
    store = RunStore(tmp_path)
    store.prepare()
    for run in plan.runs:
        fake_record(store, run)
    (store.folder(plan.runs[0]) / "predictions.parquet").write_bytes(b"no parquet")
    results = collect(plan, store)
    told = {row["seed"]: row for row in results.runs.to_dict("records")}
    assert told[1]["status"] == "failed"
    assert "delete its folder" in told[1]["reason"]
    assert told[2]["status"] == "done"
    assert set(results.values["seed"]) == {2}


def test_failures_come_with_their_reason() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original",))
    store = fakes.filled(plan)
    run = plan.runs[1]
    store.records.pop(run.run_id)
    store.fail(run, "ran out of patience", kind="timeout")
    told = collect(plan, store.as_store).runs.set_index("run_id").loc[run.run_id]
    assert (told["status"], told["kind"], told["reason"]) == ("failed", "timeout", "ran out of patience")
