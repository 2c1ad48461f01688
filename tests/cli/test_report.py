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
