"""The commands from one end to the other: what they do, print and return."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness import __version__
from harness.suites import load_suite
from tests.cli.conftest import Finished
from tests.cli.tools import (
    MAIN,
    TINY_DATA,
    Place,
    Started,
    ask,
    check_whole,
    snapshot,
    write_suite,
    write_yaml,
)


def test_a_suite_runs_from_its_file_to_its_report(finished: Finished, tmp_path: Path) -> None:
    assert finished.answer.code == 0, finished.answer.err
    assert finished.answer.out == ""
    assert "8 runs, 0 of them done already" in finished.answer.err
    assert "synthetic" in finished.answer.err
    assert "[8/8]" in finished.answer.err
    assert "8 done, 0 failed, 0 missing" in finished.answer.err
    store = finished.place.store
    check_whole(store, after_the_end=True)
    asked = {(r.spec.model, r.spec.variant, r.spec.seed) for r in store.records()}
    assert asked == {(m, v, s) for m in ("LF-DNN", "LMF") for v in ("original", "fg") for s in (1, 2)}
    page = finished.suite.parent / "reports" / "tiny" / "index.html"
    assert f"report: {page}" in finished.answer.err
    assert "LMF" in page.read_text(encoding="utf-8")
    assert list((tmp_path / "here").iterdir()) == []


def test_the_same_command_again_trains_nothing(finished: Finished) -> None:
    again = ask("run", "--suite", finished.suite, *finished.place.options)
    assert again.code == 0
    assert "8 of them done already" in again.err
    assert "[1/" not in again.err
    assert (finished.place.reports / "tiny" / "index.html").is_file()


def test_run_prints_what_became_of_each_run_as_json_alone(finished: Finished) -> None:
    rows = ask("run", "--suite", finished.suite, *finished.place.options, "--format", "json").rows
    assert [row["status"] for row in rows] == ["done"] * 8
    assert {row["run_id"] for row in rows} == {record.run_id for record in finished.place.store.records()}


def test_no_report_and_quiet(finished: Finished) -> None:
    answer = ask("run", "--suite", finished.suite, *finished.place.options, "--no-report", "--quiet")
    assert (answer.code, answer.out, answer.err) == (0, "", "8 done, 0 failed, 0 missing\n")
    assert not finished.place.reports.exists()


def status(finished: Finished, *options: str) -> list[dict[str, Any]]:
    runs = ("--runs-dir", str(finished.place.runs), "--cache-dir", str(finished.place.cache))
    answer = ask("status", "--suite", finished.suite, *runs, *options, "--format", "json")
    assert answer.code == 0, answer.err
    return answer.rows


def test_status_in_three_formats(finished: Finished) -> None:
    options = ("--suite", finished.suite, "--runs-dir", finished.place.runs, "--cache-dir", finished.place.cache)
    table, comma = (ask("status", *options, "--format", how) for how in ("table", "csv"))
    rows = status(finished)
    assert list(csv.DictReader(io.StringIO(comma.out))) == [{k: str(v) for k, v in row.items()} for row in rows]
    assert all(row["run_id"] in table.out for row in rows)
    assert len(table.out.splitlines()) == 10  # a title, a head, and each run on one line: a file has no edge
    for answer in (table, comma):
        assert (answer.code, answer.err) == (0, "8 done, 0 failed, 0 missing\n")


def test_status_of_what_nobody_ran(finished: Finished, place: Place) -> None:
    answer = ask("status", "--suite", finished.suite, "--runs-dir", place.runs, "--cache-dir", place.cache)
    assert answer.code == 0
    assert answer.err == "0 done, 0 failed, 8 missing\n"
    assert not place.runs.exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), 8),
        (("--models", "LF-DNN"), 4),
        (("--models", "LF-DNN,LMF"), 8),
        (("--models", "LF-DNN", "--models", "LMF"), 8),
        (("--models", " LMF , LMF,"), 4),
        (("--variants", "fg"), 4),
        (("--variants", "fg,original"), 8),
        (("--seeds", "2"), 4),
        (("--seeds", "2", "--seeds", "1"), 8),
        (("--seeds", "7,8,9"), 12),
        (("--datasets", "synthetic-tiny"), 8),
        (("--models", "LMF", "--variants", "original", "--seeds", "1", "--datasets", "synthetic-tiny"), 1),
    ],
)
def test_picking_from_a_suite(finished: Finished, options: tuple[str, ...], expected: int) -> None:
    rows = status(finished, *options)
    assert len(rows) == expected
    for option, field in (("--models", "model"), ("--variants", "variant"), ("--seeds", "seed")):
        named = [value for flag, value in itertools.pairwise(options) if flag == option]
        if named:
            assert {str(row[field]) for row in rows} == {w.strip() for v in named for w in v.split(",") if w.strip()}


def test_dry_run_lists_and_touches_nothing(finished: Finished, place: Place) -> None:
    done = ask("run", "--suite", finished.suite, *finished.place.options, "--dry-run", "--format", "json")
    assert done.code == 0
    assert done.err == "0 of 8 runs to do\n"
    assert all(row["status"] == "done" and row["seconds"] > 0 for row in done.rows)
    fresh = ask("run", "--suite", finished.suite, *place.options, "--dry-run", "--format", "json")
    assert fresh.err == "8 of 8 runs to do, time unknown: no record of the same kind yet\n"
    assert all(row["status"] == "missing" and row["seconds"] is None for row in fresh.rows)
    assert not place.runs.exists()
    assert not place.reports.exists()


def test_dry_run_tells_the_time_from_records_of_other_seeds(finished: Finished, tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "more.yaml", seeds=[1, 2, 3])
    answer = ask("run", "--suite", suite, *finished.place.options, "--dry-run", "--format", "json")
    assert answer.err.startswith("4 of 12 runs to do")
    assert "time unknown" not in answer.err


def test_folders_can_be_named_by_variables(finished: Finished, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_RUNS_DIR", str(finished.place.runs))
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(finished.place.cache))
    monkeypatch.setenv("HARNESS_REPORTS_DIR", str(tmp_path / "by-variable"))
    assert ask("status", "--suite", finished.suite).err == "8 done, 0 failed, 0 missing\n"
    assert ask("report", "--suite", finished.suite).code == 0
    assert (tmp_path / "by-variable" / "tiny" / "index.html").is_file()
    elsewhere = ask("status", "--suite", finished.suite, "--runs-dir", tmp_path / "elsewhere")
    assert elsewhere.err == "0 done, 0 failed, 8 missing\n"


def describe(*options: str) -> list[dict[str, Any]]:
    answer = ask("data", "describe", *options, "--format", "json")
    assert (answer.code, answer.err) == (0, "")
    return answer.rows


def test_describe_prints_tables_1_and_2_of_the_paper(tmp_path: Path) -> None:
    where = ("--data-dir", str(tmp_path), "--cache-dir", str(tmp_path / "cache"))
    table1, table2 = describe(*where, "--table", "1"), describe(*where, "--table", "2")
    assert describe(*where) == table1 + table2
    counts = [[row[k] for k in ("Dataset", "Train", "Valid", "Test", "Total")] for row in table1]
    assert counts == [["MOSEI", 16326, 1871, 4659, 22856], ["CH-SIMS", 1368, 456, 457, 2281]]
    groups = [
        [row["Dataset"], row["Modality"], [n.split(" (")[0] for n in row["Fine-grained features"].split(", ") if n]]
        for row in table2
    ]
    mosei = ["F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "PeakSlope", "Rd", "Creak", "MCEP", "HMPDM", "HMPDD"]
    assert groups == [
        ["MOSEI", "Audio", mosei],
        ["MOSEI", "Vision", []],
        ["CH-SIMS", "Audio", ["ZCR", "MFCC", "CQT"]],
        ["CH-SIMS", "Vision", ["Gaze", "EyeLmk", "HeadPose", "FaceLmk", "PDM", "AU"]],
    ]
    assert [row["Dimension"] for row in table2] == [74, 35, 33, 709]


def synthesize(path: Path, *options: str) -> Path:
    sizes = ("--train", "16", "--valid", "8", "--test", "8")
    lengths = ("--text-length", "4", "--audio-length", "6", "--vision-length", "5")
    answer = ask("data", "synthesize", path, *sizes, *lengths, *options)
    assert answer.code == 0, answer.err
    return path


def test_synthesize_then_check(tmp_path: Path) -> None:
    path = synthesize(tmp_path / "data" / "made.pkl")
    before = snapshot(path.parent)
    for options in ((), ("--dataset", path.with_suffix(".yaml"))):
        answer = ask("data", "check", path, *options, "--format", "json")
        assert answer.code == 0
        assert "can be used" in answer.err
        assert {row["level"] for row in answer.rows} <= {"note", "warning"}
    other = ask("data", "check", path, "--dataset", "sims")
    assert (other.code, "4 steps long, but the definition" in other.out) == (2, True)
    again = ask("data", "synthesize", path)
    assert (again.code, "--force" in again.err) == (2, True)
    assert snapshot(path.parent) == before
    assert ask("data", "synthesize", path, "--force").code == 0


def test_a_file_without_a_definition_is_held_against_the_shipped_one_that_fits(tmp_path: Path) -> None:
    path = tmp_path / "like-sims.pkl"
    lengths = ("--text-length", "39", "--audio-length", "400", "--vision-length", "55")
    assert ask("data", "synthesize", path, "--train", "4", "--valid", "2", "--test", "2", *lengths).code == 0
    path.with_suffix(".yaml").unlink()
    guessed = ask("data", "check", path)
    assert guessed.code == 0
    assert "checked as 'sims', picked by its widths" in guessed.err
    assert guessed.out.splitlines()[0] == f"{path} as CH-SIMS, unaligned"


def test_a_synthesized_set_runs_by_its_definition(tmp_path: Path) -> None:
    synthesize(tmp_path / "made.pkl")
    suite = write_suite(tmp_path / "s.yaml", datasets=["made.yaml"], models=["LMF"], variants=["original"], seeds=[1])
    folders = ("--runs-dir", tmp_path / "runs", "--reports-dir", tmp_path / "rep", "--cache-dir", tmp_path / "cache")
    answer = ask("run", "--suite", suite, *folders)
    assert answer.code == 0, answer.err
    assert "synthetic" in answer.err


def test_version_and_help() -> None:
    assert ask("--version").out == f"harness {__version__}\n"
    for command in ((), ("run",), ("status",), ("report",), ("data",), ("data", "check")):
        for flag in ("--help", "-h"):
            answer = ask(*command, flag)
            assert (answer.code, answer.err) == (0, "")
            assert "Usage: harness" in answer.out
    bare = ask()
    assert bare.code == 2
    assert "Usage: harness" in bare.out


@pytest.mark.parametrize("name", ["quick", "mosi-utterance", "paper"])
def test_shipped_suites_load(name: str) -> None:
    assert load_suite(name)[0].name == name


def own_data_set(folder: Path) -> Path:
    """A person's own definition and file, and a suite in another folder that names the definition by a path."""
    synthesize(folder / "data" / "features" / "mine.pkl")
    definition = {
        "base": "sims",
        "name": "mine",
        "title": "My own set",
        "samples": None,
        "settings": {
            "unaligned": {"file": "features/mine.pkl", "sha256": None, "lengths": {"text": 4, "audio": 6, "vision": 5}}
        },
        "groups": {"audio": {"First": 10, "Second": 23}, "vision": {"Face": 700, "Rest": 9}},
    }
    write_yaml(folder / "definitions" / "mine.yaml", definition)
    changes = {"models": ["LF-DNN"], "variants": ["original", "fg", "a", "v"], "seeds": [1]}
    return write_suite(folder / "suites" / "own.yaml", name="own", datasets=["../definitions/mine.yaml"], **changes)


