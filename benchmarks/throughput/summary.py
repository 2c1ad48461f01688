"""From repeated passes to the figures of part 1: medians, their spread, ratios within one repetition."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.throughput.runs import Pass
from benchmarks.throughput.settings import Group

__all__ = [
    "SIDES",
    "ModelTimes",
    "Overall",
    "Ratios",
    "Repetition",
    "SideTimes",
    "Spread",
    "summarise",
    "summarise_all",
]

SIDES = ("mmsa", "cold", "warm")
"""MMSA's own code; the harness with an empty cache; the harness with the feature file converted before."""


@dataclass(frozen=True)
class Repetition:
    """One repetition: seconds until each side has its imports, and its passes by (group, model) and side."""

    start_mmsa: float
    start_harness: float
    passes: Mapping[tuple[str, str], Mapping[str, Pass]]

    def start(self, side: str) -> float:
        """Return the start of a side."""
        return self.start_mmsa if side == "mmsa" else self.start_harness


@dataclass(frozen=True)
class Spread:
    """A figure over the repetitions."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise the values."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class SideTimes:
    """What one side took for the list of runs of one model.

    Parameters
    ----------
    seconds : Spread
        Wall time, the side's start (imports) included.
    started_seconds : Spread
        Wall time without it.
    not_training : Spread
        Share of the workers' time, start left out, that is not training and validation.
    per_epoch : float
        Seconds of an epoch's training and validation, median over all runs.
    besides : float
        Seconds of a run besides its epochs, median over all runs: loading, building, testing, writing, sleeping.
    """

    seconds: Spread
    started_seconds: Spread
    not_training: Spread
    per_epoch: float
    besides: float


@dataclass(frozen=True)
class Ratios:
    """The harness's wall time over MMSA's: starts included, left out, and MMSA's fixed sleep left out as well."""

    ratio: Spread
    started: Spread
    started_without_sleep: Spread


@dataclass(frozen=True)
class ModelTimes:
    """One model's figures."""

    model: str
    data: str
    target: bool
    early_stop: int | None
    runs: int
    epochs: tuple[int, ...]
    mmsa: SideTimes
    cold: SideTimes
    warm: SideTimes
    cold_ratio: Ratios
    warm_ratio: Ratios


@dataclass(frozen=True)
class Overall:
    """All models of a group together, one command a model, so the start counts once a model on both sides.

    Cold: the first model's command meets an empty cache, the others find it filled.
    """

    models: tuple[str, ...]
    mmsa: Spread
    cold: Spread
    warm: Spread
    cold_ratio: Spread
    warm_ratio: Spread


def summarise(group: Group, model: str, workers: int, done: Sequence[Repetition]) -> ModelTimes:
    """Return one model's figures."""
    key = (group.name, model)
    some = done[0].passes[key]["mmsa"]
    side = {name: _side(name, key, workers, done) for name in SIDES}
    return ModelTimes(
        model=model,
        data=group.name,
        target=group.target,
        early_stop=group.early_stop,
        runs=len(some.runs),
        epochs=tuple(run.epochs for run in some.runs),
        mmsa=side["mmsa"],
        cold=side["cold"],
        warm=side["warm"],
        cold_ratio=_ratios("cold", key, workers, done),
        warm_ratio=_ratios("warm", key, workers, done),
    )


def summarise_all(group: Group, done: Sequence[Repetition]) -> Overall:
    """Return the figures of all of a group's models together."""
    first, *others = [(group.name, model) for model in group.models]

    def total(kind: str) -> list[float]:
        rest = "warm" if kind == "cold" else kind
        return [_whole(r, kind, first) + sum(_whole(r, rest, key) for key in others) for r in done]

    mmsa, cold, warm = total("mmsa"), total("cold"), total("warm")
    return Overall(
        models=group.models,
        mmsa=Spread.of(mmsa),
        cold=Spread.of(cold),
        warm=Spread.of(warm),
        cold_ratio=_quotient(cold, mmsa),
        warm_ratio=_quotient(warm, mmsa),
    )


def _side(side: str, key: tuple[str, str], workers: int, done: Sequence[Repetition]) -> SideTimes:
    passes = [r.passes[key][side] for r in done]
    runs = [run for one in passes for run in one.runs]
    return SideTimes(
        seconds=Spread.of([_whole(r, side, key) for r in done]),
        started_seconds=Spread.of([one.seconds for one in passes]),
        not_training=Spread.of([one.share_not_training(workers) for one in passes]),
        per_epoch=statistics.median(run.training / run.epochs for run in runs),
        besides=statistics.median(run.seconds - run.training for run in runs),
    )


def _ratios(side: str, key: tuple[str, str], workers: int, done: Sequence[Repetition]) -> Ratios:
    def against(ours: Callable[[Repetition], float], theirs: Callable[[Repetition], float]) -> Spread:
        return _quotient([ours(r) for r in done], [theirs(r) for r in done])

    def awake(repetition: Repetition) -> float:
        one = repetition.passes[key]["mmsa"]
        return one.seconds - sum(run.sleep for run in one.runs) / min(workers, len(one.runs))

    return Ratios(
        ratio=against(lambda r: _whole(r, side, key), lambda r: _whole(r, "mmsa", key)),
        started=against(lambda r: r.passes[key][side].seconds, lambda r: r.passes[key]["mmsa"].seconds),
        started_without_sleep=against(lambda r: r.passes[key][side].seconds, awake),
    )


def _whole(repetition: Repetition, side: str, key: tuple[str, str]) -> float:
    return repetition.start(side) + repetition.passes[key][side].seconds


def _quotient(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    return Spread.of([a / b for a, b in zip(ours, theirs, strict=True)])
