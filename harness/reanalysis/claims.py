"""The claims of the paper's running text, judged by its printed tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.published import Claim, ClaimKind, Tables
from harness.reanalysis.cell_by_cell import (
    advantage,
    closer,
    every,
    growth,
    order,
    polarity,
    reproduction,
    stated,
    untold,
)
from harness.reanalysis.effects import effects
from harness.reanalysis.outcome import Judged
from harness.reanalysis.over_models import Material, datasets, general, limited, lower
from harness.reanalysis.stated import STATED

__all__ = ["JUDGES", "judge"]

JUDGES: Mapping[ClaimKind, Callable[[Material, Claim], Judged]] = {
    **dict.fromkeys(STATED, stated),
    "general": general,
    "lower": lower,
    "datasets": datasets,
    "limited": limited,
    "every": every,
    "reproduction": reproduction,
    "growth": growth,
    "advantage": advantage,
    "order": order,
    "polarity": polarity,
    "closer": closer,
    "untold": untold,
}
"""One for each kind of claim; how it reads the words stands in its docstring, and it knows no particular cell."""


def judge(tables: Tables, alpha: float = 0.05) -> tuple[Judged, ...]:
    """Judge every claim of `tables` by the tables that it speaks about.

    Parameters
    ----------
    tables : Tables
    alpha : float
        Level of the tests, after Holm within the families of `harness.reanalysis.effects`.

    Returns
    -------
    tuple of Judged
        In the order of the paper.

    Raises
    ------
    ValueError
        If a claim does not name what its kind needs.
    """
    material = Material(tables, effects(tables, alpha), alpha)
    return tuple(JUDGES[claim.kind](material, claim) for claim in tables.claims)
