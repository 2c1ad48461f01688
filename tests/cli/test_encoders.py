"""Text encoders from the command line: the suite's, the variable's, and one that is nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.tools import Place, ask, write_suite

SMALL: dict[str, Any] = {"num_hidden_layers": 1, "hidden_size": 24, "num_attention_heads": 2, "vocab_size": 2240}


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A folder with a small BERT, as a hub's snapshot has it."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(3)
    folder = tmp_path / "models" / "bert-base-chinese"
    BertModel(BertConfig(**SMALL, intermediate_size=32)).save_pretrained(folder)
    return folder


def suite_file(folder: Path, **changes: Any) -> Path:
    return write_suite(folder / "bert.yaml", name="bert", models=["ALMT"], seeds=[1], variants=["original"], **changes)


def records(place: Place) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in place.runs.rglob("record.json")]


def test_a_random_encoder_of_the_suite(tmp_path: Path, place: Place) -> None:
    suite = suite_file(tmp_path, text_encoder={"random": SMALL})
    answer = ask("run", "--suite", suite, *place.options)
    assert answer.code == 0, answer.err
    encoder = records(place)[0]["spec"]["text_encoder"]
    assert encoder["sha256"] is None
    assert encoder["config"]["hidden_size"] == 24
    page = (place.reports / "bert" / "index.html").read_text(encoding="utf-8")
    assert "random BERT (1 layer, 24 wide)" in page


def test_the_variable_names_a_folder_or_a_folder_of_folders(
    tmp_path: Path, place: Place, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = suite_file(tmp_path)
    monkeypatch.setenv("HARNESS_BERT", str(bert))
    answer = ask("run", "--suite", suite, *place.options)
    assert answer.code == 0, answer.err
    (record,) = records(place)
    assert len(record["spec"]["text_encoder"]["sha256"]) == 64
    assert record["spec"]["text_encoder"]["name"] == "bert-base-chinese"
    monkeypatch.setenv("HARNESS_BERT", str(bert.parent))
    again = ask("run", "--suite", suite, *place.options)
    assert "1 of them done already" in again.err


def test_what_was_run_is_known_where_the_encoder_is_gone(
    tmp_path: Path, place: Place, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = suite_file(tmp_path, text_encoder="bert-base-chinese")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HARNESS_BERT", str(bert))
    assert ask("run", "--suite", suite, *place.options).code == 0
    monkeypatch.delenv("HARNESS_BERT")
    status = ask("status", "--suite", suite, "--runs-dir", place.runs, "--format", "json")
    assert [row["status"] for row in json.loads(status.out)] == ["done"]


def test_a_folder_that_is_gone_is_no_reason_to_forget(tmp_path: Path, place: Place, bert: Path) -> None:
    suite = suite_file(tmp_path, text_encoder=str(bert))
    assert ask("run", "--suite", suite, *place.options).code == 0
    bert.rename(bert.with_name("elsewhere"))
    status = ask("status", "--suite", suite, "--runs-dir", place.runs, "--format", "json")
    assert [row["status"] for row in json.loads(status.out)] == ["done"]
    report = ask("report", "--suite", suite, "--runs-dir", place.runs, "--reports-dir", place.reports)
    assert report.code == 0, report.err


def test_a_dry_run_asks_no_hub(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")

    def snapshot(_name: str, *, allow_patterns: list[str], local_files_only: bool) -> str:
        assert local_files_only, allow_patterns
        raise FileNotFoundError

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    answer = ask("run", "--suite", suite_file(tmp_path), *place.options, "--dry-run", "--format", "json")
    assert answer.code == 0, answer.err
    assert [row["status"] for row in json.loads(answer.out)] == ["missing"]


def test_an_encoder_that_is_nowhere(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    suite = suite_file(tmp_path)
    answer = ask("run", "--suite", suite, *place.options)
    assert answer.code == 2
    assert "bert-base-chinese" in answer.err
    assert "HARNESS_BERT" in answer.err
    assert not records(place)


def test_an_encoder_with_too_few_words(tmp_path: Path, place: Place) -> None:
    suite = suite_file(tmp_path, text_encoder={"random": {**SMALL, "vocab_size": 500}})
    answer = ask("run", "--suite", suite, *place.options)
    assert answer.code == 2
    assert "knows 500 tokens" in answer.err
