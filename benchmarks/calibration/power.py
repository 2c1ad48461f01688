"""Part 4: what so few seeds can find, simulated and by closed form, and the floors of exact tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.calibration.rates import Rate
from benchmarks.calibration.simulation import generator
from benchmarks.calibration.stars import ALPHA, MODELS, compared
from harness.statistics import minimum_detectable_effect, paired_t_power, sign_flip, wilcoxon

__all__ = ["EFFECTS", "Power", "floors", "power_curve"]

EFFECTS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Mean deltas in standard deviations of the delta; the smallest effect that is found with power 0.8 is added."""


@dataclass(frozen=True)
class Power:
    """Chance of finding an effect that all models of a family have.

    Attributes
    ----------
    seeds : int
    effect : float
        Mean of the deltas over their standard deviation.
    single : Rate
        Tests with a p below `ALPHA` before adjustment.
    daggers : Rate
        The same tests with a dagger in families of `MODELS`. They are not independent within a family.
    """

    seeds: int
    effect: float
    single: Rate
    daggers: Rate

    def as_json(self) -> dict[str, Any]:
        """Return it as a row of the figures.

        ``closed`` is the closed form of ``single``; ``closed_alone`` that of a dagger for the only model of a family
        with an effect (but for the other models' false daggers, which help), the least that ``daggers`` can be.
        """
        return {
            "seeds": self.seeds,
            "effect": self.effect,
            "detectable": self.effect == minimum_detectable_effect(self.seeds, ALPHA),
            "single": self.single.as_json(),
            "closed": paired_t_power(self.effect, self.seeds, ALPHA),
            "daggers": self.daggers.as_json(),
            "closed_alone": paired_t_power(self.effect, self.seeds, ALPHA / MODELS),
        }


def power_curve(seeds: int, families: int) -> list[Power]:
    """Put normal deltas with known effects through the harness's comparison.

    Parameters
    ----------
    seeds : int
    families : int
        Number of families of `MODELS` models, for each effect.
    """
    effects = sorted([*EFFECTS, minimum_detectable_effect(seeds, ALPHA)])
    values = generator("power", seeds).normal(0, np.sqrt(0.5), (families, MODELS, 2, seeds, len(effects)))
    values[:, :, 1] += effects  # both arms vary by a half, so a delta has the variance 1
    names = [f"effect {effect:g}" for effect in effects]
    frame = compared(values, names)
    frame = frame.assign(below=frame["p"] < ALPHA)
    counts = frame.groupby("metric")[["below", "significant"]].sum().loc[names]
    of = families * MODELS
    return [
        Power(seeds, effect, Rate(int(below), of), Rate(int(starred), of))
        for effect, below, starred in zip(effects, counts["below"], counts["significant"], strict=True)
    ]


def floors(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Return, by number of seeds, the smallest p of the exact tests and the smallest effects that are found.

    ``sign_flip`` and ``wilcoxon`` are the p of deltas that all point one way; ``detectable`` is the effect that one
    test finds with power 0.8, ``detectable_alone`` what it takes for a dagger on a family's only model with an effect.
    """
    rows = []
    for n in seeds:
        unanimous = np.arange(1.0, n + 1)
        rows.append(
            {
                "seeds": n,
                "sign_flip": sign_flip(unanimous).p,
                "wilcoxon": wilcoxon(unanimous, level="seeds").p,
                "detectable": minimum_detectable_effect(n, ALPHA),
                "detectable_alone": minimum_detectable_effect(n, ALPHA / MODELS),
            }
        )
    return rows
