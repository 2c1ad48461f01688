"""What a person sees: progress while runs go on, tables as text, JSON or CSV, errors in three lines."""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, track
from rich.table import Table
from rich.text import Text

from harness.errors import HarnessError, StoreError
from harness.executors import Elsewhere, Event, Failed, Finished, PutBack, Started
from harness.spec import RunSpec

__all__ = ["Format", "RunDisplay", "counting", "err", "print_error", "print_json", "print_rows", "seconds_text"]

T = TypeVar("T")

err = Console(stderr=True, highlight=False, markup=False, emoji=False)
_REFRESH = 4
_UNBOUND = 400
"""Columns of a table that no terminal shows: a file or a pipe has no edge to fold at."""


def counting(models: Sequence[T]) -> Iterable[T]:
    """Go through models whose costs are being counted, with a bar on a terminal."""
    return track(models, "counting costs", console=err, transient=True, disable=not err.is_terminal)


class Format(StrEnum):
    """How a listing is printed."""

    table = "table"
    json = "json"
    csv = "csv"


def print_rows(
    rows: Sequence[Mapping[str, Any]],
    how: Format,
    *,
    title: str = "",
    right: Collection[str] = (),
    columns: Sequence[str] = (),
) -> None:
    """Print rows on standard output: a table for people, or JSON or CSV and nothing else.

    In a table, columns of numbers are set to the right, and those that `right` names. `columns` come first, and are
    there in CSV without any row too.

    Raises
    ------
    StoreError
        If standard output cannot be written, because it goes to a full disk for example.
    """
    _safely(lambda: _print_rows(rows, how, title, right, columns))


def print_json(data: Any) -> None:
    """Print JSON on standard output, for a listing of several parts; errors as for `print_rows`."""
    _safely(lambda: _write_json(data))


def _safely(write: Callable[[], None]) -> None:
    try:
        write()
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # whoever reads has seen enough; typer ends the command quietly
    except OSError as error:
        # What is left in the buffer would fail once more at exit, with a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise StoreError(
            f"cannot write the listing: {error.strerror or error}",
            where="standard output",
            hint="free some space, or send it elsewhere",
        ) from error


def _print_rows(
    rows: Sequence[Mapping[str, Any]], how: Format, title: str, right: Collection[str], named: Sequence[str]
) -> None:
    if how is Format.json:
        _write_json(list(rows))
        return
    columns = list(dict.fromkeys([*named, *(key for row in rows for key in row)]))
    if how is Format.csv:
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return
    out = Console(highlight=False, markup=False, emoji=False)
    if not out.is_terminal:
        out.width = _UNBOUND
    if not rows:
        out.print("nothing to show")
        return
    if title:  # not as the table's own title, which is folded to the table's width
        out.print(Text(title, style="italic"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = all(isinstance(row.get(column), (int, float)) or row.get(column) is None for row in rows)
        justify: Literal["left", "right"] = "right" if number or column in right else "left"
        table.add_column(column.replace("_", " "), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    out.print(table)


def _write_json(data: Any) -> None:
    sys.stdout.write(json.dumps(data, indent=1, ensure_ascii=False, default=str, allow_nan=False) + "\n")


def _cell(value: Any) -> Text:
    if value is None:
        return Text("")
    return Text(f"{value:.3g}" if isinstance(value, float) else str(value))


def print_error(error: HarnessError) -> None:
    """Print what is wrong, where, and what to do, on standard error."""
    err.print(Text.assemble(("error: ", "bold red"), error.what), soft_wrap=True)
    for label, text in (("where", error.where), ("do", error.hint)):
        if text:
            err.print(Text.assemble((f"  {label + ':':<7}", "bold"), text), soft_wrap=True)


def seconds_text(seconds: float) -> str:
    """Say a duration in at most two units: ``42 s``, ``3 min 20 s``, ``1 h 5 min``."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


class RunDisplay:
    """Watches a suite run: a live display on a terminal, one line per finished run elsewhere.

    Parameters
    ----------
    total : int
        Runs that will be tried.
    quiet : bool
        Show failures only.
    """

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self._total = total
        self._quiet = quiet
        self._started = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._running: dict[str, tuple[RunSpec, str]] = {}
        self._live: Live | None = None
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err
        )
        self._task: TaskID = self._bar.add_task("runs", total=total)

    def __enter__(self) -> Self:
        """Start watching."""
        if err.is_terminal and not self._quiet and self._total:
            self._live = Live(self._picture(), console=err, refresh_per_second=_REFRESH, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        run = event.spec
        if isinstance(event, Started):
            self._running[run.run_id] = (run, "starting")
        elif isinstance(event, (Finished, Failed)):
            self._running.pop(run.run_id, None)
            self._counts["done" if isinstance(event, Finished) else "failed"] += 1
            self._bar.update(self._task, completed=self._counts.total())
            self._line(event)
        elif isinstance(event, Elsewhere):
            self._counts["done" if event.status == "done" else "failed"] += 1
        elif isinstance(event, PutBack):
            self._running.pop(run.run_id, None)
        else:
            self._running[run.run_id] = (run, self._said(event.info))
        if self._live is not None:
            self._live.update(self._picture())

    @staticmethod
    def _said(info: Mapping[str, Any]) -> str:
        return f"epoch {info.get('epoch')}, validation loss {info.get('valid_loss', float('nan')):.4f}"

    def _left(self) -> str:
        ended = self._counts.total()
        if not ended or ended >= self._total:
            return ""
        return f", about {seconds_text((time.monotonic() - self._started) / ended * (self._total - ended))} left"

    def _line(self, event: Finished | Failed) -> None:
        ended = f"[{self._counts.total()}/{self._total}]"
        if isinstance(event, Failed):
            text = Text.assemble(f"{ended} ", ("failed ", "bold red"), f"{event.spec.label}: {event.reason}")
        elif self._quiet or self._live is not None:
            return
        else:
            text = Text(f"{ended} {event.spec.label}: {seconds_text(event.seconds)}{self._left()}")
        err.print(text, soft_wrap=True)

    def _picture(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        failed = self._counts["failed"]
        note = f"{failed} failed" if failed else ""
        self._bar.update(self._task, description=f"runs{self._left()}{', ' if note else ''}{note}")
        grid.add_row(self._bar)
        for run, said in self._running.values():
            grid.add_row(Text(f"  {run.label}: {said}"))
        return grid
