"""One question at all levels: every row once, in order, with the interval that belongs to it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
import pytest

from harness.comparison import (
    Comparison,
    Contrast,
    Side,
    against_paper,
    compare,
    contrasts,
    intervals,
    over_models,
    rankings,
    second_level,
)
from harness.comparison.intervals import INTERVAL
from harness.comparison.items import SECOND
from harness.comparison.seeds import CONTRAST_KEY
from harness.results import CELL, Results, collect, summarise
from harness.statistics import paired_t_power
from tests.comparison import made
from tests.reports import fakes

RESAMPLES = 100
QUESTIONS = [
    None,
    Contrast(Side("fg")),
    Contrast(b=Side("a")),
    Contrast(Side("fg", "LMF")),
]


@pytest.fixture(scope="module")
def results() -> Results:
    """Two data sets, one of which splits audio alone, so that its -a is its -fg."""
    both = [fakes.dataset("both"), fakes.dataset("audio", vision_groups=False)]
    return made.results(fakes.plan(both, models=("LF-DNN", "LMF"), seeds=(1, 2, 3)))[0]


@pytest.fixture(scope="module")
def answers(results: Results) -> Mapping[Contrast | None, Comparison]:
    return {asked: compare(results, asked, resamples=RESAMPLES) for asked in QUESTIONS}


@pytest.fixture(scope="module")
def found(answers: Mapping[Contrast | None, Comparison]) -> Comparison:
    return answers[None]


@pytest.mark.parametrize("asked", QUESTIONS, ids=str)
def test_every_contrast_stands_once_in_the_order_of_the_first_level(
    results: Results, answers: Mapping[Contrast | None, Comparison], asked: Contrast | None
) -> None:
    got = answers[asked].contrasts
    first = contrasts(results.values, asked).rename(columns={"low": "t_low", "high": "t_high"})
    pd.testing.assert_frame_equal(got[first.columns], first)
    assert list(got.columns) == [*first.columns, *INTERVAL, "needed"]
    assert not got.duplicated(CONTRAST_KEY).any()
    assert got["low"].isna().equals(got["n"] == 0)


@pytest.mark.parametrize("asked", [QUESTIONS[0], QUESTIONS[3]], ids=str)
def test_every_contrast_has_its_own_interval(
    results: Results, answers: Mapping[Contrast | None, Comparison], asked: Contrast | None
) -> None:
    got = answers[asked].contrasts
    _, wanted = intervals(results, [asked or Contrast()], resamples=RESAMPLES)
    kept = got[~got["duplicate"]]
    made.alike(kept[[*CONTRAST_KEY, *INTERVAL]], wanted, CONTRAST_KEY)
    assert kept["low"].nunique() > len(kept) / 2


def test_a_duplicate_carries_all_figures_of_what_it_repeats(found: Comparison) -> None:
    own = found.contrasts[found.contrasts["dataset"] == "audio"]
    first, again = (own[own["variant"] == name].reset_index(drop=True) for name in ("fg", "a"))
    named = ["variant", "alias_of", "duplicate", "contrast"]
    assert len(first) == 2 * 9
    assert again["duplicate"].all()
    pd.testing.assert_frame_equal(first.drop(columns=named), again.drop(columns=named))
    assert again["low"].notna().all()


def test_cells_are_summarised_with_an_interval_each(results: Results, found: Comparison) -> None:
    summary = summarise(results.values)
    pd.testing.assert_frame_equal(found.cells[summary.columns], summary)
    assert list(found.cells.columns) == [*summary.columns, *INTERVAL]
    alone, _ = intervals(results, resamples=RESAMPLES)
    made.alike(found.cells[[*CELL, "metric", *INTERVAL]], alone, [*CELL, "metric"])
    assert ((found.cells["low"] <= found.cells["mean"]) & (found.cells["mean"] <= found.cells["high"])).all()


def test_seeds_and_resamples_that_are_not_defined_are_told_apart() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original", "fg"), seeds=(1, 2, 3))
    _, store = made.results(plan)
    store.records[plan.runs[0].run_id].frame["pred"] = 0.5
    cells = compare(collect(plan, store.as_store), resamples=RESAMPLES).cells
    row = made.only(cells, variant="original", metric="Corr")
    assert (row["n"], row["undefined"], row["undefined_resamples"]) == (2, 1, 0)


def test_other_levels_are_those_of_their_own_functions(results: Results, found: Comparison) -> None:
    first = contrasts(results.values)
    pd.testing.assert_frame_equal(found.models, over_models(first))
    assert found.rankings == rankings(summarise(results.values), results.values)
    pd.testing.assert_frame_equal(found.printed, against_paper(results.values))
    assert {(one.dataset, len(one.variants)) for one in found.rankings} == {("both", 4)}


@pytest.mark.parametrize("asked", [QUESTIONS[0], QUESTIONS[3]], ids=str)
def test_items_stand_beside_the_first_level(
    results: Results, answers: Mapping[Contrast | None, Comparison], asked: Contrast | None
) -> None:
    got = answers[asked]
    alone = second_level(results, asked, resamples=RESAMPLES)
    assert list(got.items.columns) == [*CONTRAST_KEY, *SECOND, "holm", "verdict"]
    pd.testing.assert_frame_equal(got.items[alone.columns], alone)
    assert not got.items["duplicate"].any()
    beside = got.contrasts.set_index(CONTRAST_KEY)[["holm", "verdict"]]
    assert got.items.set_index(CONTRAST_KEY)[["holm", "verdict"]].equals(beside[~got.contrasts["duplicate"].to_numpy()])


def test_items_can_be_left_out(results: Results, found: Comparison) -> None:
    without = compare(results, resamples=RESAMPLES, items=False)
    assert without.items.empty
    assert list(without.items.columns) == list(found.items.columns)
    pd.testing.assert_frame_equal(without.contrasts, found.contrasts)


def test_the_level_reaches_every_part(results: Results) -> None:
    loose = compare(results, alpha=0.2, resamples=RESAMPLES)
    assert (loose.alpha, loose.resamples) == (0.2, RESAMPLES)
    assert set(loose.contrasts["alpha"]) == {0.2}
    assert loose.contrasts["significant"].equals(loose.contrasts["holm"] < 0.2)
    made.alike(
        loose.cells[[*CELL, "metric", *INTERVAL]],
        intervals(results, alpha=0.2, resamples=RESAMPLES)[0],
        [*CELL, "metric"],
    )
    pd.testing.assert_frame_equal(loose.models, over_models(contrasts(results.values, alpha=0.2), 0.2))
    assert all(one.nemenyi.alpha == 0.2 for one in loose.rankings)
    pd.testing.assert_frame_equal(
        loose.items[["below_alpha"]], second_level(results, alpha=0.2, resamples=RESAMPLES)[["below_alpha"]]
    )


def test_other_utterances_leave_the_first_level_and_no_interval() -> None:
    plan = fakes.plan(models=("LMF", "TFN"), variants=("original", "fg"), seeds=(1, 2, 3))
    _, store = made.results(plan)
    for run in plan.runs:
        if (run.model, run.variant) == ("LMF", "fg"):
            store.records[run.run_id].frame = store.records[run.run_id].frame.iloc[1:]
    got = compare(collect(plan, store.as_store), resamples=RESAMPLES)
    own = got.contrasts[got.contrasts["model"] == "LMF"]
    assert own["p"].notna().all()
    assert own["low"].isna().all()
    assert got.contrasts.loc[got.contrasts["model"] == "TFN", "low"].notna().all()
    assert set(got.items["model"]) == {"TFN"}
    assert got.cells["low"].notna().all()


@pytest.mark.parametrize("kept", ["none", "baseline", "variant"])
def test_what_is_missing_gives_empty_parts(kept: str, found: Comparison) -> None:
    plan = fakes.plan(models=("LMF",), variants=("original", "fg"), seeds=(1, 2))
    _, store = made.results(plan)
    for run in plan.runs:
        if kept == "none" or (run.variant == "original") != (kept == "baseline"):
            store.records.pop(run.run_id)
    got = compare(collect(plan, store.as_store), resamples=RESAMPLES)
    for name in ("cells", "contrasts", "models", "printed", "items"):
        part, whole = getattr(got, name), getattr(found, name)
        assert list(part.columns) == list(whole.columns)
        wanted = {"cells": 0 if kept == "none" else 9, "contrasts": 9 if kept == "variant" else 0}
        assert len(part) == wanted.get(name, 0)
    assert got.rankings == ()
    assert all(math.isnan(low) for low in got.contrasts["low"])
    assert (got.contrasts["n"] == 0).all()


def test_values_without_their_predictions_have_tests_and_no_intervals(results: Results, found: Comparison) -> None:
    bare = compare(Results(results.values, results.runs, results.skipped, {}), resamples=RESAMPLES)
    assert bare.contrasts["holm"].tolist() == pytest.approx(found.contrasts["holm"].tolist(), nan_ok=True)
    assert bare.contrasts["low"].isna().all()
    assert bare.cells["low"].isna().all()
    assert bare.items.empty


def test_the_seeds_needed_find_a_difference_that_counts(found: Comparison) -> None:
    for row in found.contrasts.to_dict("records"):
        margin = 0.02 if row["metric"] in ("MAE", "Corr") else 0.01
        if not row["sd"] > 0:
            assert math.isnan(row["needed"])
            continue
        needed = int(row["needed"])
        assert paired_t_power(margin / row["sd"], needed) >= 0.8 - 1e-9
        assert needed == 2 or paired_t_power(margin / row["sd"], needed - 1) < 0.8
