"""``harness verify``, ``harness export`` and ``harness import``, with small real trainings."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

from tests.cli.conftest import Finished
from tests.cli.tools import Place, ask, refused


def options(place: Place) -> tuple[str, ...]:
    return ("--runs-dir", str(place.runs), "--cache-dir", str(place.cache))


def copied(finished: Finished, folder: Path) -> Place:
    shutil.copytree(finished.place.runs, folder)
    return Place(folder, finished.place.reports, finished.place.cache)


def test_records_made_again_are_equal_to_the_bit_and_nothing_is_left_behind(finished: Finished) -> None:
    answer = ask("verify", "--suite", finished.suite, "--sample", "2", "--format", "json", *options(finished.place))
    assert answer.code == 0, answer.err
    assert [row["verdict"] for row in answer.rows] == ["bit-equal"] * 2
    assert {row["model"] for row in answer.rows} == {"LF-DNN", "LMF"}
    assert {row["environment"] for row in answer.rows} == {"equal"}
    assert list(finished.place.cache.glob("verify-*")) == []
    assert "2 bit-equal" in answer.err


def test_a_record_of_another_learning_rate_under_the_same_address_is_caught(finished: Finished, tmp_path: Path) -> None:
    """Predictions and history of another seed are put into a record, hashes and all, as a forger would."""
    place = copied(finished, tmp_path / "copy")
    one, other = (next(iter(place.runs.glob(f"*/LMF/original-*-s{seed}-*"))) for seed in (1, 2))
    data = json.loads((one / "record.json").read_text())
    for name in ("predictions.parquet", "history.jsonl"):
        shutil.copy(other / name, one / name)
        data["files"][name] = hashlib.sha256((one / name).read_bytes()).hexdigest()
    (one / "record.json").write_text(json.dumps(data))
    picked = ("--models", "LMF", "--variants", "original", "--sample", "all", "--format", "json")
    answer = ask("verify", "--suite", finished.suite, *picked, *options(place))
    assert answer.code == 1
    verdicts = {row["seed"]: (row["verdict"], row["first_epoch"]) for row in answer.rows}
    assert verdicts == {1: ("different", 1), 2: ("bit-equal", None)}
    row = next(row for row in answer.rows if row["seed"] == 1)
    assert row["largest_difference"] > 1e-3


def test_verify_says_what_it_cannot_do(finished: Finished, tmp_path: Path) -> None:
    empty = Place(tmp_path / "empty", tmp_path / "reports", finished.place.cache)
    refused(ask("verify", "--suite", finished.suite, *options(empty)), "no record to run again", "run it first")
    refused(ask("verify", "--suite", finished.suite, "--sample", "some", *options(empty)), "--sample", "some")


def test_an_exported_suite_gives_the_same_tables_elsewhere(finished: Finished, tmp_path: Path) -> None:
    archive = tmp_path / "records.tar.gz"
    packed = ask("export", "--suite", finished.suite, "--out", archive, *options(finished.place))
    assert packed.code == 0, packed.err
    assert "8 records" in packed.err
    there = tmp_path / "there"
    answer = ask("import", archive, "--runs-dir", there / "runs")
    assert answer.code == 0, answer.err
    assert "8 new records, 0 here already" in answer.err
    assert "will not count them" not in answer.err
    command = answer.err.rpartition("harness ")[2].split()
    elsewhere = Place(there / "runs", there / "reports", there / "cache")
    here = ask("report", "--suite", finished.suite, *finished.place.options)
    seen = ask(*command, "--reports-dir", there / "reports", "--cache-dir", there / "cache")
    assert (here.code, seen.code) == (0, 0), seen.err
    ours = sorted((finished.place.reports / "tiny" / "tables").glob("*.csv"))
    assert ours
    for path in ours:
        # The texts of utterances stand in the feature file, which is not in an archive.
        there_too = elsewhere.reports / "tiny" / "tables" / path.name
        assert without_text(path) == without_text(there_too), path.name


def without_text(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: value for key, value in row.items() if key != "text"} for row in csv.DictReader(file)]


def test_a_part_of_a_suite_can_be_packed_and_missing_runs_are_counted(finished: Finished, tmp_path: Path) -> None:
    place = copied(finished, tmp_path / "copy")
    shutil.rmtree(next(iter(place.runs.glob("*/LMF/original-*-s1-*"))))
    answer = ask("export", "--suite", finished.suite, "--models", "LMF", "--out", tmp_path / "a", *options(place))
    assert "3 records" in answer.err
    assert "1 run of the suite not in it" in answer.err


def test_import_says_what_it_cannot_read(tmp_path: Path) -> None:
    refused(ask("import", tmp_path / "none", "--runs-dir", tmp_path / "runs"), "no such file")
    (tmp_path / "text").write_text("no archive")
    refused(ask("import", tmp_path / "text", "--runs-dir", tmp_path / "runs"), "archive", "nothing of it")
