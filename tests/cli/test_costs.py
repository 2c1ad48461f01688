"""``harness costs``: three formats, what it says beside them, and the whole table within its bounds."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.models.text import VARIABLE
from tests.cli.tools import MAIN, Answer, ask, refused, write_suite

FIELDS = {
    "dataset",
    "model",
    "variant",
    "task",
    "setting",
    "params",
    "params_paper",
    "macs_per_sample",
    "flops_per_sample",
    "macs_paper",
    "batch_size",
    "uncounted",
    "printed_params",
    "printed_flops",
    "params_match",
    "flops_match",
}
WIDTH = 120


@pytest.fixture(autouse=True)
def _no_encoder_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def narrow(*words: str) -> Answer:
    return ask("costs", "--models", "LF-DNN,LMF", "--datasets", "mosei", *words)


def test_json_is_a_list_of_rows_and_nothing_else() -> None:
    answer = narrow("--format", "json")
    assert answer.code == 0
    assert [(row["model"], row["variant"]) for row in answer.rows] == [
        (model, variant) for model in ("LF-DNN", "LMF") for variant in ("original", "fg", "a")
    ]
    first, _, alias = answer.rows[:3]
    assert set(first) >= FIELDS
    assert (first["params"], first["macs_paper"], first["batch_size"]) == (572_283, 1_481_719_040, 64)
    assert (first["printed_params"], first["params_match"], first["flops_match"]) == (572_000.0, True, True)
    assert (alias["alias_of"], alias["printed_params"], alias["params_match"]) == ("fg", None, None)
    assert "Params 4 of 4, FLOPs 4 of 4 equal to every printed digit" in answer.err


def test_the_table_fits_a_screen_and_marks_matches() -> None:
    answer = narrow()
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert len(lines) == 2 + 6
    assert max(map(len, lines)) <= WIDTH
    assert "5.72×10^5 ✓" in answer.out
    assert "1.48×10^9 ✓" in answer.out


def test_misses_are_listed_with_what_is_known_and_are_no_failure() -> None:
    answer = ask("costs", "--models", "Graph-MFN", "--datasets", "mosei", "--variants", "fg")
    assert answer.code == 0
    assert "2.11×10^9 ✗" in answer.out
    assert "Params 1 of 1, FLOPs 0 of 1" in answer.err
    assert "Graph-MFN-fg on mosei: FLOPs 2,115,543,040, printed 2.11×10^9 (unexplained" in answer.err


def test_csv_has_one_line_a_row() -> None:
    answer = narrow("--format", "csv")
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    assert len(rows) == 6
    assert set(rows[0]) >= FIELDS
    assert rows[0]["macs_by_operation"] == "batch_norm=218; linear=111424; lstm=22937600"
    assert rows[0]["params_match"] == "True"
    assert rows[2]["printed_params"] == rows[2]["params_match"] == ""


def test_a_suite_of_ones_own_is_counted_where_nothing_is_printed(tmp_path: Path) -> None:
    answer = ask("costs", "--suite", write_suite(tmp_path / "tiny.yaml"), "--models", "LMF", "--format", "json")
    assert answer.code == 0
    assert {row["printed_flops"] for row in answer.rows} == {None}
    assert "the paper prints no costs for these rows" in answer.err


def test_an_encoder_from_the_environment_is_mentioned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "bert", "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2})
    )
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    answer = ask("costs", "--models", "ALMT", "--datasets", "sims", "--variants", "original", "--format", "json")
    assert VARIABLE in answer.err
    assert answer.rows[0]["text_encoder"] == tmp_path.name
    assert answer.rows[0]["params_match"] is False
    assert VARIABLE not in narrow("--format", "json").err


def test_bad_questions_are_refused() -> None:
    refused(ask("costs", "--suite", "papre"), "unknown suite 'papre'")
    refused(ask("costs", "--models", "LF-DMN"), "LF-DMN")
    refused(ask("costs", "--models", ""), "nothing is named")
    refused(ask("costs", "--variants", "v", "--datasets", "mosei"), "splits nothing")


def test_nothing_is_written() -> None:
    narrow("--format", "json")
    assert list(Path().iterdir()) == []


@pytest.mark.slow
def test_the_whole_table_takes_under_two_minutes_and_8_gb() -> None:
    """In a process of its own, without a hub, warnings being errors."""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "costs", "--format", "json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(rows) == 89
    assert [sum(row[key] is True for row in rows) for key in ("params_match", "flops_match")] == [42, 40]
    assert [sum(row[key] is False for row in rows) for key in ("params_match", "flops_match")] == [0, 2]
    assert used.ru_utime - before < 120  # the computer's own time: others may be busy beside this test
    assert used.ru_maxrss * 1024 < 8e9
