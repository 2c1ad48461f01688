"""``harness baseline`` and ``harness gate`` as people and machines call them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from harness.gate import Baseline, read, write
from tests.cli.conftest import Finished
from tests.cli.tools import Place, ask, refused, write_suite

ROOT = Path(__file__).resolve().parents[2]
NO_COSTS = "--no-costs"


@pytest.fixture(scope="session")
def _taken(_finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gate") / "tiny.json"
    place = _finished.place
    answer = ask(
        *("baseline", "--suite", _finished.suite, "--out", path, "--records-only", NO_COSTS),
        *("--runs-dir", place.runs, "--cache-dir", place.cache),
    )
    assert answer.code == 0, answer.err
    return path


@pytest.fixture
def baseline(_taken: Path, tmp_path: Path) -> Path:
    """The finished suite's baseline, in a place of one's own."""
    return Path(shutil.copy(_taken, tmp_path / "tiny.json"))


def gate(finished: Finished, baseline: Path, *more: str | Path, place: Place | None = None) -> Any:
    place = place or finished.place
    folders = ("--runs-dir", place.runs, "--cache-dir", place.cache)
    return ask("gate", "--suite", finished.suite, "--baseline", baseline, *folders, NO_COSTS, *more)


def changed(path: Path, metric: str, by: float) -> Baseline:
    """Move one metric of the first cell, all seeds alike, and write the file with a checksum that fits.

    Other values come from other predictions, which the file no longer names.
    """
    known = read(path).model_dump(mode="json")
    first = known["cells"][sorted(known["cells"])[0]]
    first["predictions"] = {}
    cell = first["metrics"][metric]
    cell["values"] = {seed: value + by for seed, value in cell["values"].items()}
    cell["mean"] += by
    moved = Baseline.model_validate(known)
    write(moved, path)
    return moved


def test_the_same_records_pass(finished: Finished, baseline: Path) -> None:
    answer = gate(finished, baseline, "--all")
    assert answer.code == 0, answer.err
    assert "pass: 30 green" in answer.err
    assert "all values are equal to the last bit" in answer.err
    assert "synthetic data" in answer.err
    assert "LF-DNN-fg, synthetic-tiny (unaligned), regression" in answer.out


def test_a_loss_is_red_and_gives_1_and_a_gain_is_stale_and_gives_0(finished: Finished, baseline: Path) -> None:
    changed(baseline, "MAE", -0.4)  # it was better: now is worse
    lost = gate(finished, baseline, "--format", "json")
    assert lost.code == 1
    told = json.loads(lost.out)
    assert [row["metric"] for row in told["rows"] if row["verdict"] == "RED"] == ["MAE"]
    assert told["exit_code"] == 1
    changed(baseline, "MAE", 0.8)
    gained = gate(finished, baseline)
    assert gained.code == 0
    assert "1 stale" in gained.err


def test_the_same_predictions_must_score_the_same(
    finished: Finished, baseline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = sys.modules["harness.results"]
    compute = results.compute

    def off_by_one(task: Any, convention: Any, label: Any, pred: Any) -> Any:
        return compute(task, convention, label, np.roll(pred, 1, axis=0))

    monkeypatch.setattr(results, "compute", off_by_one)
    answer = gate(finished, baseline, "--format", "json", "--records-only", "--cache-dir", str(baseline.parent))
    assert answer.code == 1
    rows = json.loads(answer.out)["rows"]
    assert [row for row in rows if row["rescored"]]
    assert all(row["verdict"] == "RED" for row in rows if row["rescored"])
    assert "the same predictions score otherwise" in next(row["why"] for row in rows if row["rescored"])


def test_what_is_missing_is_run(finished: Finished, baseline: Path, place: Place) -> None:
    answer = gate(finished, baseline, "--seeds", "1,2", "--models", "LMF", "--quiet", place=place)
    assert answer.code == 0, answer.err
    assert "pass: 18 green" in answer.err
    assert len(list(place.store.records())) == 4


def test_missing_runs_cannot_be_judged(finished: Finished, baseline: Path, place: Place) -> None:
    answer = gate(finished, baseline, "--records-only", place=place)
    assert answer.code == 2
    assert "8 runs are not there" in answer.err


def test_failed_runs_cannot_be_judged(baseline: Path, finished: Finished, place: Place, tmp_path: Path) -> None:
    hyper = {"*": {"batch_size": 8}, "LMF": {"learning_rate": 1e30}}
    suite = write_suite(tmp_path / "tiny.yaml", hyper=hyper)
    folders = ("--runs-dir", place.runs, "--cache-dir", place.cache)
    answer = ask("gate", "--suite", suite, "--baseline", baseline, *folders, NO_COSTS, "--seeds", "1")
    assert answer.code == 2
    assert "runs have failed" in answer.err
    assert "cannot judge" in answer.err


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("edited", ("checksum", "git checkout")),
        ("version", ("schema version 99",)),
        ("text", ("not JSON",)),
        ("list", ("no baseline of the harness",)),
        ("gone", ("no such baseline", "harness baseline")),
        ("suite", ("of the suite other, not of tiny",)),
    ],
)
def test_bad_baselines_are_refused_before_anything_runs(
    finished: Finished, baseline: Path, place: Place, damage: str, words: tuple[str, ...]
) -> None:
    text = baseline.read_text(encoding="utf-8")
    if damage == "suite":
        write(read(baseline).model_copy(update={"suite": "other"}), baseline)
    elif damage == "gone":
        baseline.unlink()
    else:
        edited = text.replace('"seeds": [', '"seeds": [\n  7,', 1)
        content = {"edited": edited, "text": "{", "list": "[]"}
        content["version"] = text.replace('"schema_version": 1', '"schema_version": 99')
        baseline.write_text(content[damage], encoding="utf-8")
    refused(gate(finished, baseline, place=place), *words, str(baseline))
    assert list(place.store.records()) == []


def test_other_data_cannot_be_judged(finished: Finished, baseline: Path) -> None:
    known = read(baseline)
    data = {name: one.model_copy(update={"sha256": "0" * 64}) for name, one in known.data.items()}
    write(known.model_copy(update={"data": data}), baseline)
    answer = gate(finished, baseline)
    assert answer.code == 2
    assert "not those of the baseline" in answer.err


def test_a_defect_of_the_gate_is_no_drift(finished: Finished, baseline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["harness.gate.judge"], "holm", lambda _: 1 / 0)
    answer = gate(finished, baseline)
    assert answer.code == 2
    assert "ZeroDivisionError" in answer.err


def test_every_output_is_written(finished: Finished, baseline: Path, tmp_path: Path) -> None:
    changed(baseline, "MAE", -0.4)
    out = tmp_path / "out"
    files = ("--json", out / "g.json", "--junit", out / "g.xml", "--sarif", out / "g.sarif", "--markdown", out / "g.md")
    assert gate(finished, baseline, *files).code == 1
    assert json.loads((out / "g.json").read_text(encoding="utf-8"))["exit_code"] == 1
    assert ET.parse(out / "g.xml").getroot().get("failures") == "1"
    (run,) = json.loads((out / "g.sarif").read_text(encoding="utf-8"))["runs"]
    (found,) = [one for one in run["results"] if one["ruleId"] == "drift/red"]
    line = found["locations"][0]["physicalLocation"]["region"]["startLine"]
    assert "LF-DNN/fg" in baseline.read_text(encoding="utf-8").splitlines()[line - 1]
    assert (out / "g.md").read_text(encoding="utf-8").startswith("<!-- harness gate tiny -->")
    refused(gate(finished, baseline, "--junit", baseline / "x.xml"), "cannot write the verdict")


def test_on_github_it_annotates_and_sums_up(
    finished: Finished, baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(baseline, "MAE", -0.4)
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    answer = gate(finished, baseline, "--format", "json")
    json.loads(answer.out)
    commands = [line for line in answer.err.splitlines() if line.startswith("::")]
    assert len(commands) == 2  # the mean of all cells has moved as well, within its floor
    assert commands[0].startswith("::error file=tiny.json,line=")
    written = summary.read_text(encoding="utf-8")
    assert written.startswith("before\n")
    assert "drift: 1 red, 1 amber" in written
    summary.write_text("", encoding="utf-8")
    assert "::" not in gate(finished, baseline, "--no-github").err
    assert summary.read_text(encoding="utf-8") == ""


def test_a_baseline_has_no_holes(finished: Finished, place: Place, tmp_path: Path) -> None:
    folders = ("--runs-dir", place.runs, "--cache-dir", place.cache)
    answer = ask("baseline", "--suite", finished.suite, "--out", tmp_path / "b.json", "--records-only", *folders)
    refused(answer, "8 of 8 runs are not done", "run the suite first")
    assert not (tmp_path / "b.json").exists()


def test_costs_are_compared_exactly(finished: Finished, tmp_path: Path) -> None:
    path, folders = tmp_path / "b.json", ("--runs-dir", finished.place.runs, "--cache-dir", finished.place.cache)
    asked = ("--suite", finished.suite, "--models", "LF-DNN", "--variants", "original", *folders)
    assert ask("baseline", *asked, "--out", path, "--records-only").code == 0
    assert "4 green" not in ask("gate", *asked, "--baseline", path).err  # six metrics as well
    known = read(path).model_dump(mode="json")
    (cell,) = known["cells"].values()
    cell["costs"]["params"] += 1
    write(Baseline.model_validate(known), path)
    answer = ask("gate", *asked, "--baseline", path)
    assert answer.code == 1
    assert "Params" in answer.out
    assert "-1" in answer.out


def test_explain_says_what_it_would_find_and_how_many_seeds_it_takes(finished: Finished, baseline: Path) -> None:
    asked = ("gate", "explain", "--suite", finished.suite, "--baseline", baseline, "--metrics", "MAE")
    answer = ask(*asked, "--margin", "0.5", "--format", "json")
    assert answer.code == 0, answer.err
    assert {row["metric"] for row in answer.rows} == {"MAE"}
    assert all(float(row["finds"]) > float(row["floor"]) for row in answer.rows)
    assert all(int(row["seeds"]) >= 2 for row in answer.rows)
    assert "2 pairs of runs with the same seed, 5 comparisons" in answer.err
    fresh = ask(*asked, "--seeds", "11,12,13,14,15")
    assert "2 reference and 5 new runs" in fresh.err
    refused(ask(*asked, "--power", "2"), "power")
    refused(ask(*asked, "--margin", "-1"), "margin")
    refused(ask(*asked[:-1], "MEA"), "'MEA'", "did you mean 'MAE'")


def test_history_over_files_and_over_commits(finished: Finished, baseline: Path, tmp_path: Path) -> None:
    def git(*words: str) -> None:
        person = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *person, *words], check=True, capture_output=True)

    git("init", "-q")
    for number in range(6):
        changed(baseline, "MAE", 0.5 if number == 3 else 0.0)
        note = f"change {number}"
        (tmp_path / "note").write_text(note, encoding="utf-8")
        git("add", "-A")
        git("commit", "-qm", note)
    changed(baseline, "MAE", 0.0)
    page = tmp_path / "history.html"
    answer = ask("gate", "history", "--baseline", baseline, "--html", page, "--format", "json")
    assert answer.code == 0, answer.err
    text = page.read_text(encoding="utf-8")
    assert "history of the suite tiny" in text.lower()
    assert "synthetic data" in text
    two = ask("gate", "history", "--baseline", baseline, "--baseline", baseline, "--html", page)
    assert "2 versions, 0 changes of level" in two.err
    loose = tmp_path.parent / "loose.json"
    shutil.copy(baseline, loose)
    refused(ask("gate", "history", "--baseline", loose, "--html", page), "git")


def test_the_gate_needs_to_be_told_what_to_judge() -> None:
    refused(ask("gate"), "needs a suite and a baseline")


def commands_of(path: Path) -> list[str]:
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "jobs" in told:
        return [step["run"] for job in told["jobs"].values() for step in job["steps"] if "run" in step]
    job = told["drift-gate"]
    return [*job["script"], *job["after_script"]]


@pytest.mark.parametrize(
    ("file", "schema"),
    [(".github/workflows/drift-gate.yml", "github-workflows"), (".gitlab/drift-gate.yml", "gitlab-ci")],
)
def test_the_ready_made_pipelines_fit_their_schemas_and_name_what_exists(file: str, schema: str) -> None:
    checked = subprocess.run(
        ["check-jsonschema", "--builtin-schema", f"vendor.{schema}", str(ROOT / file)], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
    ours = [line for line in commands_of(ROOT / file) if line.startswith("harness ")]
    assert len(ours) == 3
    for line in ours:
        words = line.split()[1:]
        names = [word for word in words if word in {"gate", "explain", "history"}]
        shown = ask(*names, "--help").out
        assert all(word in shown for word in words if word.startswith("--")), line
