"""Learned unimodal representations on a t-SNE plane, arranged as in Fig. 5 of the paper, with numbers beside.

t-SNE keeps neighbours together and invents the rest: distances between its islands, and their sizes, mean nothing. So
every picture stands above silhouettes measured in the original space and over all seeds (`harness.figures.separation`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.figures.embedding_picture import draw
from harness.figures.embedding_plane import PERPLEXITY, STEPS, perplexity, plane
from harness.figures.figure import Drawing, Missing
from harness.figures.places import Place, places
from harness.figures.separation import (
    PLACE,
    over_seeds,
    paired,
    sample,
    sentiments,
    side_by_side,
    silhouette,
    spread,
)
from harness.spec import MODALITIES, Convention
from harness.wording import listing

if TYPE_CHECKING:
    from harness.plan import Plan
    from harness.results import Results

__all__ = ["MEASURED", "PICTURED", "PICTURES", "embedding_drawings"]

PICTURES = 20
"""t-SNE planes in a report at most; each takes most of a second."""
MEASURED, PICTURED = 300, 120
"""Utterances per modality behind a number, and in a picture; the latter are some of the former."""

_ROWS = 6  # fit a page
_VARIANTS = ("original", "fg")
_KIND = "embedding"


@dataclass(frozen=True, eq=False)
class _Run:
    """What one run learned about the measured utterances: one cloud per modality, all with the same rows."""

    seed: int
    variant: str
    sentiment: NDArray[np.str_]
    clouds: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class _Row:
    """A model: its runs in both variants. ``utterances`` counts the whole test split."""

    name: str
    place: tuple[str, str, str, str]
    utterances: int
    runs: tuple[_Run, ...]

    @property
    def seed(self) -> int:
        """The seed of the pictures: the first that all variants have, or just the first."""
        seeds = [{run.seed for run in self.runs if run.variant == variant} for variant in _VARIANTS]
        return min(set.intersection(*filter(None, seeds)) or set.union(*seeds))

    @property
    def key(self) -> str:
        """A hash of everything measured or pictured."""
        found = sha256(repr((self.name, self.place)).encode())
        for run in self.runs:
            found.update(repr((run.seed, run.variant, run.sentiment.tolist())).encode())
            for name, cloud in run.clouds.items():
                found.update(repr((name, cloud.shape, cloud.dtype.str)).encode())
                found.update(np.ascontiguousarray(cloud).tobytes())
        return found.hexdigest()


def embedding_drawings(results: Results, plan: Plan) -> Iterator[Drawing | Missing]:
    """Yield one figure per data set and task, or why it cannot be drawn.

    A row per model, in the order of the suite: the original beside -fg, coloured by modality and again by class of
    sentiment. Nothing is computed before the figure is drawn; what the runs learned is read, to know whether it
    changed.

    Parameters
    ----------
    results : Results
        What the records hold.
    plan : Plan
        The expanded suite.
    """
    here = list(places(plan))
    room = min(_ROWS, max(1, PICTURES // (len(_VARIANTS) * max(len(here), 1))))
    conventions = {cell.dataset.name: cell.dataset.convention for cell in plan.cells}
    for place in here:
        title = f"{place.heading}: learned unimodal representations"
        rows, left_out = _rows(results, place, conventions[place.dataset], room)
        if rows:
            yield _drawing(place, title, rows, left_out, plan.suite.report.alpha)
        else:
            reason = "; ".join(left_out) or "no run of an original or of -fg is done"
            yield Missing(title, reason, _KIND, place.slug)


def _rows(results: Results, place: Place, convention: Convention, room: int) -> tuple[list[_Row], list[str]]:
    """Return the models that get a row, and why others get none."""
    runs = results.runs
    asked = runs["variant"].isin(_VARIANTS) & (runs["status"] == "done")
    here = runs[asked & (runs["dataset"] == place.dataset) & (runs["task"] == place.task)]
    rows: list[_Row] = []
    without: list[str] = []
    crowded: list[str] = []
    for (model, setting), cell in here.groupby(["model", "setting"], sort=False):
        name = place.model(str(model), str(setting))
        if len(rows) == room:
            crowded.append(name)
        elif (row := _row(results, place, convention, name, cell)) is None:
            without.append(name)
        else:
            rows.append(row)
    said = []
    if without:
        said.append(f"{listing(without)} left no unimodal representations that can be read")
    if crowded:
        said.append(f"this figure has room for {room} models, without {listing(crowded)}")
    return rows, said


def _row(results: Results, place: Place, convention: Convention, name: str, cell: pd.DataFrame) -> _Row | None:
    found, utterances = [], 0
    for run in cell.itertuples():
        try:
            learned = results.learned[str(run.run_id)]
        except (HarnessError, OSError, ValueError, KeyError, TypeError):
            continue  # damaged since the results were collected; what is left still makes a picture
        clouds: dict[str, NDArray[np.float32]] = {
            m: learned.arrays[m] for m in MODALITIES if m in learned.arrays and learned.arrays[m].ndim == 2
        }
        if clouds:
            utterances = len(learned.ids)
            kept = sample(utterances, MEASURED)
            feeling = sentiments(place.task, convention, learned.label)[kept]
            chosen = {m: cloud[kept] for m, cloud in clouds.items()}
            found.append(_Run(int(str(run.seed)), str(run.variant), feeling, chosen))
    first = cell.iloc[0]
    where = (place.dataset, str(first["setting"]), str(place.task), str(first["model"]))
    return _Row(name, where, utterances, tuple(found)) if found else None


def _drawing(place: Place, title: str, rows: Sequence[_Row], left_out: Sequence[str], alpha: float) -> Drawing:
    key = sha256("".join(row.key for row in rows).encode()).hexdigest()
    return Drawing(
        name=f"embedding-{place.slug}",
        title=title,
        caption=_caption(place, rows, left_out, alpha),
        draw=partial(draw, alpha=alpha),
        data=partial(_data, tuple(rows), alpha),
        key=f"{key} scikit-learn {version('scikit-learn')} alpha {alpha}",
        kind=_KIND,
        place=place.slug,
    )


def _caption(place: Place, rows: Sequence[_Row], left_out: Sequence[str], alpha: float) -> str:
    utterances = max(row.utterances for row in rows)
    pictured, measured = min(utterances, PICTURED), min(utterances, MEASURED)
    points = max(len(_pictured(run)[0]) for row in rows for run in row.runs if run.seed == row.seed)
    used = f"{perplexity(points):.3g}" + (f" rather than {PERPLEXITY:g}" if perplexity(points) < PERPLEXITY else "")
    seeds = sorted({row.seed for row in rows})
    said = [
        "Arranged as Fig. 5 of the paper: a row per model, the original beside -fg, coloured by modality (left pair) "
        "and the same points by class of sentiment, as Acc-3 has them (right pair).",
        f"One seed per model ({listing([str(seed) for seed in seeds])}); {pictured} of {utterances} test utterances "
        f"per modality, drawn at random once; t-SNE of scikit-learn ({STEPS} iterations, perplexity {used}, start by "
        "PCA, fixed random state).",
        "Distances between islands and their sizes mean nothing. The numbers do: mean silhouettes in the original "
        f"space over all seeds, with the {1 - alpha:.0%} t interval, of {measured} utterances per modality (T text, "
        "A audio, V vision; n counts the seeds where some have no value), and the change from the original; a dagger "
        f"marks a change whose paired t over seeds holds at {alpha:g} after Holm over the models shown.",
        "Modalities have no coordinates in common: each is scaled to mean squared norm 1 and gets coordinates of its "
        "own, so that the silhouette between them rises as the spread inside them falls (spread: the share of the "
        "squared norm that is variance; 0 is one repeated point, whatever the utterance). That is no evidence of "
        "richer representations. The silhouette of sentiment within a modality needs no such choice.",
        *(f"{why[0].upper()}{why[1:]}." for why in left_out),
    ]
    return " ".join(said) + place.warning


def _data(rows: Sequence[_Row], alpha: float) -> pd.DataFrame:
    """Return what is plotted and printed: a row per point, per mean over seeds, and per change from the original."""
    points = pd.concat([_points(row, run) for row in rows for run in row.runs if run.seed == row.seed])
    measured = pd.DataFrame(
        [entry for row in rows for run in row.runs for entry in _measured(row, run)],
        columns=[*PLACE, "variant", "seed", "measure", "of", "value", "note"],
    )
    names = pd.DataFrame([(row.name, *row.place) for row in rows], columns=["row", *PLACE])
    means = over_seeds(measured, alpha).assign(part="mean")
    changes = paired(measured, alpha=alpha).assign(part="change")
    numbers = pd.concat([part for part in (means, changes) if len(part)])
    data = pd.concat([points, numbers.merge(names, on=PLACE)], ignore_index=True)
    first = ["part", "row", "variant", "seed", "modality", "sentiment", "x", "y", "measure", "of"]
    numeric = ["seeds", "mean", "sd", "low", "high", "p", "holm", "family", "note"]
    return data.reindex(columns=[*first, *numeric])


def _points(row: _Row, run: _Run) -> pd.DataFrame:
    where, modality, sentiment = _pictured(run)
    placed = plane(where)
    if placed is None:
        return pd.DataFrame([{"part": "point", "row": row.name, "variant": run.variant, "seed": run.seed}])
    return pd.DataFrame({"modality": modality, "sentiment": sentiment, "x": placed[:, 0], "y": placed[:, 1]}).assign(
        part="point", row=row.name, variant=run.variant, seed=run.seed
    )


def _pictured(run: _Run) -> tuple[NDArray[np.float64], NDArray[np.str_], NDArray[np.str_]]:
    """Return the pictured points in the common space, their modalities and their classes of sentiment."""
    kept = sample(run.sentiment.size, PICTURED)
    clouds = {name: cloud[kept] for name, cloud in run.clouds.items()}
    where, modality = side_by_side(clouds)
    whole = [run.sentiment[kept][np.isfinite(cloud).all(axis=1)] for cloud in clouds.values()]
    return where, modality, np.concatenate(whole)


def _measured(row: _Row, run: _Run) -> Iterator[tuple[object, ...]]:
    """Yield every measure of one run."""
    named = (*row.place, run.variant, run.seed)
    between = silhouette(*side_by_side(run.clouds))
    yield (*named, "modalities", "all", between.value, between.note)
    for name, value in between.groups.items():
        yield (*named, "modalities", name, value, "")
    known = run.sentiment != ""
    for name, cloud in run.clouds.items():
        yield (*named, "spread", name, spread(cloud), "")
        within = silhouette(cloud[known], run.sentiment[known])
        yield (*named, "sentiment", name, within.value, within.note)
