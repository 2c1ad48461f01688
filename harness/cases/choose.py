"""Which utterances a case study shows, and what the two arms say of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from harness.comparison.pairs import CellRuns, cell_name, cells_of
from harness.errors import InputError
from harness.metrics import CLASSES
from harness.results import Predictions, Results
from harness.spec import Task
from harness.wording import counted, listing

if TYPE_CHECKING:
    from harness.plan import Plan

__all__ = ["PAPER_MODEL", "Case", "CaseStudy", "Group", "Side", "case_studies", "case_study"]

Group = Literal["largest gain", "middle", "largest loss", "picked"]

_PICKED = "Picked by hand: what such cases show holds for them alone."

PAPER_MODEL = "MulT"
"""The model of the paper's Table 9; a suite without it shows its first model that has both variants."""


@dataclass(frozen=True)
class Side:
    """One arm on one utterance, over seeds.

    ``mean`` and ``sd`` (ddof 1, NaN with one seed) are of the predicted score, in classification of the probability of
    the true class; ``error`` is what a case is ranked by: the distance of the mean from the truth, or one minus the
    mean probability. ``said`` is the class that most seeds predict, empty in regression.
    """

    mean: float
    sd: float
    error: float
    said: str = ""


@dataclass(frozen=True)
class Case:
    """One utterance: ``gain`` is the error of the baseline minus that of the variant, so + is an improvement."""

    id: str
    group: Group
    truth: str
    baseline: Side
    variant: Side

    @property
    def gain(self) -> float:
        """How much nearer to the truth the variant is."""
        return self.baseline.error - self.variant.error


@dataclass(frozen=True)
class CaseStudy:
    """The cases of one model on one data set and task.

    Attributes
    ----------
    dataset, task, model : str
    synthetic : bool
    names : tuple of str
        The two arms as tables name them.
    seeds : tuple of int
        What the predictions are averaged over.
    cases : tuple of Case
        Gains first, then the middle, then losses; in the order asked for where they were picked by hand.
    utterances : int
        How many there were to choose from.
    better : float
        Share of them on which the variant is nearer to the truth.
    median_gain : float
    rule : str
        How the cases were chosen, as a sentence.
    """

    dataset: str
    task: Task
    model: str
    synthetic: bool
    names: tuple[str, str]
    seeds: tuple[int, ...]
    cases: tuple[Case, ...]
    utterances: int
    better: float
    median_gain: float
    rule: str


def case_studies(
    results: Results, plan: Plan, *, model: str | None = None, count: int = 2, ids: Sequence[str] = ()
) -> tuple[CaseStudy, ...]:
    """Return one case study for each data set and task of a plan that has a model with finished runs on both sides.

    Parameters
    ----------
    results : Results
    plan : Plan
        Its baseline is compared with -fg, or where that is not in the plan with the first variant that is.
    model : str, optional
        Whose predictions to show; the paper's, `PAPER_MODEL`, or else the first that can be shown.
    count : int
        How many largest gains, middle cases and largest losses.
    ids : sequence of str
        Utterances picked by hand instead.

    Raises
    ------
    InputError
        If the model cannot be shown anywhere, or no data set has an utterance of one of the ids.
    """
    found = []
    cells = cells_of(results.values)
    for dataset, task in dict.fromkeys((cell.names["dataset"], cell.names["task"]) for cell in cells):
        here = [cell for cell in cells if (cell.names["dataset"], cell.names["task"]) == (dataset, task)]
        arms = _arms(here, plan.suite.report.baseline, model)
        if arms is not None:
            found.append((arms, task))
    if model is not None and not found:
        raise InputError(
            f"there are no predictions of {model} to show in two variants",
            where=f"suite {plan.suite.name}",
            hint="name a model whose original and -fg runs are done, or leave the model out",
        )
    known = {sample for arms, _ in found for sample in _shared(results, *arms)[0].ids} if ids else set()
    if unknown := [sample for sample in ids if sample not in known]:
        raise InputError(
            f"no test utterance has the id {', '.join(map(repr, unknown))}",
            where="--ids",
            hint=f"ids look like {sorted(known)[0]!r}" if known else "no data set of the suite has finished runs",
        )
    studies = (case_study(results, *arms, count=count, ids=ids) for arms, _ in found)
    return tuple(study for study in studies if study.cases)


def case_study(
    results: Results, baseline: CellRuns, variant: CellRuns, *, count: int = 2, ids: Sequence[str] = ()
) -> CaseStudy:
    """Choose the cases of two cells and average their predictions over the seeds that both have.

    Without `ids`: of all test utterances the `count` with the largest gain, the `count` nearest to the median gain, and
    the `count` with the largest loss, so that gains never stand alone; equal gains go by id. An utterance stands once.
    """
    labels, read = _shared(results, baseline, variant)
    ours, theirs = (_sides(labels, [both[side] for both in read.values()]) for side in (0, 1))
    # Rounded, so that gains that are equal on paper are not ranked by their last bits.
    gains = np.round([a.error - b.error for a, b in zip(ours, theirs, strict=True)], 9)
    names = baseline.names
    chosen = list(_picked(labels, ids, gains.size) if ids else _chosen(gains, count))
    return CaseStudy(
        dataset=str(names["dataset"]),
        task=labels.task,
        model=str(names["model"]),
        synthetic=bool(names["synthetic"]),
        names=(_name(baseline), _name(variant)),
        seeds=tuple(read),
        cases=tuple(Case(str(labels.ids[i]), group, _truth(labels, i), ours[i], theirs[i]) for i, group in chosen),
        utterances=gains.size,
        better=float(np.mean(gains > 0)) if gains.size else float("nan"),
        median_gain=float(np.median(gains)) if gains.size else float("nan"),
        rule=_PICKED if ids else _rule([group for _, group in chosen], gains.size),
    )


