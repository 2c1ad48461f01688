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
    "Ratios",
    "Repetition",
    "SideTimes",
    "Spread",
    "summarise",
]

SIDES = ("mmsa", "cold", "warm")
"""MMSA's own code; the harness with an empty cache; the harness with the feature file converted before."""


@dataclass(frozen=True)
class Repetition:
    """One repetition: seconds until each side has its imports, and its passes by model and side."""

    start_mmsa: float
    start_harness: float
    passes: Mapping[str, Mapping[str, Pass]]

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

    def seconds_at(self, epochs: int) -> float:
        """Return what a run of so many epochs takes, its side being started."""
        return self.besides + epochs * self.per_epoch


@dataclass(frozen=True)
class Ratios:
    """The harness's wall time over MMSA's: starts included, left out, and MMSA's fixed sleep left out as well."""

    ratio: Spread
    started: Spread
    started_without_sleep: Spread


@dataclass(frozen=True)
class ModelTimes:
    """One model's figures; an ``early_stop`` of None is MMSA's own."""

    model: str
    data: str
    target: bool
    early_stop: int | None
    repetitions: int
    runs: int
    epochs: tuple[int, ...]
    mmsa: SideTimes
    cold: SideTimes
    warm: SideTimes
    cold_ratio: Ratios
    warm_ratio: Ratios


def summarise(group: Group, model: str, workers: int, done: Sequence[Repetition]) -> ModelTimes:
    """Return one model's figures."""
    done = [repetition for repetition in done if model in repetition.passes]
    some = done[0].passes[model]["mmsa"]
    side = {name: _side(name, model, workers, done) for name in SIDES}
    return ModelTimes(
        model=model,
        data=group.data.name,
        target=group.target,
        early_stop=group.early_stop,
        repetitions=len(done),
        runs=len(some.runs),
        epochs=tuple(run.epochs for run in some.runs),
        mmsa=side["mmsa"],
        cold=side["cold"],
        warm=side["warm"],
        cold_ratio=_ratios("cold", model, workers, done),
        warm_ratio=_ratios("warm", model, workers, done),
    )


def _side(side: str, model: str, workers: int, done: Sequence[Repetition]) -> SideTimes:
    passes = [r.passes[model][side] for r in done]
    runs = [run for one in passes for run in one.runs]
    return SideTimes(
        seconds=Spread.of([_whole(r, side, model) for r in done]),
        started_seconds=Spread.of([one.seconds for one in passes]),
        not_training=Spread.of([one.share_not_training(workers) for one in passes]),
        per_epoch=statistics.median(run.training / run.epochs for run in runs),
        besides=statistics.median(run.seconds - run.training for run in runs),
    )


def _ratios(side: str, model: str, workers: int, done: Sequence[Repetition]) -> Ratios:
    def against(ours: Callable[[Repetition], float], theirs: Callable[[Repetition], float]) -> Spread:
        return _quotient([ours(r) for r in done], [theirs(r) for r in done])

    def awake(repetition: Repetition) -> float:
        one = repetition.passes[model]["mmsa"]
        return one.seconds - sum(run.sleep for run in one.runs) / min(workers, len(one.runs))

    return Ratios(
        ratio=against(lambda r: _whole(r, side, model), lambda r: _whole(r, "mmsa", model)),
        started=against(lambda r: r.passes[model][side].seconds, lambda r: r.passes[model]["mmsa"].seconds),
        started_without_sleep=against(lambda r: r.passes[model][side].seconds, awake),
    )


def _whole(repetition: Repetition, side: str, model: str) -> float:
    return repetition.start(side) + repetition.passes[model][side].seconds


def _quotient(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    return Spread.of([a / b for a, b in zip(ours, theirs, strict=True)])
