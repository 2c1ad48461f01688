"""Three-class F1 beside its accuracy, for the class balance of the test split."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from itertools import permutations, product

import numpy as np

from harness.audit.bounds import rows_of
from harness.audit.classes import TEST_CLASSES
from harness.audit.finding import Finding, at, graded
from harness.audit.hulls import Floats, Hull, lower_hull, reach
from harness.published import Tables

__all__ = ["three_class_f1", "three_class_range"]

Counts = tuple[int, int, int]

_CELLS, _ACROSS = 500, 120
"""Into how many cells the right answers are cut, of all classes and of one, when the upper bound is taken."""


def three_class_f1(tables: Tables) -> Iterator[Finding]:
    """Find F1-3 that no confusion matrix of the class balance gives together with Acc-3, nor any mean over seeds.

    Of class c there are n_c utterances, t_c of them right; T = sum t_c are right and W = n - T wrong. Of the wrong
    ones f_c are taken for c: sum f_c = W, and f_c <= W - (n_c - t_c), since none of c's own are among them. Then
    n F1 = sum 2 n_c t_c / (n_c + t_c + f_c).

    Below, by two bounds. First, n_c + t_c + f_c <= W + 2 t_c, so n F1 >= sum 2 n_c t_c / (W + 2 t_c). Second, by Cauchy
    and Schwarz, n F1 >= 2 (sum sqrt(n_c t_c))^2 / sum (n_c + t_c + f_c), a sum that is 2 n. For a given T both are
    concave in the t_c (the second is a sum of geometric means), so each is least at a corner: every class but one
    wholly right or wholly wrong.

    Above: F1 is convex in f, so it is largest at a corner, where one class a has f_a = 0, another f_b =
    W - (n_b - t_b) and the third f_c = n_b - t_b. (At a corner two of the f are at an end. Both 0: the third is W, its
    class has no misses, and is b. Both at the upper end: then f_a = -(n_a - t_a), so both are 0.) That gives
    2 n_a t_a / (n_a + t_a) + 2 n_b t_b / (n - T + 2 t_b) + 2 n_c t_c / (n_c + n_b - t_b + t_c). No term falls in T,
    t_b, t_a or t_c. So T and t_b are cut into cells, each with the largest T and t_b in it, and what is left for t_a
    and t_c is the maximum of a concave function on a line, which has a closed form.

    The mean over seeds of points between two curves lies in their convex hull. The upper bound exceeds what seeds can
    reach by less than half a point.
    """
    for row in rows_of(tables):
        cell, accuracy = row.get("F1-3"), row.get("Acc-3")
        if cell is None or accuracy is None or cell.value is None or accuracy.value is None:
            continue
        classes = TEST_CLASSES.get(cell.dataset)
        if classes is None:
            continue
        counts = (classes.negative, classes.neutral, classes.positive)
        low, high = three_class_range(counts, float(accuracy.value) / 100)
        if low <= float(cell.value) / 100 <= high:
            continue
        severity, certainty = graded(cell, "as sure as the public class counts")
        named = ", ".join(map(str, counts))
        why = f"no confusion matrices of {named} utterances have this F1 with Acc-3 {accuracy.value}"
        yield at(cell, "f1-balance", f"from {100 * low:.2f} to {100 * high:.2f}", severity, why, certainty)


def three_class_range(counts: Counts, accuracy: float) -> tuple[float, float]:
    """Return bounds of the weighted F1 that can be printed beside an accuracy, as shares, rounding allowed for.

    Parameters
    ----------
    counts : tuple of int
        Utterances by class, none of them 0.
    accuracy : float
        As printed, as a share.
    """
    return reach(_lower(counts), _upper(counts), accuracy)


@functools.cache
def _lower(counts: Counts) -> Hull:
    """Return the convex hull, from below, of the lower bound at every number of right answers."""
    total = sum(counts)
    sizes = np.array(counts, dtype=np.float64)
    least = np.full((2, total + 1), np.inf)
    for partial in range(3):
        others = [place for place in range(3) if place != partial]
        for whole in product((0, 1), repeat=2):
            full = sum(counts[place] for place, is_whole in zip(others, whole, strict=True) if is_whole)
            right = np.zeros((3, counts[partial] + 1))
            right[others] = (np.array(whole) * sizes[others])[:, None]
            right[partial] = np.arange(counts[partial] + 1)
            numbers = slice(full, full + counts[partial] + 1)
            width = total - right.sum(axis=0) + 2 * right
            one = np.divide(2 * sizes[:, None] * right, width, out=np.zeros_like(right), where=width > 0).sum(axis=0)
            two = np.sqrt(sizes[:, None] * right).sum(axis=0) ** 2 / total
            np.minimum(least[0, numbers], one, out=least[0, numbers])
            np.minimum(least[1, numbers], two, out=least[1, numbers])
    return lower_hull(np.arange(total + 1) / total, least.max(axis=0) / total)


@functools.cache
def _upper(counts: Counts) -> Hull:
    """Return the convex hull, from above, of the upper bound over cells of right answers."""
    total = sum(counts)
    edges = np.unique(np.linspace(0, total, min(_CELLS, total) + 1).round())
    first, last = edges[:-1, None], edges[1:, None]
    most = np.zeros(len(edges) - 1)
    for a, b, c in permutations(counts):
        most = np.maximum(most, _highest((a, b, c), first, last).max(axis=1))
    x = np.column_stack([edges[:-1], edges[1:]]).ravel() / total
    low_x, low_y = lower_hull(*_once(x, -np.repeat(most, 2) / total))
    return low_x, -low_y


def _highest(order: Counts, first: Floats, last: Floats) -> Floats:
    """Return n F1 at most, by cell of T (down) and t_b (across), for classes a, b and c in this order."""
    a, b, c = order
    total = a + b + c
    edges = np.linspace(0, b, min(_ACROSS, b) + 1)
    b_first, b_last = edges[None, :-1], edges[None, 1:]
    rest = np.clip(last - b_first, 0, a + c)
    width = c + b - b_last  # of the third denominator, besides t_c
    ratio = np.sqrt(c * width) / a
    right_a = np.clip((width + rest - ratio * a) / (1 + ratio), np.maximum(0, rest - c), np.minimum(a, rest))
    right_c = rest - right_a
    middle = 2 * b * b_last / (total - last + 2 * b_last)
    found = 2 * a * right_a / (a + right_a) + middle + 2 * c * right_c / (width + right_c)
    empty = (b_first > last) | (first - b_last > a + c)
    return np.asarray(np.where(empty, -np.inf, found))


def _once(x: Floats, y: Floats) -> Hull:
    """Return points with the lowest `y` of each `x`; `x` does not fall."""
    places, starts = np.unique(x, return_index=True)
    return places, np.minimum.reduceat(y, starts)
