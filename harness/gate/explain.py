"""What a gate can and cannot see: a gate's silence is worth only what it could have seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from harness.errors import InputError
from harness.gate.baseline import Baseline, cell_key
from harness.gate.numbers import cell_order, cell_parts
from harness.gate.rows import EVERY, floor_of
from harness.gate.samples import mean_by_seed, meeting
from harness.spec import GateOptions
from harness.statistics import detectable_drift

__all__ = ["Sight", "seeds_for", "sights"]

_MOST_SEEDS = 200


@dataclass(frozen=True)
class Sight:
    """What the gate sees of one metric of one cell.

    Attributes
    ----------
    cell, metric : str
    mean, sd : float
        Of the baseline; accuracies and F1 as fractions.
    floor : float
        Losses up to this do not matter.
    shift : float
        The loss that turns red with the wished power, in the metric's unit.
    seeds : int or None
        Seeds on both sides, not shared, with which a loss of the wished margin turns red with that power; None where no
        margin was wished, or where not even 200 suffice.
    """

    cell: str
    metric: str
    mean: float
    sd: float
    floor: float
    shift: float
    seeds: int | None = None


def sights(
    baseline: Baseline,
    options: GateOptions,
    seeds: Iterable[int],
    *,
    power: float = 0.8,
    margin: float | None = None,
) -> Iterator[Sight]:
    """Yield what the gate sees of every metric of a baseline, at the level that is left when all count in one family.

    Parameters
    ----------
    baseline : Baseline
    options : GateOptions
    seeds : iterable of int
        Of the new runs.
    power : float
        Chance of finding it.
    margin : float, optional
        A loss that should be found, in the metric's unit; for it the seeds are worked out.

    Raises
    ------
    InputError
        If a power or margin makes no sense, or nothing is left to compare.
    """
    if not options.alpha < power < 1:
        raise InputError(f"the power must lie between alpha ({options.alpha:g}) and 1, not {power:g}", where="--power")
    if margin is not None and not (np.isfinite(margin) and margin > 0):
        raise InputError(f"the margin must be more than 0, not {margin:g}", where="--margin")
    chosen = [
        _Known(name, metric, known.mean, known.sd)
        for name, cell in sorted(baseline.cells.items(), key=lambda item: cell_order(item[0]))
        for metric, known in cell.metrics.items()
        if options.metrics is None or metric in options.metrics
    ]
    chosen = [*_means(baseline, {one.metric for one in chosen}), *chosen]
    if not chosen:
        raise InputError("the baseline has none of the metrics in gate.metrics", where=baseline.suite)
    n, m, paired = meeting(baseline.seeds, seeds)
    level = options.alpha / len(chosen)
    shifts: dict[float, float] = {}
    needed: dict[tuple[float, float], int | None] = {}
    for known in chosen:
        name, metric = known.cell, known.metric
        place = "/".join(name.split("/")[:2])
        floor = floor_of(metric, options, baseline.data[place].test)
        mean = np.nan if known.mean is None else known.mean
        sd = np.nan if known.sd is None else known.sd
        if not sd > 0:  # a spread that was never seen: the floor alone judges
            yield Sight(name, metric, mean, sd, floor, floor if sd == 0 else np.nan)
            continue
        # To two digits, so that rows with about the same noise share a simulation.
        relative = float(f"{floor / sd:.2g}")
        if relative not in shifts:
            shifts[relative] = detectable_drift(n, m, level, paired=paired, floor=relative, power=power)
        found = None
        if margin is not None:
            wished = float(f"{margin / sd:.2g}")
            if margin > floor and (wished, relative) not in needed:
                needed[wished, relative] = seeds_for(wished, level, floor=relative, power=power)
            found = needed.get((wished, relative))
        yield Sight(name, metric, mean, sd, floor, max(shifts[relative] * sd, floor), found)


@dataclass(frozen=True)
class _Known:
    """A metric of a cell, or of the mean of all cells."""

    cell: str
    metric: str
    mean: float | None
    sd: float | None


def _means(baseline: Baseline, metrics: Collection[str]) -> Iterator[_Known]:
    """Yield the means over all cells that `judge` compares besides, in order."""
    together: dict[tuple[str, str], list[dict[int, float]]] = {}
    for name, cell in sorted(baseline.cells.items(), key=lambda item: cell_order(item[0])):
        dataset, setting, task, *_ = cell_parts(name)
        for metric, known in cell.metrics.items():
            values = {int(seed): value for seed, value in known.values.items() if value is not None}
            if metric in metrics and len(values) == len(known.values):
                together.setdefault((cell_key((dataset, setting, task, EVERY, EVERY)), metric), []).append(values)
    for (name, metric), cells in together.items():
        means = list(mean_by_seed(cells).values())
        if len(cells) > 1 and means:
            sd = float(np.std(means, ddof=1)) if len(means) > 1 else None
            yield _Known(name, metric, float(np.mean(means)), sd)


def seeds_for(shift: float, level: float, *, floor: float = 0.0, power: float = 0.8) -> int | None:
    """Return the seeds on both sides, not shared, that find a loss; None above 200.

    `shift` and `floor`, up to which nothing is red, are in standard deviations of one run's seed noise.
    """

    def misses(seeds: int) -> bool:
        return detectable_drift(seeds, seeds, level, paired=False, floor=floor, power=power) > shift

    if shift <= floor or misses(_MOST_SEEDS):
        return None
    few, many = 1, _MOST_SEEDS
    while many - few > 1:
        middle = (few + many) // 2
        if misses(middle):
            few = middle
        else:
            many = middle
    return many
