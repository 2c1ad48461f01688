"""Paired rows of a table, one per model, and whether a treatment helps in general."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from harness.statistics.arrays import finite
from harness.statistics.families import adjust
from harness.statistics.seeds import MeanInterval, mean_interval
from harness.statistics.signs import SignTest, Wilcoxon, sign_test, wilcoxon

__all__ = ["OverRows", "adjust_rows", "over_rows"]


@dataclass(frozen=True)
class OverRows:
    """What paired rows say in general: their mean with an interval, and two tests that ask for little.

    Attributes
    ----------
    mean : MeanInterval
        Mean delta over the rows with Student's t interval.
    wilcoxon : Wilcoxon
        Are deltas symmetric about zero? The test that verdicts come from.
    sign : SignTest
        Are positive deltas as likely as negative ones?
    better, worse, equal : int
        Rows whose delta is above, below or at zero.
    """

    mean: MeanInterval
    wilcoxon: Wilcoxon
    sign: SignTest
    better: int
    worse: int
    equal: int


def over_rows(deltas: ArrayLike, alpha: float = 0.05) -> OverRows:
    """Ask whether deltas, one per row of a table, lie on one side of zero.

    Parameters
    ----------
    deltas : array_like, shape (n,)
        One per row, signed so that + is an improvement; values that are not finite are left out.
    alpha : float
        One minus the level of the intervals.

    Notes
    -----
    The rows are taken for a sample of the models that could have been in the table. Models that share most of their
    code (LF-DNN and MLF-DNN, say) are less independent than that.
    """
    kept = finite(deltas)
    signs = sign_test(kept, alpha)
    return OverRows(
        mean=mean_interval(kept, alpha),
        wilcoxon=wilcoxon(kept, alpha),
        sign=signs,
        better=signs.positive,
        worse=signs.n - signs.zeros - signs.positive,
        equal=signs.zeros,
    )


def adjust_rows(found: Sequence[OverRows], same: Sequence[Hashable] | None = None) -> tuple[OverRows, ...]:
    """Adjust the Wilcoxon tests of one family, and the sign tests as a family of their own; see `adjust`.

    Parameters
    ----------
    found : sequence of OverRows
    same : sequence of hashable, optional
        What tells one question from another: those with equal entries (a row that two tables repeat, two metrics that
        are one on this data) are one test, and count once. All are different unless given.
    """
    keys = list(range(len(found))) if same is None else list(same)
    once = dict(zip(reversed(keys), reversed(found), strict=True))
    ranks, signs = adjust([one.wilcoxon for one in once.values()]), adjust([one.sign for one in once.values()])
    adjusted = {key: replace(once[key], wilcoxon=w, sign=s) for key, w, s in zip(once, ranks, signs, strict=True)}
    return tuple(adjusted[key] for key in keys)
