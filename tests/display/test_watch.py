from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from rich.console import Console

from harness.display.watch import watch
from harness.workflow.status import run_row
from tests.display.screen import terminal
from tests.helpers import make_spec

RUNS = [make_spec(seed=seed) for seed in range(30)]
Rows = list[dict[str, Any]]


def rows(*statuses: str) -> Rows:
    told = {"failed": "error: [red]坏 value", "running": ""}
    return [
        {
            **run_row(run),
            "status": status,
            "reason": told.get(status, ""),
            "where": "node-7 cuda:1 (slurm)" if status == "running" else "",
            "progress": "epoch 4/200" if status == "running" else "",
            "log": "",
        }
        for run, status in zip(RUNS, statuses, strict=False)
    ]


def looks(*each: Rows) -> Callable[[], Rows]:
    """Return what gives one look after the other."""
    left = iter(each)
    return lambda: next(left)


def test_a_line_whenever_the_counts_change() -> None:
    file, waits = io.StringIO(), list[float]()
    first, last = rows("missing", "running", "done"), rows("done", "failed", "done")
    got = watch(
        looks(first, first, rows("running", "failed", "done"), last),
        left=iter([None, 5.0, 70.0, None]).__next__,
        console=Console(file=file, width=20),
        sleep=waits.append,
        seconds=7.0,
    )
    assert file.getvalue().splitlines() == [
        "1 done, 0 failed, 1 running, 1 missing",
        "1 done, 1 failed, 1 running, 0 missing, about 1 min 10 s left",
        "2 done, 1 failed, 0 running, 0 missing",
    ]
    assert waits == [7.0] * 3
    assert got is last


def test_a_terminal_shows_counts_running_runs_and_failures() -> None:
    console, screen = terminal(100, 24)
    seen: list[list[str]] = []
    watch(
        looks(rows("missing", "running", "failed", "done"), rows("done", "done", "failed", "done")),
        left=lambda: 65.0,
        console=console,
        sleep=lambda _seconds: seen.append(screen.lines),
    )
    lines = seen[0]
    assert lines[0].endswith("1/4 done, 1 failed, ~1 min 5 s left")
    assert [line.split() for line in lines[1:]] == [
        ["1", "running", "where", "progress"],
        [*RUNS[1].label.split(), "node-7", "cuda:1", "(slurm)", "epoch", "4/200"],
        ["1", "failed", "reason"],
        [*RUNS[2].label.split(), "error:", "[red]坏", "value"],
    ]
    assert (screen.lines, screen.cursor) == ([], True)


def test_the_latest_failures_come_first_wherever_they_stand_in_the_plan() -> None:
    console, screen = terminal(60, 12)
    old = ["running", *["failed"] * 3, "running", "failed", "failed"]
    new = ["failed", *["failed"] * 3, "running", "failed", "failed"]
    end = ["failed", *["failed"] * 3, "failed", "failed", "failed"]
    seen: list[list[str]] = []
    watch(looks(rows(*old), rows(*new), rows(*end)), console=console, sleep=lambda _seconds: seen.append(screen.lines))
    at = next(row for row, line in enumerate(seen[1]) if line.startswith("6 failed, the latest"))
    seeds = [line.split()[line.split().index("seed") + 1] for line in seen[1][at + 1 :]]
    assert seeds == ["0", "6", "5", "3", "2"]


def test_ctrl_c_ends_quietly_with_what_was_seen_last() -> None:
    console, screen = terminal(60, 12)
    given = rows("missing")

    def interrupted(_seconds: float = 0.0) -> NoReturn:
        raise KeyboardInterrupt

    assert watch(lambda: given, console=console, sleep=interrupted) is given
    assert (screen.lines, screen.cursor, screen.scrolled) == ([], True, 0)
    with pytest.raises(KeyboardInterrupt):
        watch(interrupted, console=console)


def test_an_error_leaves_a_clean_terminal() -> None:
    console, screen = terminal(60, 12)
    with pytest.raises(StopIteration):
        watch(looks(rows("missing")), console=console, sleep=lambda _seconds: None)
    assert (screen.lines, screen.cursor) == ([], True)
