"""The result tables, 4 to 8, as typed cells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Literal

from harness.published.files import choice, corrected, read_csv, whole
from harness.published.numbers import Printed, parse_cell
from harness.spec import Task, Variant

__all__ = ["COSTS", "RESULT_TABLES", "Cell", "Half", "Source", "read_cells", "reprint"]

Half = Literal["has-0", "non-0"]
Source = Literal["reproduction", "mmsa", "paper", "delta"]

RESULT_TABLES = (4, 5, 6, 7, 8)
COSTS = ("Params", "FLOPs")
"""Columns that hold what a model costs, not how well it does."""

_HEADER = (
    *("table", "place", "row", "model", "variant", "source", "dataset", "task", "setting"),
    *("heading", "column", "halves", "printed", "corrected", "reason"),
)
_VARIANTS: Mapping[str, Variant] = {"original": "original", "fg": "fg", "a": "a", "v": "v"}
_SOURCES: Mapping[str, Source] = {"reproduction": "reproduction", "mmsa": "mmsa", "paper": "paper", "delta": "delta"}
_TASKS: Mapping[str, Task] = {"regression": "regression", "classification": "classification"}
_DATASETS = {"mosei": "mosei", "sims": "sims"}
_SETTINGS = {"": None, "\u2013": None, "Aligned": "aligned", "Unaligned": "unaligned"}
_HALVES: Mapping[str, tuple[Half | None, ...]] = {"": (None,), "has-0/non-0": ("has-0", "non-0")}
_HEADING = re.compile(r"(?P<column>[\w-]+)(?: \(%\))?(?:\u2191|\u2193| \\uparrow| \\downarrow)?")
_UNDERLINED = re.compile(r"<u>(?P<text>[^<>]+)</u>")


@dataclass(frozen=True)
class Cell:
    """One number of a printed cell, or its absence; a cell that prints two numbers gives two of these.

    Attributes
    ----------
    table : int
    place : int
        Which row of the table it stands in, from 1.
    row : str
        The row's label as printed.
    model : str
        The model of that row, as the harness spells it.
    variant : {"original", "fg", "a", "v"}
        In a row of differences the variant that is compared with the original.
    source : {"reproduction", "mmsa", "paper", "delta"}
        The authors' own run, MMSA's results page, the model's own paper, or the difference of the own runs.
    dataset : {"mosei", "sims"}
    task : {"regression", "classification"}
    setting : {"aligned", "unaligned"} or None
        None where none is printed.
    heading : str
        The column's heading as printed.
    column : str
        The metric or cost that the heading names.
    half : {"has-0", "non-0"} or None
        Which of the cell's two numbers this is; None where the cell has room for one.
    text : str
        The whole printed cell as it stands in the paper's text, markup included.
    printed : Printed or None
        The number; None where a dash says that there is none.
    underlined : bool
        Whether an underline has survived in the paper's text.
    corrected : str
        What the whole cell must mean, where that is not what stands there; else empty.
    reason : str
        Why it was corrected.
    """

    table: int
    place: int
    row: str
    model: str
    variant: Variant
    source: Source
    dataset: str
    task: Task
    setting: str | None
    heading: str
    column: str
    half: Half | None
    text: str
    printed: Printed | None
    underlined: bool = False
    corrected: str = ""
    reason: str = ""

    @property
    def metric(self) -> str:
        """The metric as `harness.metrics` names it, such as ``Acc-2/has-0``; Params and FLOPs as they are."""
        return f"{self.column}/{self.half}" if self.half else self.column

    @property
    def value(self) -> Decimal | None:
        """The number's value in the units of the table (an accuracy in percent); None if absent."""
        return self.printed.value if self.printed else None

    @property
    def percent(self) -> bool:
        """Whether the value is a percentage, by its heading or its own sign."""
        return "(%)" in self.heading or (self.printed is not None and self.printed.percent)

    @property
    def own(self) -> bool:
        """Whether the paper's authors ran this themselves."""
        return self.source == "reproduction"


def read_cells(table: int, folder: Path | None = None) -> tuple[Cell, ...]:
    """Read one of the result tables, in the order of the paper.

    Raises
    ------
    InputError
        If the file cannot be read, or a line of it makes no sense or stands twice.
    """
    seen: set[tuple[int, str]] = set()
    rows: dict[int, tuple[str, str, str]] = {}

    def build(line: Mapping[str, str]) -> tuple[Cell, ...]:
        cells = _cells(line)
        first = cells[0]
        if first.table != table:
            raise ValueError(f"a line of Table {first.table} in the file of Table {table}")
        if (first.place, first.column) in seen:
            raise ValueError(f"row {first.place} has two cells in column {first.column}")
        seen.add((first.place, first.column))
        tags = (first.model, first.variant, first.source)
        if (first.place not in rows and tags in rows.values()) or rows.setdefault(first.place, tags) != tags:
            raise ValueError(f"row {first.place} and {' '.join(tags)} do not go together all through the table")
        return cells

    return tuple(cell for cells in read_csv(f"table{table}.csv", _HEADER, build, folder) for cell in cells)


def reprint(cells: Iterable[Cell], text: str) -> tuple[Cell, ...]:
    """Return the numbers of one printed cell with another text in it, uncorrected.

    Raises
    ------
    ValueError
        If `text` is not what such a cell can hold.
    """
    parts = tuple(cells)
    bare, underlined = _strip(text)
    numbers = parse_cell(bare, len(parts))
    return tuple(
        replace(part, text=text, printed=number, underlined=underlined, corrected="", reason="")
        for part, number in zip(parts, numbers, strict=True)
    )


def _cells(line: Mapping[str, str]) -> tuple[Cell, ...]:
    source, variant = choice(line["source"], _SOURCES), choice(line["variant"], _VARIANTS)
    _check_label(line["row"], line["model"], variant, source)
    heading = _HEADING.fullmatch(line["heading"])
    if heading is None or heading["column"] != line["column"]:
        raise ValueError(f"the heading {line['heading']!r} is not one of a column {line['column']!r}")
    halves = choice(line["halves"], _HALVES)
    bare, underlined = _strip(line["printed"])
    numbers = parse_cell(corrected(line, bare), len(halves))
    return tuple(
        Cell(
            table=whole(line["table"]),
            place=whole(line["place"]),
            row=line["row"],
            model=line["model"],
            variant=variant,
            source=source,
            dataset=choice(line["dataset"], _DATASETS),
            task=choice(line["task"], _TASKS),
            setting=choice(line["setting"], _SETTINGS),
            heading=line["heading"],
            column=line["column"],
            half=half,
            text=line["printed"],
            printed=number,
            underlined=underlined,
            corrected=line["corrected"],
            reason=line["reason"],
        )
        for half, number in zip(halves, numbers, strict=True)
    )


def _strip(text: str) -> tuple[str, bool]:
    """Return a cell without its markup, and whether that underlines it."""
    found = _UNDERLINED.fullmatch(text)
    return (found["text"], True) if found else (text, False)


def _check_label(label: str, model: str, variant: Variant, source: Source) -> None:
    """Refuse tags that say something else than the row's label."""
    if source == "delta":
        fits = label == f"\u0394_{{{variant}}}" and variant != "original"
    else:
        suffix = "" if variant == "original" else f"-{variant}"
        spellings = (model, "MuT") if model == "MulT" else (model,)
        marks = {"reproduction": "#{}", "mmsa": "{}*", "paper": "{}"}
        fits = label in {marks[source].format(name + suffix) for name in spellings}
    if not fits:
        raise ValueError(f"the label {label!r} is not one of model {model!r}, variant {variant!r}, source {source!r}")
