"""A prepared store."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.store import RunStore


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    made = RunStore(tmp_path / "runs")
    made.prepare()
    return made
