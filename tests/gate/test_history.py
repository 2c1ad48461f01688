"""A baseline over time: its versions in git and in files, changes of level, and the page."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import html5lib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.errors import InputError
from harness.gate import Baseline, write
from harness.gate.history import Point, Version, change_points, from_files, from_git, series_of
from harness.reports.history import render_history
from tests.gate import made

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def points(means: Sequence[float] | NDArray[np.float64], sd: float = 0.02, seeds: int = 5) -> list[Point]:
    return [Point(i, float(mean), sd, seeds) for i, mean in enumerate(means)]


@pytest.mark.parametrize("place", [2, 3, 5, 8])
def test_a_lasting_change_is_found_where_it_happens(place: int) -> None:
    rng = np.random.default_rng(place)
    means = 0.7 + rng.normal(0, 0.02 / np.sqrt(5), 10)
    assert change_points(points(means)) == ()
    means[place:] -= 0.1
    assert change_points(points(means)) == (place,)


def test_there_and_back_are_two_changes_and_a_single_outlier_is_none() -> None:
    level = np.array([0.7, 0.701, 0.699, 0.6, 0.601, 0.599, 0.7, 0.7, 0.701])
    assert change_points(points(level)) == (3, 6)
    alone = np.array([0.7, 0.701, 0.699, 0.7, 0.685, 0.701, 0.7, 0.699])
    assert change_points(points(alone)) == ()


@pytest.mark.parametrize("count", [4, 10, 40])
def test_a_series_without_changes_passes_for_one_once_in_a_thousand(count: int) -> None:
    rng = np.random.default_rng(count)
    draws = 4000 if count < 40 else 1000
    values = rng.normal(0.7, 0.02, (draws, count, 5))
    alarms = 0
    for series in values:
        sampled = [Point(i, float(one.mean()), float(one.std(ddof=1)), 5) for i, one in enumerate(series)]
        alarms += bool(change_points(sampled))
    # 1 in 1,000 gives more than 14 of 4,000, or 6 of 1,000, in less than 1 of 10,000 tries.
    assert alarms <= (14 if draws == 4000 else 6)


@given(st.lists(st.floats(0, 1), max_size=12), st.sampled_from([0.0, 0.02]), st.floats(-5, 5))
@settings(deadline=None)
def test_changes_do_not_depend_on_where_zero_is(means: list[float], sd: float, shift: float) -> None:
    found = change_points(points(np.round(means, 3), sd))
    assert all(2 <= place <= len(means) - 2 for place in found)
    if sd:
        assert change_points(points(np.round(means, 3) + round(shift, 3), sd)) == found


def test_without_a_spread_every_lasting_difference_is_a_change() -> None:
    assert change_points(points([0.5, 0.5, 0.5, 0.501, 0.501, 0.501], sd=0.0)) == (3,)
    assert change_points(points([0.5] * 6, sd=0.0)) == ()
    assert change_points(points([0.0] * 6, sd=0.0)) == ()


def test_few_versions_have_no_changes() -> None:
    assert change_points(points([0.1, 0.9, 0.9])) == ()
    assert change_points([]) == ()


def test_a_metric_that_is_defined_anew_begins_anew() -> None:
    old, new = made.versions(0.0, 0.0)
    cells = {}
    for name, cell in new.baseline.cells.items():
        metrics = {**cell.metrics, "MAE": cell.metrics["MAE"].model_copy(update={"signature": "MAE|v2"})}
        cells[name] = cell.model_copy(update={"metrics": metrics})
    changed = Version("new", "", "", new.baseline.model_copy(update={"cells": cells}))
    found = {(one.cell, one.metric): [point.version for point in one.points] for one in series_of([old, changed])}
    (mae,) = [value for (cell, metric), value in found.items() if metric == "MAE" and "LF-DNN" in cell]
    (f1,) = [value for (cell, metric), value in found.items() if metric == "F1/has-0" and "LF-DNN" in cell]
    assert (mae, f1) == ([1], [0, 1])


def test_a_metric_that_no_seed_has_is_left_out() -> None:
    def value(_: object, seed: int, metric: str) -> float:
        return float("nan") if metric == "Corr" else made.typical(None, seed, metric)  # type: ignore[arg-type]

    known = Version("one", "", "", made.baseline(value=value))
    assert "Corr" not in {one.metric for one in series_of([known])}


class Repository:
    """A git repository with a baseline in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "b.json"
        folder.mkdir()
        self.git("init", "-q")

    def git(self, *words: str) -> None:
        person = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "core.quotePath=true")
        subprocess.run(["git", "-C", str(self.folder), *person, *words], check=True, capture_output=True)

    def commit(self, known: Baseline | str, note: str) -> None:
        if isinstance(known, str):
            self.file.write_text(known, encoding="utf-8")
        else:
            write(known, self.file)
        self.git("add", "-A")
        self.git("commit", "-qm", note)


