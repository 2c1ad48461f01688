"""`harness status` again and again, until all runs have ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from harness.display.listing import err, seconds_text
from harness.display.picture import Column, Picture, Section, on_screen, one_line
from harness.workflow.status import row_label

__all__ = ["watch"]

_STATUSES = ("done", "failed", "running", "missing")
_LATEST = 5
_MOST_ROWS = 100
_LEAST = 16


def _nobody_knows() -> float | None:
    return None


def watch(
    rows: Callable[[], list[dict[str, Any]]],
    *,
    left: Callable[[], float | None] = _nobody_knows,
    seconds: float = 2.0,
    console: Console = err,
    sleep: Callable[[float], None] = time.sleep,
) -> list[dict[str, Any]]:
    """Show what becomes of a suite's runs until none is running or missing any more, or until Ctrl-C.

    On a terminal a picture is drawn at every look; elsewhere, a line is printed whenever the counts have changed.

    Parameters
    ----------
    rows : callable
        Gives the rows of `harness.workflow.status_rows`; a `harness.workflow.status.StatusRows` does so at little cost.
    left : callable
        Gives the seconds until the end, as far as somebody knows; asked after `rows`.
    seconds : float
        Time between two looks.
    console : Console
        Where to show it.
    sleep : callable
        Waits.

    Returns
    -------
    list of dict
        The latest rows.
    """
    seen = _Seen()
    seen.take(rows(), left())
    try:
        with on_screen(console, seen.picture) as live:
            told: Counter[str] | None = None
            while True:
                if live is not None:
                    live.refresh()
                elif seen.counts != told:
                    told = seen.counts
                    console.print(Text(", ".join(seen.words())), soft_wrap=True)
                if not seen.counts["running"] + seen.counts["missing"]:
                    break
                sleep(seconds)
                seen.take(rows(), left())
    except KeyboardInterrupt:  # the ordinary way to leave
        pass
    return seen.rows


@dataclass
class _Seen:
    """The latest look."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    left: float | None = None
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take(self, rows: list[dict[str, Any]], left: float | None) -> None:
        self.rows, self.left = rows, left
        self.counts = Counter(row["status"] for row in rows)
        failed = {row["run_id"]: row for row in rows if row["status"] == "failed"}
        # New ones come last, whatever their place in the plan.
        kept = {run_id: failed[run_id] for run_id in self.failures if run_id in failed}
        self.failures = kept | failed

    def words(self) -> list[str]:
        """Say the counts, and the time left."""
        counted = [f"{self.counts[status]} {status}" for status in _STATUSES]
        return [*counted, f"about {seconds_text(self.left)} left"] if self.left else counted

    def picture(self) -> Picture:
        running = [row for row in self.rows if row["status"] == "running"][:_MOST_ROWS]
        latest = list(self.failures.values())[: -_LATEST - 1 : -1]
        title = f"{len(self.failures)} failed" + (", the latest" if len(self.failures) > _LATEST else "")
        words = [f"{self.counts['done']}/{len(self.rows)} done", *([f"{self.counts['failed']} failed"] * bool(latest))]
        if self.left:
            words.append(f"~{seconds_text(self.left)} left")
        return Picture(
            self.counts["done"] + self.counts["failed"],
            len(self.rows),
            words,
            [
                Section(
                    [
                        Column(f"{self.counts['running']} running", _labels(running), middle=True, least=_LEAST),
                        Column("where", _texts(running, "where"), least=_LEAST, leave=1),
                        Column("progress", _texts(running, "progress")),
                    ]
                ),
                Section(
                    [
                        Column(title, _labels(latest), middle=True, least=_LEAST),
                        Column("reason", _texts(latest, "reason"), least=_LEAST),
                    ]
                ),
            ],
        )


def _labels(rows: Sequence[Mapping[str, Any]]) -> list[Text]:
    return [Text(one_line(row_label(row))) for row in rows]


def _texts(rows: Sequence[Mapping[str, Any]], key: str) -> list[Text]:
    return [Text(one_line(str(row[key]))) for row in rows]
