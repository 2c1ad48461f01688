"""Points of many dimensions on a plane: scikit-learn's t-SNE with nothing left to chance, and how it is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.legend_handler import HandlerBase, HandlerPatch
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from harness.figures.separation import FloatArray, varies
from harness.figures.style import HAIR, INK, LOOKS, SOFT

__all__ = [
    "MODALITY_MARKS",
    "PERPLEXITY",
    "SENTIMENT_MARKS",
    "STEPS",
    "Mark",
    "legend",
    "marks_for",
    "perplexity",
    "plane",
    "scatter",
    "words",
]

PERPLEXITY = 30.0
STEPS = 500
_FEWEST = 5
_MARK_SIZE = 0.011  # of the picture's side
_TURNS = 6


@dataclass(frozen=True)
class Mark:
    """How the points of one cloud are drawn: a colour, and strokes in units of the mark's half width."""

    colour: str
    strokes: tuple[tuple[tuple[float, float], tuple[float, float]], ...]


_DOT = (((0.0, 0.0), (0.0, 0.0)),)
_CROSS = (((-0.8, -0.8), (0.8, 0.8)), ((-0.8, 0.8), (0.8, -0.8)))
_BAR = (((0.0, -1.2), (0.0, 1.2)),)
_DASH = (((-1.2, 0.0), (1.2, 0.0)),)
_STROKES = (_DOT, _CROSS, _BAR, _DASH)
_GREY = "#808080"
_BLUE, _VERMILLION, _GREEN, _PURPLE = (look.colour for look in LOOKS)
# Colours that the classes of sentiment do not have, since both stand in one figure.
MODALITY_MARKS = {"text": Mark(_GREEN, _DOT), "audio": Mark(_PURPLE, _CROSS), "vision": Mark(_GREY, _BAR)}
SENTIMENT_MARKS = {
    "negative": Mark(_VERMILLION, _DASH),
    "neutral": Mark(INK, _DOT),
    "positive": Mark(_BLUE, (*_DASH, *_BAR)),
}
_COLOURS = (_BLUE, _VERMILLION, _GREEN, _PURPLE, _GREY)


def marks_for(names: Sequence[str]) -> dict[str, Mark]:
    """Return a mark for each cloud; neighbours differ in colour and in shape, and marks repeat after 20."""
    return {name: Mark(_COLOURS[i % len(_COLOURS)], _STROKES[i % len(_STROKES)]) for i, name in enumerate(names)}


def perplexity(n: int) -> float:
    """Return `PERPLEXITY`, or a third of the other points where there are fewer than three times as many."""
    return min(PERPLEXITY, (n - 1) / 3)


def plane(points: FloatArray) -> FloatArray | None:
    """Return t-SNE's positions, shape (N, 2), each axis centred; None for points too few or all in one place.

    The start is PCA, the random state fixed and the work done by one thread, so that the same points always give the
    same picture (van der Maaten and Hinton 2008).

    Parameters
    ----------
    points : array, shape (N, width)
        Finite.
    """
    if points.shape[0] < _FEWEST or not varies(points):
        return None
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # PCA needs two columns to start from.
    wide = points if points.shape[1] > 1 else np.column_stack([points, np.zeros(points.shape[0])])
    maker = TSNE(perplexity=perplexity(points.shape[0]), init="pca", max_iter=STEPS, random_state=0)
    with threadpool_limits(limits=1):
        placed: FloatArray = np.asarray(maker.fit_transform(wide), dtype=np.float64)
    middle: FloatArray = (placed.min(axis=0) + placed.max(axis=0)) / 2
    return placed - middle


def _frame(axes: Axes, half: float = 1.0) -> None:
    """Make an empty square picture from -half to half; t-SNE's axes have no unit, so there are no ticks."""
    axes.set(xticks=[], yticks=[], xlim=(-half, half), ylim=(-half, half), aspect="equal")
    for spine in axes.spines.values():
        spine.set(visible=True, alpha=HAIR * 2)


def scatter(axes: Axes, x: FloatArray, y: FloatArray, names: NDArray[np.str_], marks: Mapping[str, Mark]) -> None:
    """Draw points in the marks of their names, the clouds in turn, a few points each, so that none hides another.

    The points of a turn are one path, which takes a fraction of what a marker for each would take in a page.
    """
    half = 1.06 * float(max(np.abs(x).max(), np.abs(y).max()))
    _frame(axes, half)
    for turn in range(_TURNS):
        for name, mark in marks.items():
            centres = np.column_stack([x, y])[names == name][turn::_TURNS]
            if len(centres):
                axes.add_patch(_patch(mark, centres, 2 * half * _MARK_SIZE))


def words(axes: Axes, text: str) -> None:
    """Write into an empty picture why it is empty."""
    _frame(axes)
    axes.text(0, 0, text, ha="center", va="center", alpha=SOFT, fontsize=7.0, wrap=True)


def legend(marks: Mapping[str, Mark]) -> tuple[list[PathPatch], dict[type | Artist, HandlerBase]]:
    """Return what matplotlib needs for a key of these marks: handles in their order, and who draws them."""
    handles = [_patch(mark, np.zeros((1, 2)), 1.0) for mark in marks.values()]
    return handles, {PathPatch: HandlerPatch(patch_func=_key)}


def _patch(mark: Mark, centres: FloatArray, size: float) -> PathPatch:
    strokes = np.asarray(mark.strokes) * size
    # One row per point, stroke and end: a stroke without length is a dot, by its round caps.
    vertices = (centres[:, None, None, :] + strokes[None]).reshape(-1, 2)
    codes = np.tile([Path.MOVETO, Path.LINETO], vertices.shape[0] // 2)
    width = 2.2 if mark.strokes == _DOT else 0.8
    path = Path(vertices, codes)
    path.should_simplify = False  # which would drop strokes without length
    return PathPatch(path, fill=False, edgecolor=mark.colour, linewidth=width, capstyle="round")


def _key(  # the signature that HandlerPatch calls
    *, orig_handle: PathPatch, xdescent: float, ydescent: float, width: float, height: float, **_: object
) -> PathPatch:
    centre = np.array([width / 2 - xdescent, height / 2 - ydescent])
    path = orig_handle.get_path()
    return PathPatch(Path(np.asarray(path.vertices) * 2.2 + centre, path.codes), fill=False, capstyle="round")
