"""Power by size of the effect and number of seeds, in the style of all figures, as an SVG inside a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

__all__ = ["Curve", "power_figure"]

_HEIGHT, _WIDTH = 2.8, 3.8
"""Inches; as wide as a phone shows it with its text at a readable size."""

_WANTED = 0.8
"""The power that detectable effects are stated for."""


@dataclass(frozen=True)
class Curve:
    """Share of simulated comparisons found at each size of the effect, with `n` seeds."""

    n: int
    effects: tuple[float, ...]
    power: tuple[float, ...]


def power_figure(name: str, title: str, curves: Sequence[Curve], *, alpha: float | None = None) -> str:
    """Return the curves as one ``<svg>`` element, text as text, the same bytes for the same figures.

    Parameters
    ----------
    name : str
        Its id, unlike that of any other figure on the page.
    title : str
        What it is, for those who do not see it.
    curves : sequence of Curve
        At most five, told apart by colour, dash and marker.
    alpha : float, optional
        Level of the test, drawn as a line: what is found of an effect of zero.

    Raises
    ------
    ValueError
        If there are more curves than can be told apart.
    """
    # matplotlib takes half a second to import, which only a page with a figure should pay.
    from harness.figures import style
    from harness.figures.svg import adapted

    looks = (style.BASELINE_LOOK, *style.LOOKS)
    if len(curves) > len(looks):
        raise ValueError(f"at most {len(looks)} curves can be told apart, got {len(curves)}")
    levels = [_WANTED] if alpha is None else [alpha, _WANTED]
    with style.applied(name):
        figure = style.sheet(_HEIGHT, _WIDTH)
        axes = figure.add_subplot(xlabel="true mean delta, in sd of the deltas", ylabel="share found")
        for level in levels:
            axes.axhline(level, color=style.INK, alpha=style.SOFT, linewidth=0.6, clip_on=False, zorder=0)
        for curve, look in zip(curves, looks, strict=False):
            axes.plot(
                *(curve.effects, curve.power),
                label=f"{curve.n} seeds",
                color=look.colour,
                linestyle=look.dashes,
                marker=look.marker,
                clip_on=False,
            )
        axes.set(xlim=(0, None), ylim=(0, 1), yticks=sorted({0.2, 0.4, 0.6, 1.0, *levels}))
        figure.legend(loc="outside upper center", ncols=2, handlelength=4)
        drawn = BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    shown = "; ".join(f"{curve.n} seeds: {_told(curve)}" for curve in curves)
    return adapted(drawn.getvalue(), name, title, f"Share found by true mean delta. {shown}.").decode()


def _told(curve: Curve) -> str:
    return ", ".join(f"{power:.2f} at {effect:g}" for effect, power in zip(curve.effects, curve.power, strict=True))
