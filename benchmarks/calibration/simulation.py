"""Where the truth is known: utterances, seeds and models made up from one latent-score model.

An utterance has a label y and a difficulty d, both standard normal. A run (one model, arm and seed) of quality r
predicts ``r y + sqrt(1 - r^2) (sqrt(.6) d + sqrt(.1) g + sqrt(.3) e)`` with g and e standard normal too:

* d, the difficulty, is the same for all models, arms and seeds, so that runs agree on most utterances;
* g, the profile, belongs to a model: what it gets right and wrong by itself, whatever the seed;
* e is drawn for each run: what a seed does to single utterances.

Scores and labels are both cut at `CUT` for the accuracy and F1. Since both are standard normal with correlation r, the
values of all four metrics over all utterances are closed forms of r (`population`). A seed also moves the whole run: it
sets the run's accuracy over all utterances, on average `ACCURACY`, and r follows from that. The accuracy that is seen
on a test set varies more, by e.

The two arms of a comparison have equal accuracies over seeds and utterances, so no comparison has an effect. Either the
variant keeps the original's profile (it changes nothing: the null hypothesis of a test over seeds holds on every test
set), or it has a profile of its own (it gets other utterances right: the two are equal over all utterances, and on one
test set by chance a little apart).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from harness.statistics import ItemSums, accuracy_sums, correlation_sums, f1_sums, mean_sums

__all__ = [
    "ACCURACY",
    "COLLAPSE",
    "METRICS",
    "NEGATIVE",
    "ROOT_SEED",
    "SHARES",
    "Noise",
    "Profile",
    "Setting",
    "agreement",
    "generator",
    "item_sums",
    "noise_ratio",
    "population",
    "predict",
    "qualities",
    "true_means",
]

Floats = NDArray[np.float64]
Noise = Literal["normal", "skewed", "collapsing", "variant skewed", "variant collapsing"]
Profile = Literal["kept", "own"]

ROOT_SEED = 2026
ACCURACY = 0.80
NEGATIVE = 0.64
"""Share of the larger class, as on CH-SIMS with neutral utterances left out; on MOSEI it is the positive one, 63 %."""
CUT = float(special.ndtri(NEGATIVE))
SHARES = {"difficulty": 0.6, "profile": 0.1, "run": 0.3}
"""Of the variance of what a run gets wrong."""
COLLAPSE = {"chance": 0.05, "points": 15.0}
"""A collapsing run loses so much accuracy in one of twenty seeds; all others are better by what keeps the mean."""
METRICS = {"Acc-2": True, "F1": True, "MAE": False, "Corr": True}
"""The simulated metrics, and whether higher is better."""

_RANGE = (0.55, 0.98)
"""Accuracies are kept within these bounds; nothing but a seed sd of 5 points ever comes near them."""
_GRID = np.linspace(0.0, 0.9999, 4000)


@dataclass(frozen=True)
class Setting:
    """What a simulated study looks like.

    Attributes
    ----------
    items, seeds : int
        Test utterances, and seeds of each arm.
    seed_sd : float
        Standard deviation over seeds of the accuracy over all utterances, in points; what a collapse adds is not
        counted.
    noise : Noise
        How seeds are distributed: normal; ``skewed``, an exponential with its tail towards bad seeds;
        ``collapsing``, normal with `COLLAPSE`; both arms alike, or the variant alone beside a normal original.
        The deltas of arms that are alike are symmetric whatever their noise; those of the others are not.
    profile : {"kept", "own"}
        Whether the variant keeps the original's profile.
    shared : float
        Share of the seeds' variance that the two arms of a seed have in common, as runs that start from the same
        weights and see batches in the same order may.
    """

    items: int
    seeds: int
    seed_sd: float
    noise: Noise = "normal"
    profile: Profile = "kept"
    shared: float = 0.0


def generator(*names: object) -> np.random.Generator:
    """Return the generator of one part of the simulation: no part's draws depend on which others are made."""
    return np.random.default_rng([ROOT_SEED, zlib.crc32(repr(names).encode())])


