"""``harness audit``: three formats, what it says beside them, and its exit code."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from harness import published
from tests.audit.toy import simulate
from tests.cli.tools import ask, refused

FIELDS = ["kind", "table", "row", "column", "printed", "expected", "severity", "why", "certainty"]
WIDTH = 120


def test_json_is_a_list_of_findings_and_nothing_else() -> None:
    answer = ask("audit", "--no-costs", "--format", "json")
    assert answer.code == 1  # the paper has errors
    assert answer.rows
    for row in answer.rows:
        assert list(row) == FIELDS
        assert isinstance(row["table"], int)
        assert 1 <= row["table"] <= 9
        assert row["severity"] in ("error", "warning", "note")
        assert all(isinstance(row[name], str) and row[name] for name in FIELDS if name != "table")
    assert "4 error(s), 4 warning(s), 15 note(s)" in answer.err
    assert "the printed costs were not compared with ours (--no-costs)" in answer.err


def test_csv_holds_the_same() -> None:
    rows = ask("audit", "--no-costs", "--format", "json").rows
    lines = list(csv.DictReader(io.StringIO(ask("audit", "--no-costs", "--format", "csv").out)))
    assert lines == [{name: str(value) for name, value in row.items()} for row in rows]


def test_the_table_is_grouped_by_severity_and_fits_a_screen() -> None:
    answer = ask("audit", "--no-costs")
    lines = answer.out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert [line for line in lines if line in ("errors", "warnings", "notes")] == ["errors", "warnings", "notes"]
    assert "#Graph-MFN-fg" in answer.out


def test_consistent_tables_exit_with_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = simulate(0)
    monkeypatch.setattr(published, "load", lambda: tables)
    answer = ask("audit", "--no-costs", "--format", "json")
    assert (answer.code, answer.rows) == (0, [])
    assert "0 error(s), 0 warning(s), 0 note(s)" in answer.err


def test_costs_are_counted_unless_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def count(tables: Any, _watch: Any) -> dict[Any, Any]:
        asked.append(tables)
        return {}

    monkeypatch.setattr("harness.audit.count_costs", count)
    assert "--no-costs" not in ask("audit").err
    assert asked == [published.load()]


def test_a_report_is_written_and_its_files_are_listed(tmp_path: Path) -> None:
    answer = ask("audit", "--no-costs", "--report", "--reports-dir", tmp_path, "--format", "json")
    assert answer.code == 1  # the paper has errors, in a report as well
    files = [Path(row["file"]) for row in answer.rows]
    assert files[0] == tmp_path / "audit" / "index.html"
    assert all(file.is_file() for file in files)
    assert {"audit.tex", "findings.json", "effects.csv", "claims.csv"} <= {file.name for file in files}
    rows = ask("audit", "--no-costs", "--format", "json").rows
    assert json.loads((tmp_path / "audit" / "findings.json").read_text(encoding="utf-8")) == rows
    assert f"{sum(row['severity'] == 'error' for row in rows)} error(s)" in answer.err


def test_a_report_without_errors_exits_with_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = simulate(0)
    monkeypatch.setattr(published, "load", lambda: tables)
    monkeypatch.setenv("HARNESS_REPORTS_DIR", str(tmp_path))
    assert ask("audit", "--no-costs", "--report").code == 0
    assert (tmp_path / "audit" / "index.html").is_file()


def test_a_reports_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    refused(ask("audit", "--no-costs", "--reports-dir", tmp_path), "--report")


def test_a_report_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    refused(ask("audit", "--no-costs", "--report", "--reports-dir", tmp_path / "file"), "cannot write")


def test_help_says_what_the_exit_code_means() -> None:
    answer = ask("audit", "--help")
    assert answer.code == 0
    assert "exit code 1" in " ".join(answer.out.split())


def test_an_unknown_format_is_refused() -> None:
    refused(ask("audit", "--format", "xml"), "xml")
