from __future__ import annotations

import csv
import io

import pytest

from harness.display import Format, print_rows, seconds_text


def test_a_table_leaves_out_what_is_hidden_or_optional_and_empty(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"a": 1, "log": "", "why": "", "kept": "", "x": 1}, {"a": 2, "log": "x", "why": None, "kept": "", "x": 2}]
    print_rows(rows, Format.table, optional=("log", "why"), hidden=("x",))
    assert capsys.readouterr().out.splitlines()[0].split() == ["a", "log", "kept"]
    print_rows(rows, Format.csv, optional=("log", "why"), hidden=("x",))
    assert next(csv.reader(io.StringIO(capsys.readouterr().out))) == ["a", "log", "why", "kept", "x"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (42.0, "42 s"), (200.0, "3 min 20 s"), (3900.0, "1 h 5 min"), (59.6, "1 min 0 s")],
)
def test_durations_in_words(seconds: float, said: str) -> None:
    assert seconds_text(seconds) == said
