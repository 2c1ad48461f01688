"""The result tables as the paper prints them, with the places marked that findings speak about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.audit.classes import definition_of
from harness.audit.finding import at
from harness.audit.report.entries import Entry
from harness.published import Cell, Tables

__all__ = ["Correction", "PrintedRow", "PrintedTable", "Spot", "corrections", "printed_tables"]

Place = tuple[int, str, str]
"""Table, row and column, as findings name them."""

_TABLES = (4, 5, 6, 7, 8)
_SETTINGS = {"aligned": "Aligned", "unaligned": "Unaligned", None: "\u2013"}
_SETTING_HEAD = "Data Setting"


@dataclass(frozen=True)
class Spot:
    """A printed cell, a row's label or a column's heading, and the labels of the entries that speak about it.

    ``corrected`` is what the cell must mean where text extraction spoilt it; ``anchor`` is empty where nothing points.
    """

    text: str
    marks: tuple[str, ...] = ()
    anchor: str = ""
    underlined: bool = False
    corrected: str = ""

    @property
    def severity(self) -> str:
        """The worst of the marks, as a letter; empty without any."""
        return next((letter for letter in "EWN" if any(mark.startswith(letter) for mark in self.marks)), "")


@dataclass(frozen=True)
class PrintedRow:
    """One row: its label, its cells, whether it holds differences, and whether a model begins with it."""

    label: Spot
    spots: tuple[Spot, ...]
    delta: bool
    opens: bool


@dataclass(frozen=True)
class PrintedTable:
    """One table; ``marks`` are of entries that name neither a row nor a column of it.

    With ``settings`` the first column holds the data setting. ``anchors`` leads from a finding's place to where it is
    marked.
    """

    number: int
    caption: str
    settings: bool
    columns: tuple[Spot, ...]
    rows: tuple[PrintedRow, ...]
    marks: tuple[str, ...]
    anchors: dict[Place, str]


@dataclass(frozen=True)
class Correction:
    """What was read otherwise than it stands in the paper's text: why, and each place with both readings.

    Both are empty where whole rows had moved.
    """

    table: int
    reason: str
    places: tuple[tuple[str, str, str], ...]


def printed_tables(tables: Tables, entries: Sequence[Entry]) -> tuple[PrintedTable, ...]:
    """Return Tables 4 to 8; one without any cell is left out."""
    return tuple(_Marker(tables, number, entries).table() for number in _TABLES if tables.table(number))


def corrections(tables: Tables) -> tuple[Correction, ...]:
    """Return every correction once, those with the same reason together, in the order of the paper."""
    places: dict[tuple[int, str], list[tuple[str, str, str]]] = {}
    for row in tables.sub_features:
        if row.corrected:
            where = f"{definition_of(row.dataset).title} {row.modality}"
            places.setdefault((2, row.reason), []).append((where, row.text, row.corrected))
    for cell in tables.cells:
        if cell.corrected:
            found = (f"{cell.column} in {_row_name(cell)}", cell.text, cell.corrected)
            places.setdefault((cell.table, cell.reason), []).append(found)
    for case in tables.cases:
        for reason in case.reasons:
            places.setdefault((9, reason), []).append((f"example {case.number}", "", ""))
    return tuple(Correction(*key, tuple(dict.fromkeys(found))) for key, found in places.items())


class _Marker:
    """Lays out one table and finds, for each place that an entry names, where to mark it."""

    def __init__(self, tables: Tables, number: int, entries: Sequence[Entry]) -> None:
        self._number, self._caption = number, tables.captions.get(number, "")
        self._rows: dict[int, list[Cell]] = {}
        for cell in tables.table(number):
            self._rows.setdefault(cell.place, []).append(cell)
        first = next(iter(self._rows.values()))
        self._has_setting = any(cell.setting for cell in tables.table(number))
        self._heads = {cell.column: cell.heading for cell in first}
        metrics = {cell.metric: cell.column for cell in tables.table(number)}
        columns = metrics | {column: column for column in self._heads} | {_SETTING_HEAD: _SETTING_HEAD}
        names = {_row_name(cells[0]): place for place, cells in self._rows.items()}
        self._marks: dict[str, list[str]] = {}
        self._loose: list[str] = []
        self.anchors: dict[Place, str] = {}
        order = [_SETTING_HEAD, *self._heads]
        for entry in entries:
            for finding in entry.findings:
                if finding.table != number:
                    continue
                row, column = names.get(finding.row), columns.get(finding.column)
                if row is None and column is None:
                    self._loose.append(entry.label)
                    continue
                anchor = f"t{number}"
                anchor += f"-r{row}" if row is not None else ""
                anchor += f"-c{order.index(column)}" if column is not None else ""
                self._marks.setdefault(anchor, []).append(entry.label)
                self.anchors[number, finding.row, finding.column] = anchor

    def table(self) -> PrintedTable:
        head = [self._spot(heading, f"-c{i}") for i, heading in enumerate(self._heads.values(), start=1)]
        if self._has_setting:
            head.insert(0, self._spot(_SETTING_HEAD, "-c0"))
        rows, model = [], None
        for place, cells in self._rows.items():
            rows.append(self._row(place, cells, opens=cells[0].model != model))
            model = cells[0].model
        loose = tuple(dict.fromkeys(self._loose))
        labels = (self._number, self._caption, self._has_setting)
        return PrintedTable(*labels, tuple(head), tuple(rows), loose, self.anchors)

    def _row(self, place: int, cells: Sequence[Cell], *, opens: bool) -> PrintedRow:
        printed = {cell.column: cell for cell in cells}
        spots = [
            self._spot(_text(cell), f"-r{place}-c{i}", underlined=cell.underlined, corrected=cell.corrected)
            if (cell := printed.get(column))
            else Spot("")
            for i, column in enumerate(self._heads, start=1)
        ]
        if self._has_setting:
            spots.insert(0, self._spot(_SETTINGS[cells[0].setting], f"-r{place}-c0"))
        label = self._spot(cells[0].row, f"-r{place}")
        return PrintedRow(label, tuple(spots), delta=cells[0].source == "delta", opens=opens)

    def _spot(self, text: str, where: str, *, underlined: bool = False, corrected: str = "") -> Spot:
        anchor = f"t{self._number}{where}"
        marks = tuple(dict.fromkeys(self._marks.get(anchor, ())))
        return Spot(text, marks, anchor if marks else "", underlined, corrected)


def _row_name(cell: Cell) -> str:
    """Return the row as a finding at one of its cells would name it."""
    return at(cell, "", "", "note", "", "").row


def _text(cell: Cell) -> str:
    return cell.text.removeprefix("<u>").removesuffix("</u>") if cell.underlined else cell.text
