"""The figures of a report: drawn into files beside the page, and set into the page as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from markupsafe import Markup

from harness.cases import Remark
from harness.comparison import Comparison
from harness.figures import Drawing, Missing, Saved, drawings, raw_drawings, save
from harness.reports.files import Style
from harness.results import Results

if TYPE_CHECKING:
    from harness.costs import CellCosts, CellKey
    from harness.data import Features
    from harness.plan import Plan

__all__ = ["Extras", "Gallery", "Picture", "gallery"]

_FOLDER = "figures"

T = TypeVar("T")


@dataclass(frozen=True)
class Extras:
    """What a report shows beside its tables, and what that needs beside the records.

    Attributes
    ----------
    figures : bool
        Whether to draw figures.
    features : mapping
        Converted feature files by data set and setting, as far as they are on this machine: what is said, and the raw
        sub-features.
    remarks : mapping
        Translations and notes by utterance.
    case_model : str or None
        Whose predictions the case studies show.
    case_ids : tuple of str
        Utterances picked by hand.
    costs : mapping
        What the cells of the plan cost, as far as that was counted.
    uncounted : mapping
        Why the costs of a cell are not there.
    style : {"harness", "paper"}
        Whose layout the LaTeX tables have.
    """

    figures: bool = True
    features: Mapping[tuple[str, str], Features] = field(default_factory=dict)
    remarks: Mapping[str, Remark] = field(default_factory=dict)
    case_model: str | None = None
    case_ids: tuple[str, ...] = ()
    costs: Mapping[CellKey, CellCosts] = field(default_factory=dict)
    uncounted: Mapping[CellKey, str] = field(default_factory=dict)
    style: Style = "harness"

    @property
    def texts(self) -> dict[str, dict[str, str]]:
        """What is said, by data set and utterance of the test split."""
        return {
            dataset: dict(zip(found.splits["test"].ids, found.splits["test"].raw_text, strict=True))
            for (dataset, _), found in self.features.items()
        }


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it: ``svg`` is the picture itself, the paths lead to its files beside the page."""

    name: str
    title: str
    caption: str
    svg: Markup
    pdf: str
    csv: str


@dataclass(frozen=True)
class Gallery:
    """Figures and what could not be drawn, by the table that they belong to; and the files behind them."""

    pictures: Mapping[str, tuple[Picture, ...]] = field(default_factory=dict)
    missing: Mapping[str, tuple[Missing, ...]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


def gallery(
    results: Results,
    compared: Comparison,
    plan: Plan,
    folder: Path,
    *,
    features: Mapping[tuple[str, str], Features],
    workers: int = 2,
) -> Gallery:
    """Draw what has changed since the last time into ``folder/figures``, and return all of it.

    Parameters
    ----------
    results, compared, plan
        What the figures show.
    folder : Path
        The folder of the page.
    features : Mapping
        Converted features by data set and setting, for the raw sub-features; a data set that is not there is said to
        be missing.
    workers : int
        Processes that draw.
    """
    asked = list(chain(drawings(results, compared, plan), raw_drawings(features, plan)))
    saved = save((one for one in asked if isinstance(one, Drawing)), folder / _FOLDER, workers=workers)
    return Gallery(
        pictures=_by_place((one.place, _picture(one, folder)) for one in saved),
        missing=_by_place((one.place, one) for one in asked if isinstance(one, Missing)),
        files=tuple(path for one in saved for path in (one.svg, one.pdf, one.csv)),
    )


def _by_place(found: Iterable[tuple[str, T]]) -> dict[str, tuple[T, ...]]:
    places: dict[str, tuple[T, ...]] = {}
    for place, one in found:
        places[place] = (*places.get(place, ()), one)
    return places


def _picture(saved: Saved, folder: Path) -> Picture:
    # The file is ours, written by the engine with every name in it escaped.
    svg = Markup(saved.svg.read_text(encoding="utf-8"))  # noqa: S704
    pdf, csv = (path.relative_to(folder).as_posix() for path in (saved.pdf, saved.csv))
    return Picture(saved.name, saved.title, saved.caption, svg, pdf, csv)
