"""How the statistics are made: the rules and what simulations say of them, in every report and on a page of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from harness.comparison import MARGINS, PAPER_SEEDS
from harness.reports.calibration import load
from harness.reports.pages import page, write
from harness.reports.simulated import Simulated, simulated
from harness.statistics import SEEDS_DOMINATE

__all__ = ["Explained", "explained", "render_statistics"]


@dataclass(frozen=True)
class Explained:
    """What the text about the statistics quotes, as printed; ``simulated`` is None where no figures were made."""

    dominate: str
    paper_seeds: int
    margins: str
    simulated: Simulated | None


@cache
def explained() -> Explained:
    """Return what the text quotes: constants of the statistics, and simulated figures.

    Raises
    ------
    InputError
        If the file of simulated figures cannot be used.
    """
    found = load()
    return Explained(
        dominate=f"{100 * SEEDS_DOMINATE:g} %",
        paper_seeds=PAPER_SEEDS,
        margins=f"{100 * MARGINS[True]:g} point of an accuracy or F1, {MARGINS[False]:g} of MAE and Corr",
        simulated=simulated(found) if found else None,
    )


def render_statistics(out_dir: Path, *, now: datetime) -> Path:
    """Write ``<out_dir>/statistics/index.html``, the page that explains the statistics, and return its path.

    Parameters
    ----------
    out_dir : Path
        The reports folder; it is created if missing.
    now : datetime
        The time to print, with its zone.

    Raises
    ------
    InputError
        If the file of simulated figures cannot be used.
    StoreError
        If the page cannot be written.
    """
    return write(out_dir / "statistics" / "index.html", page("statistics.html", statistics=explained(), now=now))
