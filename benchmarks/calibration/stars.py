"""Part 1: how often the harness puts a dagger on a difference that is not there, over whole families of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.calibration.rates import Rate
from benchmarks.calibration.simulation import METRICS, Floats, Setting, generator, item_sums, predict, qualities
from harness.comparison import contrasts
from harness.results import VALUE_COLUMNS
from harness.statistics import minimum_detectable_effect

__all__ = ["ALPHA", "MODELS", "FamilyRates", "compared", "daggers", "simulate_values", "values_frame"]

ALPHA = 0.05
MODELS = 14
"""Comparisons of a family: all models of the harness. The paper's 21 rows are two families, of 11 and of 10."""

_BATCH = 25
"""Families of one frame."""


@dataclass(frozen=True)
class FamilyRates:
    """False daggers in families of `MODELS` comparisons without an effect.

    Attributes
    ----------
    setting : Setting
    metric : str
        One of `METRICS`, each a family of its own; or ``any``: a dagger in any of the four families of a table.
    promised : bool
        Whether the rate of families is promised to be at most `ALPHA`.
    family : Rate
        Families with a dagger (the Holm-adjusted paired t).
    unadjusted : Rate
        Families with a p below `ALPHA` before adjustment, of the same tests.
    single : Rate or None
        Tests with a p below `ALPHA` before adjustment; none for ``any``.
    delta_sd : float or None
        Standard deviation of the per-seed delta on one test set (root of the mean variance), in units of the metric.
    """

    setting: Setting
    metric: str
    promised: bool
    family: Rate
    unadjusted: Rate
    single: Rate | None
    delta_sd: float | None

    def as_json(self) -> dict[str, Any]:
        """Return it as a row of the figures."""
        sd, seeds = self.delta_sd, self.setting.seeds
        return asdict(self.setting) | {
            "metric": self.metric,
            "promised": self.promised,
            "family": self.family.as_json(),
            "unadjusted": self.unadjusted.as_json(),
            "single": None if self.single is None else self.single.as_json(),
            "delta_sd": sd,
            "detectable": None if sd is None else sd * minimum_detectable_effect(seeds, ALPHA),
        }


def daggers(setting: Setting, repetitions: int, promised: bool) -> list[FamilyRates]:
    """Simulate tables of `MODELS` models, put them through the harness's own comparison, and count.

    Parameters
    ----------
    setting : Setting
    repetitions : int
        Number of tables, each with a family for every metric.
    promised : bool
        Whether the bound is promised in this setting.

    Returns
    -------
    list of FamilyRates
        One for each metric, then ``any``; Acc-2 and F1 alone where the seeds of the two arms vary differently: equal
        mean accuracies then are no equal means of MAE and Corr, which are curved functions of it.
    """
    rng = generator("stars", setting)
    found = []
    for start in range(0, repetitions, _BATCH):
        tables = [simulate_values(setting, MODELS, rng) for _ in range(min(_BATCH, repetitions - start))]
        found.append(compared(np.stack(tables), list(METRICS)).assign(batch=start))
    return list(_counted(setting, pd.concat(found), promised))


def simulate_values(setting: Setting, models: int, rng: np.random.Generator) -> Floats:
    """Return the `METRICS` of one table's runs, shape (models, 2 arms, seeds, metrics), all on the same utterances."""
    label, difficulty = rng.standard_normal((2, setting.items))
    quality = qualities(setting, models, rng)
    scores = []
    for model in range(models):
        own, other = rng.standard_normal((2, setting.items))
        for arm, profile in enumerate((own, own if setting.profile == "kept" else other)):
            scores.append(predict(label, difficulty, profile, quality[arm, model], rng))
    values = [sums.values() for sums in item_sums(label, np.concatenate(scores)).values()]
    return np.stack(values, axis=-1).reshape(models, 2, setting.seeds, len(METRICS))


def compared(values: Floats, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the harness's comparison of the two arms for values of shape (tables, models, 2, seeds, metrics)."""
    return contrasts(values_frame(values, metrics), alpha=ALPHA)


def values_frame(values: NDArray[np.float64], metrics: Sequence[str]) -> pd.DataFrame:
    """Return `harness.results.Results.values` of made-up runs; each table is a data set of its own.

    Parameters
    ----------
    values : array, shape (tables, models, 2, seeds, metrics)
        The original's values, then the variant's.
    metrics : sequence of str
        Names of the last axis; all but MAE are better when higher.
    """
    tables, models, _, seeds, _ = values.shape
    axes: dict[str, list[str | int]] = {
        "dataset": [f"table {i}" for i in range(tables)],
        "model": [f"model {i}" for i in range(models)],
        "variant": ["original", "fg"],
        "seed": [*range(1111, 1111 + seeds)],
        "metric": list(metrics),
    }
    frame = pd.MultiIndex.from_product(list(axes.values()), names=list(axes)).to_frame(index=False)
    runs = np.repeat(np.arange(values.size // len(metrics)), len(metrics))
    named: pd.DataFrame = frame.assign(
        setting="unaligned",
        task="regression",
        alias_of="",
        duplicate=False,
        synthetic=True,
        run_id=runs.astype(str),
        higher_is_better=frame["metric"].map(lambda name: METRICS.get(name, True)),
        value=values.ravel(),
        mmsa=np.nan,
    )
    return named[VALUE_COLUMNS]


def _counted(setting: Setting, frame: pd.DataFrame, promised: bool) -> list[FamilyRates]:
    frame = frame.assign(below=frame["p"] < ALPHA)
    families = frame.groupby(["metric", "batch", "dataset"])[["significant", "below"]].any()
    equal = ("Acc-2", "F1") if setting.noise.startswith("variant") else tuple(METRICS)
    rows = []
    for metric in equal:
        family, tests = families.loc[metric], frame[frame["metric"] == metric]
        rows.append(
            FamilyRates(
                setting,
                metric,
                promised,
                family=_rate(family["significant"]),
                unadjusted=_rate(family["below"]),
                single=_rate(tests["below"]),
                delta_sd=float(np.sqrt((tests["sd"] ** 2).mean())),
            )
        )
    if len(equal) == len(METRICS):
        whole = families.groupby(["batch", "dataset"]).any()
        rows.append(FamilyRates(setting, "any", False, _rate(whole["significant"]), _rate(whole["below"]), None, None))
    return rows


def _rate(events: pd.Series[bool]) -> Rate:
    return Rate(int(events.sum()), int(events.size))
