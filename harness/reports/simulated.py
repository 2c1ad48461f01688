"""The simulated figures as tables and curves, each with what it was simulated from and how often."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from harness.reports.calibration import Calibration, Coverage, Family, Floor, Method, Power, Rate, Settings
from harness.reports.numbers import p_value, ratio
from harness.reports.power_figure import Curve, power_figure
from harness.reports.sheets import Head, Line, Sheet, heads, ruled
from harness.wording import listing

__all__ = ["Simulated", "simulated"]

_ANY = "any"
"""Stands for all metrics of a table together."""

_NOISE = {
    "normal": "normal",
    "skewed": "skewed",
    "collapsing": "1 in 20 collapses",
    "variant skewed": "variant skewed",
    "variant collapsing": "1 in 20 of the variant collapses",
}


@dataclass(frozen=True)
class Simulated:
    """What the page about the statistics shows of the simulations."""

    families: Sheet
    methods: Sheet
    coverage: Sheet
    over_seeds: Sheet
    floors: Sheet
    power: tuple[tuple[Markup, str], ...]


def simulated(found: Calibration) -> Simulated:
    """Return tables and curves of the simulated figures."""
    alpha, level = found.settings.alpha, found.level
    return Simulated(
        families=_families(found.stars, found.settings, level),
        methods=_methods([row for row in found.methods if row.measures == "false positives"], alpha, level),
        coverage=_coverage(found.coverage, found.settings, level),
        over_seeds=_over_seeds([row for row in found.methods if row.measures == "coverage"], alpha, level),
        floors=_floors(found.floors, found.settings),
        power=_power(found.power, found.settings, level),
    )


def _families(rows: Sequence[Family], used: Settings, level: float) -> Sheet:
    lines = []
    for setting, block in groupby(rows, key=_setting):
        here = [row for row in block if row.metric != _ANY]
        lines.append(
            Line(
                _NOISE.get(here[0].noise, here[0].noise),
                (
                    *setting[1:],
                    _range(row.family for row in here),
                    _range(row.unadjusted for row in here),
                    _range(row.single for row in here if row.single is not None),
                ),
                holds=all(row.promised for row in here),
            )
        )
    return Sheet(
        slug="statistics-families",
        caption=f"Simulated: false alarms in families of {used.models} models without any difference, in %.",
        about=(
            "Share of families in which at least one model gets a dagger: with Holm's adjustment, as the harness does, "
            f"and of the same tests without it; then the share of single tests with a p below {used.alpha:g}. Lowest "
            f"to highest of the metrics ({listing(_metrics(rows))}). Seed sd: standard deviation of an accuracy over "
            "seeds, in points. Profile kept: the variant changes nothing; own: it is right on other utterances, "
            "equally often, which on one test set is a small true difference that more seeds show. Shared: part of the "
            "seeds' variance that both arms have in common. Bold: where at most "
            f"{_percent(used.alpha)} is promised; the other lines look beyond. "
            f"{_repeated((row.family for row in rows), level)}"
        ),
        synthetic=False,
        first="Seeds' noise",
        columns=heads(*_SETTING, "Dagger (Holm)", "Unadjusted", "Single tests"),
        lines=tuple(lines),
    )


def _methods(rows: Sequence[Method], alpha: float, level: float) -> Sheet:
    ordered = sorted(rows, key=lambda row: (not row.ours, row.method))
    return Sheet(
        slug="statistics-methods",
        caption=f"Simulated: how often a method at {_percent(alpha)} finds a difference where there is none, in %.",
        about=(
            "Two arms that differ in their seeds alone, one comparison by Acc-2 on one test set. Bold: what the "
            "harness concludes from; the others are often seen and are what its rules keep out. "
            f"{_repeated((row.rate for row in rows), level)}"
        ),
        synthetic=False,
        first="Method",
        columns=heads("Utterances", "Seeds", "Seed sd", "False alarms", f"{_percent(level)} bounds"),
        lines=ruled(
            Line(
                row.method,
                (
                    *(_whole(row.items), str(row.seeds), "" if row.seed_sd is None else f"{row.seed_sd:g}"),
                    *(_points(row.rate.rate), _bounds(row.rate)),
                ),
                holds=row.ours,
            )
            for row in ordered
        ),
    )


def _coverage(rows: Sequence[Coverage], used: Settings, level: float) -> Sheet:
    lines = []
    ordered = sorted(rows, key=lambda row: (row.items, row.seed_sd, row.seeds, not row.promised))
    for (items, sd, seeds, promised), block in groupby(
        ordered, key=lambda row: (row.items, row.seed_sd, row.seeds, row.promised)
    ):
        here = list(block)
        cells = (
            *(str(seeds), listing(_metrics(here)), _range(row.shown for row in here)),
            *(_shares([row.by_t for row in here]), _shares([row.percentiles for row in here])),
            _shares([row.t for row in here]),
        )
        lines.append(Line(f"{_whole(items)}, {sd:g}", cells, holds=promised))
    return Sheet(
        slug="statistics-coverage",
        caption=(
            f"Simulated: how often a {_percent(1 - used.alpha)} interval holds the truth over other seeds and other "
            "utterances, in %."
        ),
        about=(
            "Shown: the interval that the harness shows, which is Student's t over seeds in the share of cases beside "
            "it, else the two-level bootstrap. Then either of them if it were always used. Lowest to highest of the "
            "metrics named, and of means, differences of variants with the original's profile, and with their own. "
            "More than the level is wide, less is wrong; t alone knows nothing of other utterances. Bold: where at "
            "least 93 % is promised, which is up to a seed sd of 2.5 points with 457 utterances and as much noise in "
            f"other metrics. Made with {used.resamples:,} resamples. {_repeated((row.shown for row in rows), level)}"
        ),
        synthetic=False,
        first="Utterances, seed sd",
        columns=heads("Seeds", Head("Metrics", words=True), "Shown", "of these t", "Two-level always", "t always"),
        lines=ruled(lines),
    )


def _over_seeds(rows: Sequence[Method], alpha: float, level: float) -> Sheet:
    return Sheet(
        slug="statistics-over-seeds",
        caption=f"Simulated: how often a {_percent(1 - alpha)} interval over seeds alone holds the mean, in %.",
        about=(
            f"Normal values, one per seed. Bold: {_percent(1 - alpha)} lies within the bounds or below them. "
            f"{_repeated((row.rate for row in rows), level)}"
        ),
        synthetic=False,
        first="Method",
        columns=heads("Seeds", "Coverage", f"{_percent(level)} bounds"),
        lines=ruled(
            Line(
                row.method,
                (str(row.seeds), _points(row.rate.rate), _bounds(row.rate)),
                holds=row.rate.high >= 1 - alpha,
            )
            for row in sorted(rows, key=lambda row: (not row.ours, row.method, row.seeds))
        ),
    )


def _floors(rows: Sequence[Floor], used: Settings) -> Sheet:
    return Sheet(
        slug="statistics-floors",
        caption="What a number of seeds can show.",
        about=(
            "Floors: the smallest two-sided p of the exact tests, reached when all deltas point one way. Detectable: "
            "the true mean delta, in standard deviations of the deltas, that is found with probability 0.8: by one "
            f"test at {used.alpha:g}, and as the only difference in a family of {used.models} models. Computed, not "
            "simulated."
        ),
        synthetic=False,
        first="Seeds",
        columns=heads("Sign-flip floor", "Wilcoxon floor", "Detectable, one test", f"Detectable, one of {used.models}"),
        lines=tuple(
            Line(
                str(row.seeds),
                (p_value(row.sign_flip), p_value(row.wilcoxon), ratio(row.detectable), ratio(row.detectable_alone)),
            )
            for row in rows
        ),
    )


def _power(rows: Sequence[Power], used: Settings, level: float) -> tuple[tuple[Markup, str], ...]:
    ordered = sorted((row for row in rows if not row.detectable), key=lambda row: (row.seeds, row.effect))
    by_seeds = {seeds: list(block) for seeds, block in groupby(ordered, key=lambda row: row.seeds)}
    single = [_curve(n, block, [row.single for row in block]) for n, block in by_seeds.items()]
    daggers = [_curve(n, block, [row.daggers for row in block]) for n, block in by_seeds.items()]
    return (
        (
            _drawn("power-single", "Power of a single test, by number of seeds", single, used.alpha),
            f"Simulated: share of single paired t tests at {used.alpha:g} that find a true mean delta, one curve per "
            "number of seeds. The lines: 0.8, the power that detectable deltas are stated for, and "
            f"{used.alpha:g}, what is found where nothing is there. {_repeated((row.single for row in rows), level)}",
        ),
        (
            _drawn("power-daggers", "Power of a dagger in a family, by number of seeds", daggers, None),
            f"Simulated: share of daggers (Holm) where all of {used.models} models have the effect. "
            f"{_repeated((row.daggers for row in rows), level)}",
        ),
    )


def _curve(seeds: int, rows: Sequence[Power], rates: Sequence[Rate]) -> Curve:
    return Curve(seeds, tuple(row.effect for row in rows), tuple(rate.rate for rate in rates))


def _drawn(name: str, title: str, curves: Sequence[Curve], alpha: float | None) -> Markup:
    # The figure is ours, and all its text is in this room: nothing in it was given from outside.
    return Markup(power_figure(name, title, curves, alpha=alpha))  # noqa: S704


_SETTING = ("Utterances", "Seeds", "Seed sd", "Profile", "Shared")


def _setting(row: Family) -> tuple[str, ...]:
    return row.noise, _whole(row.items), str(row.seeds), f"{row.seed_sd:g}", row.profile, f"{row.shared:g}"


def _metrics(rows: Iterable[Family | Coverage]) -> list[str]:
    return [metric for metric in dict.fromkeys(row.metric for row in rows) if metric != _ANY]


def _range(rates: Iterable[Rate]) -> str:
    return _shares([rate.rate for rate in rates])


def _shares(values: Sequence[float]) -> str:
    low, high = _points(min(values)), _points(max(values))
    return low if low == high else f"{low} to {high}"


def _bounds(rate: Rate) -> str:
    return f"{_points(rate.low)} to {_points(rate.high)}"


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _whole(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _repeated(rates: Iterable[Rate], level: float) -> str:
    """Say how many repetitions stand behind figures, and how far that leaves the vaguest of them open."""
    found = list(rates)
    few, many = min(rate.of for rate in found), max(rate.of for rate in found)
    vaguest = max(max(rate.rate - rate.low, rate.high - rate.rate) for rate in found)
    told = f"{few:,}" if few == many else f"{few:,} to {many:,}"
    return (
        f"Each figure comes from {told} repetitions; at {_percent(level)} none is off by more than "
        f"{100 * vaguest:.1f} points."
    )
