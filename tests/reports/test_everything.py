"""A report with all of its parts, of a suite in which much is missing or broken."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.cases import Remark
from harness.costs import CellCosts
from harness.plan import Plan
from harness.reports import Extras, render
from harness.results import collect
from tests.html import parse, text_of
from tests.reports import fakes

TITLE = r"Set & co: 100% #1_a $x^2$ ~\ {b} <i>x</i> 情感"
NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """One seed, no run of a variant, a failed run, constant predictions, names of all kinds. Read only."""
    plan = fakes.plan(
        [fakes.dataset("odd", title=TITLE, synthetic=False)],
        tasks=("regression", "classification"),
        models=("LF-DNN", "MulT"),
        variants=("original", "fg", "a"),
        seeds=(7,),
        name="odd",
        title=TITLE,
    )
    store = fakes.filled(plan)
    for run in plan.runs:
        if run.variant == "a":
            store.records.pop(run.run_id)
    failed = next(run for run in plan.runs if (run.model, run.variant, run.task) == ("MulT", "fg", "regression"))
    store.records.pop(failed.run_id)
    store.fail(failed, f"NaN loss in {TITLE}")
    constant = next(run for run in plan.runs if (run.model, run.variant, run.task) == ("LF-DNN", "fg", "regression"))
    store.records[constant.run_id].frame["pred"] = 0.25
    remarks = {
        f"clip$_${i}": Remark(translation=TITLE, acoustic="平静", visual="50 % smile & frown") for i in range(200)
    }
    costs = {("odd", "unaligned", "regression", "LF-DNN", "original"): CellCosts(1234, 56789, 1200, 50000, 32)}
    uncounted = {("odd", "unaligned", "regression", "LF-DNN", "fg"): "no batch fits"}
    extras = Extras(figures=True, remarks=remarks, costs=costs, uncounted=uncounted)
    out = tmp_path_factory.mktemp("reports")
    results = collect(plan, store.as_store)
    page, *_ = render(results, plan, out, now=NOW, resamples=fakes.RESAMPLES, extras=extras)
    return plan, page


def test_it_says_what_is_missing(broken: tuple[Plan, Path]) -> None:
    plan, page = broken
    document = parse(page)
    told = text_of(document.find(".//section[@id='summary']"))
    assert f"{len(plan.runs) - 5} of {len(plan.runs)} runs done, 1 failed and 4 not run yet" in told
    table = text_of(document.find(".//section[@id='odd-regression']"))
    for phrase in (
        "no finished run yet in 3 cells",
        "Corr: not defined for some runs",
        "With one pair of runs no difference can be tested: no daggers.",
        "Costs of LF-DNN-fg could not be counted: no batch fits.",
        "1.23×103",
    ):
        assert phrase in table, phrase
    assert TITLE.replace("  ", " ") in text_of(document.find(".//section[@id='runs']"))


def test_every_figure_is_there_or_said_to_be_missing_and_none_speaks_of_one_seeds(broken: tuple[Plan, Path]) -> None:
    document = parse(broken[1])
    section = document.find(".//section[@id='odd-regression']")
    assert section is not None
    captions = [text_of(caption) for caption in section.iter("figcaption")]
    assert len(captions) >= 4
    assert not [caption for caption in captions if " 1 seeds" in caption or "over 1 seed " in caption]
    assert "Not drawn:" in text_of(section)
    for caption in section.iter("figcaption"):
        for link in caption.iter("a"):
            assert (broken[1].parent / link.get("href", "")).stat().st_size > 0


def test_cases_carry_the_notes_of_the_user(broken: tuple[Plan, Path]) -> None:
    cases = text_of(parse(broken[1]).find(".//section[@id='cases']"))
    for phrase in ("平静", "50 % smile & frown", "LF-DNN", "largest loss"):
        assert phrase in cases


def test_nothing_is_called_a_mean_or_a_spread_over_one_seed(broken: tuple[Plan, Path]) -> None:
    document = parse(broken[1])
    section = document.find(".//section[@id='odd-classification']")
    assert section is not None
    scores = section.find(".//table[@class='scores']/caption")
    assert text_of(scores).endswith(", classification: one run of every model and variant.")
    places = [section, *(document.find(f".//section[@id='{name}']") for name in ("cases", "over-models"))]
    for place in places:
        told = text_of(place)
        for phrase in (
            "over seeds of every model",
            "mean over paired seeds",
            "means of seed",
            "mean of seed",
            "1 seeds",
        ):
            assert phrase not in told, phrase