def test_a_data_set_of_ones_own_from_end_to_end(place: Place, tmp_path: Path) -> None:
    suite = own_data_set(tmp_path)
    where = ("--data-dir", str(tmp_path / "data"), *place.options)
    answer = ask("run", "--suite", suite, *where)
    assert answer.code == 0, answer.err
    assert "synthetic" not in answer.err
    groups = {r.spec.variant: r.spec.data.groups for r in place.store.records()}
    assert set(groups) == {"original", "fg", "a", "v"}
    assert groups["fg"]["audio"] == (("First", 10), ("Second", 23))
    counted = ask("data", "describe", "--datasets", tmp_path / "definitions" / "mine.yaml", *where[:2], *where[-2:])
    assert counted.code == 0
    assert "data " in counted.out

    # Where the file is gone, records still give a report; only more runs need it.
    (tmp_path / "data" / "features" / "mine.pkl").unlink()
    assert ask("status", "--suite", suite, "--runs-dir", place.runs).err == "4 done, 0 failed, 0 missing\n"
    assert ask("report", "--suite", suite, *place.options).code == 0
    missing = ask("run", "--suite", suite, *where)
    assert missing.code == 2
    assert "features/mine.pkl" in missing.err


def test_one_run_under_two_names_is_run_once(place: Place, tmp_path: Path) -> None:
    data = {"name": "synthetic-audio", "synthetic": {**TINY_DATA["synthetic"], "like": "mosei"}}
    changes = {"models": ["LF-DNN"], "variants": ["original", "fg", "a", "v"], "seeds": [1]}
    suite = write_suite(tmp_path / "s.yaml", datasets=[data], **changes)
    answer = ask("run", "--suite", suite, *place.options)
    assert answer.code == 0, answer.err
    assert "-a is the same run as -fg" in answer.err
    assert "-v does not apply" in answer.err
    assert sorted(record.spec.variant for record in place.store.records()) == ["fg", "original"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hyper": {"*": {"batch_size": 8}, "LMF": {"learning_rate": 1e30}}}, "diverged: training diverged"),
        ({"time_limit": 1e-3, "models": ["LMF"]}, "timeout: stopped at the time limit of 0.001 s"),
    ],
)
def test_a_failed_run_is_told_kept_and_tried_again_only_when_asked(
    place: Place, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    suite = write_suite(tmp_path / "bad.yaml", variants=["original"], seeds=[1], **changes)
    good = len(changes.get("models", ["LF-DNN", "LMF"])) - 1
    first = ask("run", "--suite", suite, *place.options)
    assert first.code == 1
    assert f"failed: LMF synthetic-tiny regression seed 1: {reason}" in first.err
    assert f"{good} done, 1 failed, 0 missing" in first.err
    assert "--retry-failed" in first.err
    assert (place.reports / "tiny" / "index.html").is_file()
    kept = snapshot(place.runs)

    again = ask("run", "--suite", suite, *place.options, "--format", "json")
    assert again.code == 1
    assert [row["reason"].startswith(reason) for row in again.rows if row["status"] == "failed"] == [True]
    assert "1 failed before and left alone" in again.err
    told = ask("status", "--suite", suite, "--runs-dir", place.runs, "--cache-dir", place.cache)
    assert told.code == 1
    assert reason in told.out
    assert ask("run", "--suite", suite, *place.options, "--dry-run").err.startswith(f"0 of {good + 1} runs to do")
    assert snapshot(place.runs) == kept

    retried = ask("run", "--suite", suite, *place.options, "--retry-failed")
    assert retried.code == 1
    assert "[1/1] failed" in retried.err
    now = snapshot(place.runs)
    changed = {path for path in kept.keys() | now.keys() if kept.get(path) != now.get(path)}
    assert "failure.json" in {path.name for path in changed}
    assert all(path.parent.name.endswith(".failed") for path in changed)
    assert ask("run", "--suite", suite, *place.options, "--dry-run", "--retry-failed").err.startswith("1 of ")


LONG: dict[str, Any] = {"models": ["LF-DNN"], "variants": ["original"], "seeds": list(range(16))}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_between_runs_leaves_a_clean_store_that_the_same_command_completes(
    place: Place, tmp_path: Path, started: list[Started], how: signal.Signals
) -> None:
    suite = write_suite(tmp_path / "long.yaml", **LONG)
    command = Started("run", "--suite", suite, *place.options)
    started.append(command)
    command.wait_for("[2/16]")
    if how is signal.SIGINT:
        os.killpg(command.process.pid, how)  # as a terminal does: to everything in the foreground
    else:
        command.process.send_signal(how)
    assert command.end() == 130, command.said
    assert "Traceback" not in command.said
    assert "the same command goes on from here" in command.said
    assert command.orphans() == []
    check_whole(place.store, after_the_end=True)
    before = snapshot(place.runs)
    assert 2 <= len(list(place.store.records())) < 16

    answer = ask("run", "--suite", suite, *place.options)
    assert answer.code == 0, answer.err
    check_whole(place.store, after_the_end=True)
    assert len(list(place.store.records())) == 16
    assert before.items() <= snapshot(place.runs).items()


def check_interrupted(command: Started, how: signal.Signals, place: Place) -> None:
    assert command.end() in {130, -how}, command.said
    assert "Traceback" not in command.said
    assert command.orphans() == []
    if command.process.returncode == -how and place.runs.exists():
        place.store.prepare()  # it died before anything could be cleared: the next command does that
    drafts = place.runs / ".tmp"
    assert not drafts.exists() or list(drafts.iterdir()) == []


@pytest.mark.parametrize("wait", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_the_workers_are_prepared(
    place: Place, tmp_path: Path, started: list[Started], how: signal.Signals, wait: float
) -> None:
    command = Started("run", "--suite", write_suite(tmp_path / "long.yaml", **LONG), *place.options)
    started.append(command)
    command.wait_for("0 of them done already")
    time.sleep(wait)
    command.process.send_signal(how)
    check_interrupted(command, how, place)


@pytest.mark.parametrize("wait", [0.0, 0.05, 0.2])
def test_ctrl_c_on_a_terminal_while_the_fork_server_starts(
    place: Place, tmp_path: Path, started: list[Started], wait: float
) -> None:
    command = Started("run", "--suite", write_suite(tmp_path / "long.yaml", **LONG), *place.options)
    started.append(command)
    command.wait_for("0 of them done already")
    end = time.monotonic() + 30
    while len(command.family()) < 3 and time.monotonic() < end:  # itself, the resource tracker and the fork server
        time.sleep(0.002)
    time.sleep(wait)
    os.killpg(command.process.pid, signal.SIGINT)
    check_interrupted(command, signal.SIGINT, place)


def test_a_listing_to_a_full_disk_is_an_error_without_a_traceback() -> None:
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("there is no /dev/full here")
    with full.open("w") as out:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "data", "describe", "--format", "json"],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: cannot write the listing: No space left on device"
    assert "Traceback" not in done.stderr


def test_words_in_square_brackets_are_printed_as_they_are(finished: Finished, tmp_path: Path) -> None:
    reports = tmp_path / "[red]a[/b]:smile:"
    runs = ("--runs-dir", str(finished.place.runs), "--cache-dir", str(finished.place.cache))
    answer = ask("run", "--suite", finished.suite, *runs, "--reports-dir", reports)
    assert answer.code == 0
    assert f"report: {reports}/tiny/index.html" in answer.err


def test_json_keeps_to_plain_values(finished: Finished) -> None:
    out = ask("run", "--suite", finished.suite, *finished.place.options, "--dry-run", "--format", "json").out
    assert json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
