"""Listings as tables, JSON or CSV, errors in three lines, and how durations are said."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal, TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from harness.errors import HarnessError, StoreError

__all__ = ["Format", "counting", "err", "print_error", "print_json", "print_rows", "seconds_text"]

T = TypeVar("T")

err = Console(stderr=True, highlight=False, markup=False, emoji=False)
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
    optional: Collection[str] = (),
    hidden: Collection[str] = (),
) -> None:
    """Print rows on standard output: a table for people, or JSON or CSV and nothing else.

    In a table, columns of numbers are set to the right, and those that `right` names. `columns` come first, and are
    there in CSV without any row too. A table leaves out what is `hidden`, and what is `optional` and would be empty.

    Raises
    ------
    StoreError
        If standard output cannot be written, because it goes to a full disk for example.
    """

    def without(column: str) -> bool:
        return column in hidden or (column in optional and all(row.get(column) in (None, "") for row in rows))

    _safely(lambda: _print_rows(rows, how, title, right, columns, without))


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
    rows: Sequence[Mapping[str, Any]],
    how: Format,
    title: str,
    right: Collection[str],
    named: Sequence[str],
    without: Callable[[str], bool],
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
    shown = [column for column in columns if not without(column)]
    for column in shown:
        number = all(isinstance(row.get(column), (int, float)) or row.get(column) is None for row in rows)
        justify: Literal["left", "right"] = "right" if number or column in right else "left"
        table.add_column(column.replace("_", " "), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in shown))
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