def test_versions_come_from_git_the_oldest_first_through_renames_and_damage(tmp_path: Path) -> None:
    place = Repository(tmp_path / "ein Ort")
    first, second, third = made.versions(0.0, 0.01, 0.02)
    place.commit(first.baseline, "first")
    place.commit('{"schema_version": 99}', "not yet")
    place.commit(second.baseline, 'second, with "quotes" and ü')
    place.git("mv", "b.json", "grün.json")
    place.file = place.folder / "grün.json"
    place.git("commit", "-qm", "moved")
    place.commit(third.baseline, "third")
    found, left_out = from_git(place.file)
    assert [one.subject for one in found] == ["first", 'second, with "quotes" and ü', "moved", "third"]
    assert [one.baseline for one in found] == [first.baseline, second.baseline, second.baseline, third.baseline]
    assert all(len(one.label) == 8 and one.when for one in found)
    (reason,) = left_out
    assert "schema version 99" in reason


def test_what_git_cannot_tell_is_said(tmp_path: Path) -> None:
    place = Repository(tmp_path / "r")
    place.commit(made.baseline(), "first")
    fresh = place.folder / "fresh.json"
    write(made.baseline(), fresh)
    with pytest.raises(InputError, match="never committed"):
        from_git(fresh)
    loose = tmp_path / "loose.json"
    write(made.baseline(), loose)
    with pytest.raises(InputError, match="git cannot tell"):
        from_git(loose)


def test_files_of_several_suites_are_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "a.json", tmp_path / "b.json"
    write(made.baseline(), one)
    write(made.baseline().model_copy(update={"suite": "other"}), other)
    with pytest.raises(InputError, match="fake, other"):
        from_files([one, other])
    assert [version.label for version in from_files([one, one])] == ["a.json", "a.json"]


def test_the_page_marks_a_change_between_its_versions(tmp_path: Path) -> None:
    known = made.versions(0.0, 0.0, 0.0, 0.1, 0.1, 0.1)
    series = series_of(known)
    path = render_history(known, series, ["0123abcd: not <JSON>"], tmp_path / "h.html", now=NOW)
    text = path.read_text(encoding="utf-8")
    root = html5lib.parse(text, namespaceHTMLElements=False)
    assert {one.changes for one in series} == {(3,)}
    charts = [svg for svg in root.iter() if svg.get("class") == "chart history"]
    assert len(charts) == len(series)
    for svg, one in zip(charts, series, strict=True):
        (line,) = [path for path in svg.iter() if path.get("class") == "change"]
        at = float(str(line.get("d")).split()[0].removeprefix("M"))
        circles = [float(str(circle.get("cx"))) for circle in svg.iter() if circle.tag.endswith("circle")]
        assert len(circles) == 6
        assert circles[2] < at < circles[3]
        # For MAE the smaller is better.
        assert ("▲" if one.metric == "MAE" else "▼") in "".join(svg.itertext())
    assert f"{len(series)} lasting changes of level" in text
    assert "Synthetic data." in text
    assert "not &lt;JSON&gt;" in text
    rows = [row for row in root.iter("tr") if (first := row.find("th")) is not None and "LF-DNN" in str(first.text)]
    assert any("v3" in "".join(row.itertext()) for row in rows)


def test_one_version_makes_a_page(tmp_path: Path) -> None:
    known = made.versions(0.0)
    text = render_history(known, series_of(known), [], tmp_path / "h.html", now=NOW).read_text(encoding="utf-8")
    assert "looked for from four versions on" in text
    assert "NaN" not in text.upper().replace("NANCY", "")
    json.dumps(text)
