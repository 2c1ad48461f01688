"""The benchmark of reports: that its records are read as records, and that it times every part once."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.report.__main__ import as_table, measure
from benchmarks.report.once import PARTS, Clock
from benchmarks.report.records import change_one, fill, plan_of
from benchmarks.report.settings import FIGURES, QUICK, TABLES
from harness.results import collect
from harness.store import RunStore


def test_sizes_are_those_of_the_aims() -> None:
    assert len(plan_of(TABLES).runs) >= 10_000
    assert len(plan_of(FIGURES).runs) >= 700


def test_synthetic_records_are_records(tmp_path: Path) -> None:
    plan, store = plan_of(QUICK), RunStore(tmp_path)
    fill(plan, store, features=True)
    results = collect(plan, store)
    assert set(results.runs["status"]) == {"done"}
    assert results.values["value"].notna().all()
    spread = results.values.groupby(["task", "model", "variant", "metric"])["value"].nunique()
    assert (spread > 1).mean() > 0.8, "seeds must differ"
    assert {record.spec.data.synthetic for record in store.records()} == {True}
    run_id = plan.runs[0].run_id
    learned, tested = results.learned[run_id], results.predictions[run_id]
    assert learned.ids.tolist() == tested.ids.tolist()
    change_one(plan, store, features=True)
    changed = collect(plan, store).values
    differs = changed["value"] != results.values["value"]
    assert set(changed.loc[differs, "run_id"]) == {run_id}


def test_a_small_report_is_measured_in_three_turns(tmp_path: Path) -> None:
    rows = list(measure(QUICK, tmp_path))
    assert [turn for turn, *_ in rows] == ["cold", "unchanged", "one run changed"]
    for _, runs, seconds in rows:
        assert runs == 2 * 2 * 4 * 2
        assert set(seconds) == {*PARTS, "total"}
        assert seconds["compare"] > 0
        assert seconds["pages"] > 0
        assert sum(seconds[part] for part in PARTS) < seconds["total"]
    assert len(list((tmp_path / "reports").rglob("index.html"))) == 1
    header, _, *lines = as_table(rows).splitlines()
    assert header.count("|") == len(PARTS) + 5
    assert [line.split(" | ")[0] for line in lines] == ["| cold", "| unchanged", "| one run changed"]
    assert lines[0].endswith("| 1.00 |")


def test_what_a_part_does_inside_another_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 3.0, 7.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    clock, module = Clock(), SimpleNamespace(gallery=lambda told: told)
    clock.watch(module, "gallery", part="figures")
    with clock("pages"):
        assert module.gallery("drawn") == "drawn"
    assert (clock.seconds["pages"], clock.seconds["figures"]) == (1.0 + 4.0, 2.0)
