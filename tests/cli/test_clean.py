"""``harness clean``: it lists, asks, and removes what it listed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Finished
from tests.cli.tools import Place, ask, refused


class Person:
    """Standard input with somebody at it."""

    def __init__(self, says: str) -> None:
        self.says = says

    def isatty(self) -> bool:
        return True

    def readline(self, *_: int) -> str:
        return self.says


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> tuple[Place, tuple[str, ...]]:
    shutil.copytree(finished.place.runs, tmp_path / "runs")
    place = Place(tmp_path / "runs", tmp_path / "reports", finished.place.cache)
    options = ("--suite", str(finished.suite), "--runs-dir", str(place.runs), "--cache-dir", str(place.cache))
    return place, options


def count(place: Place) -> int:
    return sum(1 for _ in place.store.records())


def test_nobody_is_asked_where_nobody_is(copy: tuple[Place, tuple[str, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    place, options = copy
    monkeypatch.setattr(sys, "stdin", open("/dev/null"))  # noqa: SIM115, PTH123 -- closed with the process
    refused(ask("clean", "runs", "--all", *options), "8 items", "--yes")
    assert count(place) == 8
    sys.stdin.close()


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 8)])
def test_a_person_decides(
    copy: tuple[Place, tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    place, options = copy
    monkeypatch.setattr(sys, "stdin", Person(answer))
    assert ask("clean", "runs", "--all", *options).code == 0
    assert count(place) == left


def test_a_dry_run_and_an_empty_list_remove_nothing(copy: tuple[Place, tuple[str, ...]]) -> None:
    place, options = copy
    dry = ask("clean", "runs", "--all", "--dry-run", "--format", "json", *options)
    assert {row["kind"] for row in dry.rows} == {"record"}
    assert all(row["size"] > 1000 for row in dry.rows)
    nothing = ask("clean", "runs", *options)
    assert (nothing.code, "0 items" in nothing.err) == (0, True)
    assert count(place) == 8


def test_a_part_of_a_suite(copy: tuple[Place, tuple[str, ...]]) -> None:
    place, options = copy
    answer = ask("clean", "runs", "--all", "--models", "LMF", "--yes", *options)
    assert "removed 4 items" in answer.err
    assert {record.spec.model for record in place.store.records()} == {"LF-DNN"}


def test_the_cache_is_made_again(copy: tuple[Place, tuple[str, ...]], finished: Finished, tmp_path: Path) -> None:
    own = tmp_path / "cache"
    run = ("run", "--suite", finished.suite, "--models", "LMF", "--seeds", "3", "--no-report")
    place = Place(tmp_path / "more", tmp_path / "reports", own)
    assert ask(*run, *place.options).code == 0
    answer = ask("clean", "cache", "--yes", "--cache-dir", own)
    assert "removed" in answer.err
    assert not list(own.rglob("*.npy"))
    assert ask(*run, *place.options).code == 0
