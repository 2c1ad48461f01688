"""Provenance: complete, JSON-ready, and without side effects on the checkout it describes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import harness
from harness import provenance
from tests.helpers import make_spec


def test_it_says_what_bits_depend_on() -> None:
    told = provenance.collect(make_spec(), "cpu")
    assert json.loads(json.dumps(told)) == told
    environment = told["environment"]
    assert {"torch", "MMSA", "numpy"} <= {name for name, version in environment["packages"].items() if version}
    assert environment["device"] == "cpu"
    assert told["data_sha256"] == make_spec().data.sha256
    assert len(told["environment_key"]) == 8


def test_the_environment_key_tells_libraries_apart_and_not_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    described = provenance.environment("cpu")
    key = provenance.environment_key(described)
    assert provenance.environment_key({**described, "memory_gib": 1.0, "cores": 99}) == key
    assert provenance.environment_key({**described, "python": "0.0"}) != key


def test_git_is_asked_without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, stdout="x\n", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    provenance.git_state.cache_clear()
    try:
        assert provenance.git_state() == {"commit": "x", "clean": False}
    finally:
        provenance.git_state.cache_clear()
    assert asked
    assert all("--no-optional-locks" in command for command in asked), "a killed `git status` would leave index.lock"


def test_an_installed_copy_has_no_git_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(harness, "__file__", str(tmp_path / "__init__.py"))
    provenance.git_state.cache_clear()
    try:
        assert provenance.git_state() is None
    finally:
        provenance.git_state.cache_clear()