def qualities(setting: Setting, models: int, rng: np.random.Generator) -> Floats:
    """Draw the quality r of every run, shape (2, models, seeds): originals, then variants."""
    shape = (models, setting.seeds)
    common = rng.standard_normal(shape)
    arms = []
    for arm in ("original", "variant"):
        noise: str = setting.noise
        if noise.startswith("variant"):
            noise = noise.removeprefix("variant ") if arm == "variant" else "normal"
        own = 1 - rng.exponential(size=shape) if noise == "skewed" else rng.standard_normal(shape)
        moved = setting.seed_sd * (np.sqrt(setting.shared) * common + np.sqrt(1 - setting.shared) * own)
        if noise == "collapsing":
            moved -= COLLAPSE["points"] * ((rng.random(shape) < COLLAPSE["chance"]) - COLLAPSE["chance"])
        arms.append(_quality(ACCURACY + moved / 100))
    return np.stack(arms)


def predict(label: Floats, difficulty: Floats, profile: Floats, quality: Floats, rng: np.random.Generator) -> Floats:
    """Draw the scores of the runs of one model and arm, shape (seeds, items); `quality` has the shape (seeds,)."""
    wrong = np.sqrt(SHARES["run"]) * rng.standard_normal((quality.size, label.size))
    wrong += np.sqrt(SHARES["difficulty"]) * difficulty + np.sqrt(SHARES["profile"]) * profile
    scores: Floats = quality[:, None] * label + np.sqrt(1 - quality[:, None] ** 2) * wrong
    return scores


def item_sums(label: Floats, pred: Floats) -> dict[str, ItemSums]:
    """Return `METRICS` of runs, scores of shape (runs, items), as the harness's sums over items."""
    truth, said = label > CUT, pred > CUT
    return {
        "Acc-2": accuracy_sums(truth, said),
        "F1": f1_sums(truth, said),
        "MAE": mean_sums(np.abs(pred - label)),
        "Corr": correlation_sums(label, pred),
    }


def population(quality: Floats) -> dict[str, Floats]:
    """Return `METRICS` over all utterances of runs of the given quality.

    Two standard normal scores with correlation r lie both below h with chance ``Phi(h) - 2 T(h, a)``, T being Owen's
    function and ``a = sqrt((1 - r) / (1 + r))``. Each kind of error then has chance 2 T; the classes are predicted as
    often as they occur, so that the weighted F1 is the accuracy. Label minus score is normal with variance 2 - 2 r.
    """
    accuracy = _agree(quality)
    return {"Acc-2": accuracy, "F1": accuracy, "MAE": 2 * np.sqrt((1 - quality) / np.pi), "Corr": quality}


def true_means(seed_sd: float) -> dict[str, float]:
    """Return the mean of `METRICS` over all utterances and all seeds, with normal seed noise."""
    return {metric: float(value.mean()) for metric, value in _seed_values(seed_sd).items()}


def agreement() -> dict[str, float]:
    """Return the share of utterances that two runs of accuracy `ACCURACY` put into the same class."""
    quality = float(_quality(np.array(ACCURACY)))
    common = {"other model": SHARES["difficulty"], "other seed": SHARES["difficulty"] + SHARES["profile"]}
    return {name: float(_agree(np.array(quality**2 + (1 - quality**2) * part))) for name, part in common.items()}


def noise_ratio(items: int, seed_sd: float) -> dict[str, float]:
    """Return, by metric, the sd over seeds (all utterances) over the sd over test sets (one run of mean quality).

    A seed sd in points is a number of an accuracy; this one says the same of every metric.
    """
    seeds = _seed_values(seed_sd)
    quality = float(_quality(np.array(ACCURACY)))
    hits = np.sqrt(ACCURACY * (1 - ACCURACY))
    errors = np.sqrt((1 - 2 / np.pi) * 2 * (1 - quality))
    one = {"Acc-2": hits, "F1": hits, "MAE": errors, "Corr": 1 - quality**2}
    return {metric: float(seeds[metric].std() * np.sqrt(items) / one[metric]) for metric in METRICS}


def _seed_values(seed_sd: float) -> dict[str, Floats]:
    """The metrics over all utterances at the quantiles of the seeds, with normal seed noise."""
    seeds = special.ndtri((np.arange(20_000) + 0.5) / 20_000)
    return population(_quality(ACCURACY + seed_sd * seeds / 100))


def _agree(correlation: Floats) -> Floats:
    """Chance that two standard normal scores with this correlation lie on the same side of `CUT`."""
    chance: Floats = 1 - 4 * special.owens_t(CUT, np.sqrt((1 - correlation) / (1 + correlation)))
    return chance


def _quality(accuracy: Floats) -> Floats:
    """The correlation that gives an accuracy over all utterances, from a table of `_agree`."""
    quality: Floats = np.interp(np.clip(accuracy, *_RANGE), _agree(_GRID), _GRID)
    return quality
