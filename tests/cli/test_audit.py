"""``harness audit``: three formats, what it says beside them, and its exit code."""

from __future__ import annotations

import csv
import io
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
    assert "6 error(s), 3 warning(s), 17 note(s)" in answer.err
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


def test_help_says_what_the_exit_code_means() -> None:
    answer = ask("audit", "--help")
    assert answer.code == 0
    assert "exit code 1" in " ".join(answer.out.split())


def test_an_unknown_format_is_refused() -> None:
    refused(ask("audit", "--format", "xml"), "xml")