def _arms(cells: Sequence[CellRuns], baseline: str, model: str | None) -> tuple[CellRuns, CellRuns] | None:
    """Return the two cells to show, or None where no model has both."""
    by_name = {(cell.names["model"], cell.names["variant"]): cell for cell in reversed(cells)}
    models = list(dict.fromkeys(cell.names["model"] for cell in cells))
    preferred = [model] if model else [*(m for m in models if m == PAPER_MODEL), *models]
    for name in preferred:
        one = by_name.get((name, baseline))
        for variant in ("fg", "a", "v"):
            other = by_name.get((name, variant))
            if one and other and variant != baseline and set(one.runs) & set(other.runs):
                return one, other
    return None


def _shared(
    results: Results, baseline: CellRuns, variant: CellRuns
) -> tuple[Predictions, dict[int, tuple[Predictions, Predictions]]]:
    """Return labels and ids, and by seed what both cells predict, as far as for those utterances and finite."""
    read = {
        seed: (results.predictions[baseline.runs[seed]], results.predictions[variant.runs[seed]])
        for seed in baseline.runs
        if seed in variant.runs
    }
    labels = next(iter(read.values()))[0]
    return labels, {
        seed: both
        for seed, both in read.items()
        if all(np.array_equal(one.ids, labels.ids) and np.isfinite(one.pred).all() for one in both)
    }


def _sides(labels: Predictions, runs: Sequence[Predictions]) -> list[Side]:
    if not runs:
        return []
    stacked = np.stack([run.pred for run in runs]).astype(np.float64)
    if labels.task == "regression":
        means, spreads = stacked.mean(axis=0), _spread(stacked)
        errors = np.abs(means - labels.label)
        return [Side(float(m), float(s), float(e)) for m, s, e in zip(means, spreads, errors, strict=True)]
    of_truth = np.take_along_axis(softmax(stacked, axis=-1), labels.label.astype(np.int64)[None, :, None], axis=-1)[
        ..., 0
    ]
    votes = [np.bincount(column, minlength=len(CLASSES)).argmax() for column in stacked.argmax(axis=-1).T]
    means, spreads = of_truth.mean(axis=0), _spread(of_truth)
    return [
        Side(float(m), float(s), float(1 - m), CLASSES[vote]) for m, s, vote in zip(means, spreads, votes, strict=True)
    ]


def _spread(stacked: NDArray[np.float64]) -> NDArray[np.float64]:
    spread: NDArray[np.float64] = (
        stacked.std(axis=0, ddof=1) if stacked.shape[0] > 1 else np.full(stacked.shape[1], np.nan)
    )
    return spread


def _chosen(gains: NDArray[np.float64], count: int) -> Iterator[tuple[int, Group]]:
    if gains.size == 0:
        return
    # Ids are sorted and the sorts stable, so equal gains stand by id.
    best, worst = np.argsort(-gains, kind="stable"), np.argsort(gains, kind="stable")
    by_middle = np.argsort(np.round(np.abs(gains - np.median(gains)), 9), kind="stable")
    taken: set[int] = set()
    groups: list[tuple[Group, NDArray[np.intp]]] = [
        ("largest gain", best[gains[best] > 0]),
        ("largest loss", worst[gains[worst] < 0]),
        ("middle", by_middle),
    ]
    found: Mapping[Group, list[int]] = {"largest gain": [], "middle": [], "largest loss": []}
    for group, ranked in groups:
        for i in (int(i) for i in ranked):
            if len(found[group]) < count and i not in taken:
                found[group].append(i)
                taken.add(i)
    for group, members in found.items():
        yield from ((i, group) for i in members)


def _picked(labels: Predictions, ids: Sequence[str], scored: int) -> Iterator[tuple[int, Group]]:
    place = {str(sample): i for i, sample in enumerate(labels.ids[:scored])}
    for sample in dict.fromkeys(ids):
        if sample in place:
            yield place[sample], "picked"


def _truth(labels: Predictions, i: int) -> str:
    if labels.task == "classification":
        return CLASSES[int(labels.label[i])]
    return f"{labels.label[i]:.2f}"


def _rule(groups: Sequence[Group], utterances: int) -> str:
    """Say how the cases were chosen; where fewer gain or lose than were to be shown, or none, that too."""
    described: tuple[tuple[Group, str], ...] = (
        ("largest gain", "with the largest gain"),
        ("middle", "nearest to the median gain"),
        ("largest loss", "with the largest loss"),
    )
    counts = [(groups.count(group), words) for group, words in described]
    told = listing(
        [
            f"the {counted(count, 'utterance')} {words}" if count else f"none {words.replace('the largest', 'a')}"
            for count, words in counts
        ]
    )
    return f"Of {counted(utterances, 'test utterance')}, {told}; equal gains go by id. Nothing was picked by hand."


def _name(cell: CellRuns) -> str:
    return cell_name(cell.names["model"], cell.names["variant"])
