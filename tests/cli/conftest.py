"""Fixtures for the command line: a finished tiny suite that nobody may change, and folders of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.cli.tools import Answer, Place, Started, ask, snapshot, write_suite


@dataclass(frozen=True)
class Finished:
    """The tiny suite, run to its end."""

    suite: Path
    place: Place
    answer: Answer


@pytest.fixture(autouse=True)
def _quiet_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the person who tests counts, and what lands in the current folder is seen."""
    for variable in ("DATA_DIR", "RUNS_DIR", "REPORTS_DIR", "CACHE_DIR", "BERT"):
        monkeypatch.delenv(f"HARNESS_{variable}", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for all tests of a process: made to be shared."""
    return tmp_path_factory.mktemp("cli-cache")


@pytest.fixture
def place(tmp_path: Path, shared_cache: Path) -> Place:
    """Folders of one's own, with the shared cache."""
    return Place(tmp_path / "runs", tmp_path / "reports", shared_cache)


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Finished:
    root = tmp_path_factory.mktemp("cli-finished")
    suite = write_suite(root / "tiny.yaml")
    place = Place(root / "runs", root / "reports", shared_cache)
    return Finished(suite, place, ask("run", "--suite", suite, *place.options))


@pytest.fixture
def finished(_finished: Finished, tmp_path: Path) -> Iterator[Finished]:
    """The finished suite; the test fails if it leaves a file of its records changed, gone or added."""
    before = snapshot(_finished.place.runs)
    yield replace(_finished, place=replace(_finished.place, reports=tmp_path / "reports"))
    assert snapshot(_finished.place.runs) == before


@pytest.fixture
def started() -> Iterator[list[Started]]:
    """Processes to be ended with the test, whatever becomes of it."""
    commands: list[Started] = []
    yield commands
    for command in commands:
        command.close()
