"""Blocks looked up or computed: never another bit, never an old one, and nothing twice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from harness.comparison import Comparison, Contrast, Side, compare, intervals, measured, second_level
from harness.comparison.intervals import INTERVAL, interval_rows
from harness.memo import Memo
from harness.plan import Plan
from harness.results import Results, collect
from harness.store import RunStore
from tests.comparison import made
from tests.helpers import fake_record
from tests.reports import fakes

RESAMPLES = 60
MODELS = ("LMF", "TFN")
BLOCKS = 2 * len(MODELS)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return fakes.plan(
        tasks=("regression", "classification"), models=MODELS, variants=("original", "fg", "a"), seeds=(1, 2, 3)
    )


@pytest.fixture
def store(plan: Plan, tmp_path: Path) -> RunStore:
    prepared = RunStore(tmp_path / "runs")
    prepared.prepare()
    for run in plan.runs:
        fake_record(prepared, run)
    return prepared


@pytest.fixture
def memo(tmp_path: Path) -> Memo:
    return Memo(tmp_path / "memo")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Task and model of every block that is computed in this process."""
    seen: list[tuple[str, str]] = []
    plain = interval_rows

    def watched(block: Any, *rest: Any) -> Any:
        names = block.cells[0].names
        seen.append((names["task"], names["model"]))
        return plain(block, *rest)

    monkeypatch.setattr(measured, "interval_rows", watched)
    return seen


def same(found: Comparison, wanted: Comparison) -> None:
    for name in ("cells", "contrasts", "models", "printed", "items"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(wanted, name), check_exact=True)
    assert repr(found.rankings) == repr(wanted.rankings)
    assert (found.alpha, found.resamples) == (wanted.alpha, wanted.resamples)


def asked(results: Results, memo: Memo | None = None, **named: Any) -> Comparison:
    return compare(results, **({"resamples": RESAMPLES} | named), memo=memo)


@pytest.mark.parametrize("question", [None, Contrast(Side("fg")), Contrast(Side("original", "LMF"))])
def test_a_memo_changes_no_bit_and_nothing_is_computed_twice(
    plan: Plan, store: RunStore, memo: Memo, tmp_path: Path, computed: list[tuple[str, str]], question: Contrast | None
) -> None:
    plain = asked(collect(plan, store), asked=question)
    same(asked(collect(plan, store, memo), memo, asked=question), plain)
    assert len(computed) == 2 * BLOCKS
    memo.save()
    again = Memo(tmp_path / "memo")
    same(asked(collect(plan, store, again), again, asked=question), plain)
    assert len(computed) == 2 * BLOCKS


def test_only_the_block_of_a_changed_run_is_computed_again(
    plan: Plan, store: RunStore, memo: Memo, computed: list[tuple[str, str]]
) -> None:
    asked(collect(plan, store, memo), memo)
    computed.clear()
    run = next(run for run in plan.runs if (run.task, run.model, run.variant) == ("classification", "TFN", "fg"))
    shutil.rmtree(store.folder(run))
    fake_record(store, run, noise=0.9)
    found = asked(collect(plan, store, memo), memo)
    assert computed == [("classification", "TFN")]
    same(found, asked(collect(plan, store)))


def test_a_run_that_is_new_or_gone_changes_its_block_alone(
    plan: Plan, store: RunStore, memo: Memo, computed: list[tuple[str, str]]
) -> None:
    asked(collect(plan, store, memo), memo)
    computed.clear()
    (store.folder(plan.runs[0]) / "record.json").unlink()
    fewer = asked(collect(plan, store, memo), memo)
    assert computed == [("regression", "LMF")]
    same(fewer, asked(collect(plan, store)))


@pytest.mark.parametrize("change", [{"alpha": 0.1}, {"resamples": RESAMPLES + 1}, {"items": False}])
def test_other_settings_are_other_entries(
    plan: Plan, store: RunStore, memo: Memo, computed: list[tuple[str, str]], change: dict[str, Any]
) -> None:
    asked(collect(plan, store, memo), memo)
    computed.clear()
    same(asked(collect(plan, store, memo), memo, **change), asked(collect(plan, store), **change))
    assert len(computed) == 2 * BLOCKS


def test_other_code_finds_nothing(
    plan: Plan, store: RunStore, memo: Memo, computed: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = collect(plan, store, memo)
    asked(results, memo)
    monkeypatch.setattr(measured, "_measured_by", lambda: ("other code",))
    asked(results, memo)
    assert len(computed) == 2 * BLOCKS


def test_without_hashes_nothing_is_kept(
    plan: Plan, store: RunStore, memo: Memo, computed: list[tuple[str, str]]
) -> None:
    results = collect(plan, store)
    same(asked(results, memo), asked(results, memo))
    assert len(computed) == 2 * BLOCKS


def test_workers_change_no_bit(plan: Plan, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    results = collect(plan, store)
    wanted = asked(results)
    monkeypatch.setattr(measured, "_SMALL", 0)
    here: list[object] = []
    monkeypatch.setattr(measured, "second_rows", lambda *_: here.append(_))
    same(asked(results, workers=2), wanted)
    assert not here


def test_threads_of_matrix_products_change_no_bit() -> None:
    results, _ = made.results(fakes.plan(models=("LMF",), variants=("original", "fg")), items=457)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            found.append(asked(results))
    same(*found)


def test_blocks_hold_what_the_levels_say_alone(plan: Plan, store: RunStore) -> None:
    results = collect(plan, store)
    whole = asked(results)
    cells, _ = intervals(results, resamples=RESAMPLES)
    pd.testing.assert_frame_equal(whole.cells[INTERVAL], cells[INTERVAL], check_exact=True)
    second = second_level(results, resamples=RESAMPLES)
    pd.testing.assert_frame_equal(whole.items[list(second)], second, check_exact=True)
