"""``harness report``: pages, tables and figures from records, and cases by rule or by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Finished
from tests.cli.tools import ask, refused


def test_report_renders_again_from_the_records(finished: Finished) -> None:
    answer = ask("report", "--suite", finished.suite, *finished.place.options, "--format", "json")
    assert answer.code == 0, answer.err
    assert answer.err == ""
    files = [Path(row["file"]) for row in answer.rows]
    assert files[0] == finished.place.reports / "tiny" / "index.html"
    assert {path.suffix for path in files} == {".html", ".tex", ".csv"}
    assert all(path.stat().st_size for path in files)


def test_a_report_with_figures_and_cases_by_hand(finished: Finished, tmp_path: Path) -> None:

    place = ("--runs-dir", str(finished.place.runs), "--cache-dir", str(finished.place.cache))
    asked: list[str | Path] = [
        "report",
        "--suite",
        finished.suite,
        *place,
        "--reports-dir",
        tmp_path,
        "--format",
        "json",
        "--figures",
    ]
    answer = ask(*asked, "--case-model", "LMF")
    assert answer.code == 0, answer.err
    files = [Path(row["file"]) for row in answer.rows]
    assert {path.suffix for path in files} == {".html", ".tex", ".csv", ".svg", ".pdf"}
    page = files[0].read_text(encoding="utf-8")
    assert page.count("<svg") >= sum(path.suffix == ".svg" for path in files)
    assert "LMF beside LMF-fg on single utterances" in page
    case = next(iter(re.findall(r'<th scope="row" class="name">(synthetic_\d+\$_\$\d+)</th>', page)))
    (tmp_path / "notes.csv").write_text(f"id,translation\n{case},Nothing is said.\n", encoding="utf-8")
    by_hand = ask(*asked[:-1], "--ids", case, "--case-notes", tmp_path / "notes.csv")
    assert by_hand.code == 0, by_hand.err
    page = files[0].read_text(encoding="utf-8")
    assert "Nothing is said." in page
    assert "Picked by hand" in page
    assert "no words were spoken" in page  # what is said comes from the converted feature file


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ids", "nobody"], "nobody"),
        (["--case-model", "TFN"], "TFN"),
        (["--case-notes", "none.csv"], "none.csv"),
    ],
)
def test_cases_that_cannot_be_shown(finished: Finished, tmp_path: Path, options: list[str], said: str) -> None:
    place = ("--runs-dir", str(finished.place.runs), "--cache-dir", str(finished.place.cache))
    refused(ask("report", "--suite", finished.suite, *place, "--reports-dir", tmp_path / "reports", *options), said)
    assert not (tmp_path / "reports").exists()


def test_costs_are_counted_once_and_shown_in_both_layouts(finished: Finished) -> None:
    options: list[str | Path] = ["--suite", finished.suite, *finished.place.options, "--costs", "--format", "json"]
    files = {path.name: path for path in (Path(row["file"]) for row in ask("report", *options).rows)}
    tables = [path for name, path in files.items() if name.endswith("-regression.tex")]
    assert "MACs" in tables[0].read_text(encoding="utf-8")
    kept = {path: path.stat().st_mtime_ns for path in finished.place.cache.glob("costs/*.json")}
    assert kept
    again = ask("report", *options, "--style", "paper")
    assert {path: path.stat().st_mtime_ns for path in finished.place.cache.glob("costs/*.json")} == kept
    assert {Path(row["file"]).name for row in again.rows} <= set(files)
    assert "FLOPs" in tables[0].read_text(encoding="utf-8")
    assert "MACs" not in tables[0].read_text(encoding="utf-8")


def test_a_second_report_says_the_same(finished: Finished) -> None:
    def told() -> dict[str, str]:
        rows = ask("report", "--suite", finished.suite, *finished.place.options, "--format", "json").rows
        return {row["file"]: Path(row["file"]).read_text(encoding="utf-8") for row in rows if "/tables/" in row["file"]}

    first = told()
    assert (finished.place.cache / "memo").is_dir(), "the second is made from what the first has kept"
    dated = [name for name in first if name.endswith("/tables.tex")]
    second = told()
    assert first.keys() == second.keys()
    assert all(first[name] == second[name] for name in first if name not in dated)


def test_a_layout_that_there_is_not_is_a_usage_error(finished: Finished) -> None:
    answer = ask("report", "--suite", finished.suite, *finished.place.options, "--style", "nature")
    assert answer.code == 2
