"""What is simulated, how often, and the list of jobs that it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.calibration import coverage, naive, power, stars
from benchmarks.calibration.simulation import ACCURACY, COLLAPSE, NEGATIVE, ROOT_SEED, SHARES, Noise, Setting, agreement
from harness.data import load_definition
from harness.statistics import SEEDS_DOMINATE

__all__ = ["FULL", "QUICK", "Job", "Plan", "jobs", "settings"]

SEEDS = (3, 5, 10, 20)
SEED_SDS = (0.6, 1.2, 2.5, 5.0)
USUAL = 1.2
FLOORS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20)
SIMS, MOSI, MOSEI = ((load_definition(name).samples or {})["test"] for name in ("sims", "mosi", "mosei"))


@dataclass(frozen=True)
class Plan:
    """Repetitions of each part.

    Attributes
    ----------
    promised, reported : int
        Tables of models, each a family per metric: where the rate of false daggers is promised, and elsewhere.
    coverage : int
        Test sets of each setting.
    methods : int
        Studies for the comparison of methods.
    power : int
        Families of models for each effect.
    resamples : int
        Of each interval.
    """

    promised: int
    reported: int
    coverage: int
    methods: int
    power: int
    resamples: int

    def repeated(self, repetitions: int) -> Plan:
        """Return the plan with so many tables, test sets and studies."""
        half = max(1, repetitions // 2)
        return replace(self, promised=repetitions, reported=half, coverage=repetitions, methods=repetitions)


FULL = Plan(promised=600, reported=250, coverage=800, methods=1000, power=100, resamples=coverage.RESAMPLES)
QUICK = Plan(promised=10, reported=5, coverage=20, methods=20, power=2, resamples=200)


@dataclass(frozen=True)
class Job:
    """One call that makes rows of one part; it can be sent to another process."""

    part: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return f"{self.part}: {', '.join(map(str, self.arguments))}"

    def rows(self) -> list[dict[str, Any]]:
        """Do it."""
        return [row if isinstance(row, dict) else row.as_json() for row in self.function(*self.arguments)]


def jobs(plan: Plan) -> list[Job]:
    """Return everything that a plan asks for, in the order of the figures."""
    return list(_jobs(plan))


def settings(plan: Plan) -> dict[str, Any]:
    """Return what the figures were made with."""
    return {
        "alpha": stars.ALPHA,
        "models": stars.MODELS,
        "repetitions": {name: getattr(plan, name) for name in ("promised", "reported", "coverage", "methods", "power")},
        "resamples": plan.resamples,
        "seeds_dominate": SEEDS_DOMINATE,
        "promised_noise_ratio": coverage.PROMISED_NOISE,
        "accuracy": ACCURACY,
        "larger_class": NEGATIVE,
        "shares": SHARES,
        "agreement": agreement(),
        "collapse": COLLAPSE,
        "items": {"sims": SIMS, "mosi": MOSI, "mosei": MOSEI},
        "root_seed": ROOT_SEED,
    }


def _jobs(plan: Plan) -> Iterator[Job]:
    for setting in _promised():
        yield Job("stars", stars.daggers, (setting, plan.promised, True))
    for setting in _reported():
        yield Job("stars", stars.daggers, (setting, plan.reported, False))
    for setting in _covered():
        yield Job("coverage", coverage.cover, (setting, plan.coverage, plan.resamples))
    for sd in SEED_SDS:
        yield Job("methods", naive.false_positives, (Setting(SIMS, 5, sd), plan.methods))
    for seeds in SEEDS:
        yield Job("methods", naive.coverage_over_seeds, (seeds, plan.methods))
    for seeds in SEEDS:
        yield Job("power", power.power_curve, (seeds, plan.power))
    yield Job("floors", power.floors, (FLOORS,))


def _promised() -> Iterator[Setting]:
    yield from (Setting(SIMS, 5, sd) for sd in SEED_SDS)
    yield from (Setting(SIMS, seeds, USUAL) for seeds in SEEDS if seeds != 5)
    yield from (Setting(items, 5, USUAL) for items in (MOSI, MOSEI))
    yield Setting(SIMS, 5, USUAL, shared=0.5)


def _reported() -> Iterator[Setting]:
    others: tuple[Noise, ...] = ("skewed", "collapsing", "variant skewed", "variant collapsing")
    yield from (Setting(SIMS, seeds, USUAL, noise=noise) for noise in others for seeds in SEEDS)
    yield from (Setting(SIMS, seeds, USUAL, profile="own") for seeds in SEEDS)


def _covered() -> Iterator[Setting]:
    yield from (Setting(SIMS, seeds, sd) for seeds in SEEDS for sd in SEED_SDS)
    yield from (Setting(items, 5, sd) for items in (MOSI, MOSEI) for sd in (USUAL, 2.5))
