"""Reading a CSV file so that whatever is wrong in it is said with file and line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import TypeVar

from harness.errors import InputError

__all__ = ["choice", "corrected", "read_csv", "whole"]

T = TypeVar("T")


def read_csv(
    name: str, header: tuple[str, ...], build: Callable[[Mapping[str, str]], T], folder: Path | None = None
) -> tuple[T, ...]:
    """Read a file line by line.

    Parameters
    ----------
    name : str
        The file's name.
    header : tuple of str
        The columns that its first line must name, in this order.
    build : callable
        Makes something of a line, given as column to text; a ValueError from it is reported with file and line.
    folder : Path, optional
        Where to read; the harness's own tables unless given.

    Raises
    ------
    InputError
        If the file cannot be read, is no such CSV, or `build` finds fault with a line.
    """
    path = (folder or resources.files(__package__)) / name
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read a published table: {error}", where=str(path)) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    built = []
    try:
        if tuple(next(reader, ())) != header:
            raise ValueError(f"the first line must be {','.join(header)}")
        for fields in reader:
            if len(fields) != len(header):
                raise ValueError(f"{len(fields)} fields instead of {len(header)}")
            built.append(build(dict(zip(header, fields, strict=True))))
    except (ValueError, csv.Error) as error:
        raise InputError(
            str(error), where=f"{path}:{max(reader.line_num, 1)}", hint="type the line as the paper prints it"
        ) from error
    return tuple(built)


def whole(text: str) -> int:
    """Read a count that the harness itself put into a file; ValueError unless it is one."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"{text!r} where a whole number from 1 belongs")
    return int(text)


def choice(text: str, allowed: Mapping[str, T]) -> T:
    """Return what `text` stands for; ValueError if it is not allowed."""
    if text not in allowed:
        raise ValueError(f"{text!r} where one of {', '.join(map(repr, allowed))} belongs")
    return allowed[text]


def corrected(line: Mapping[str, str], printed: str) -> str:
    """Return what is to be read: the correction if there is one, which needs a reason, else `printed`."""
    if bool(line["corrected"]) != bool(line["reason"]):
        raise ValueError("a correction needs a reason, and a reason a correction")
    return line["corrected"] or printed
