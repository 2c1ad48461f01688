"""Raw features on a t-SNE plane, arranged as in Fig. 2 of the paper: modalities as concatenated, sub-features apart.

Below each picture stand the silhouette between its clouds and, for each cloud, that of the classes of sentiment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data import Features, Split, cache_folder, load_features
from harness.errors import DataError
from harness.figures.embedding import MEASURED
from harness.figures.embedding_picture import draw_raw
from harness.figures.embedding_plane import STEPS, perplexity, plane
from harness.figures.figure import Drawing, Missing
from harness.figures.places import places
from harness.figures.separation import FloatArray, sample, sentiments, side_by_side, silhouette, standardised
from harness.figures.style import slug

if TYPE_CHECKING:
    from harness.plan import Plan, Source
    from harness.spec import DatasetSpec, NonVerbal

__all__ = ["cached_features", "raw_drawings"]

_Sources: TypeAlias = Mapping[tuple[str, str], Features]

_POINTS, _MEASURED_POINTS = 600, 1500
"""In a picture, and behind the silhouette between its clouds; divided among the clouds."""
_PER_CLOUD = 120
_MODALITIES: tuple[NonVerbal, ...] = ("audio", "vision")
_KIND = "features"
_COLUMNS = ["part", "panel", "cloud", "sentiment", "x", "y", "measure", "width", "n", "value", "note"]


def cached_features(plan: Plan, cache_dir: Path) -> dict[tuple[str, str], Features]:
    """Return the features of a plan's sources that have been converted here, by data set and setting.

    Nothing is converted: that may take minutes and many gigabytes, which no report should.

    Parameters
    ----------
    plan : Plan
        The expanded suite.
    cache_dir : Path
        Where converted files are kept.
    """
    found = {}
    for run in plan.runs:
        where = (run.data.dataset, str(run.data.setting))
        if where not in found:
            try:
                found[where] = load_features(cache_folder(cache_dir, run.data.sha256))
            except DataError:
                continue
    return found


def raw_drawings(features: _Sources, plan: Plan) -> Iterator[Drawing | Missing]:
    """Yield one figure per feature file, or why it cannot be drawn.

    Parameters
    ----------
    features : Mapping
        Data set and setting to its converted features, as `cached_features` finds them.
    plan : Plan
        The expanded suite.
    """
    for source in plan.sources:
        data = source.dataset
        place = next(place for place in places(plan) if place.dataset == data.name)
        title = f"{place.heading.removesuffix(f', {place.task}')}, {source.setting}: raw acoustic and visual features"
        held = features.get((data.name, str(source.setting)))
        if not data.splits("fg"):
            yield Missing(title, f"the definition of {data.title} names no sub-features", _KIND, place.slug)
        elif held is None:
            why = f"the converted features of {data.title} ({source.setting}) are not in the cache of this machine"
            yield Missing(title, why, _KIND, place.slug)
        else:
            yield _drawing(source, held, title, place.slug, place.warning)


def _drawing(source: Source, features: Features, title: str, place: str, warning: str) -> Drawing:
    data, utterances = source.dataset, len(features.splits["test"])
    asked = repr((features.sha256, data.groups, data.convention, version("scikit-learn")))
    prefix = "synthetic-" if data.synthetic and "synthetic" not in data.name else ""
    return Drawing(
        name=f"features-{prefix}{slug(data.name)}-{source.setting}",
        title=title,
        caption=_caption(data, utterances) + warning,
        draw=draw_raw,
        data=partial(_data, features.folder, data),
        key=sha256(asked.encode()).hexdigest(),
        kind=_KIND,
        place=place,
    )


def _caption(data: DatasetSpec, utterances: int) -> str:
    used = sorted({f"{perplexity(k * min(utterances, _room(k, _POINTS, _PER_CLOUD))):.3g}" for k in _sizes(data)})
    said = [
        "Arranged as Fig. 2 of the paper: (a) the concatenated features of each modality, (b) each named sub-feature "
        "by itself; one point is the mean of an utterance over its valid steps, or over all where their number is not "
        "known.",
        f"Utterances of the test split ({utterances}), at most {_PER_CLOUD} a cloud and {_POINTS} points a picture, "
        f"drawn at random once; t-SNE of scikit-learn ({STEPS} iterations, perplexity {' or '.join(used)}, start by "
        "PCA, fixed random state).",
        "Every column is standardised. Sub-features have no columns in common, so each cloud is scaled to mean squared "
        "norm 1 and gets coordinates of its own: that alone makes islands, and the silhouette between the clouds, in "
        "the original space, says how much distance there is behind them.",
        "The key gives the width of each cloud and the silhouette of the classes of sentiment (as Acc-3 has them) "
        f"within it, of at most {MEASURED} utterances: what it tells of sentiment by distance alone. Raw features are "
        "the same whatever the seed, so there is no interval over seeds.",
    ]
    return " ".join(said)


def _sizes(data: DatasetSpec) -> list[int]:
    """Return the number of clouds of each picture."""
    return [len(_MODALITIES), *(len(data.groups[m]) for m in data.splits("fg"))]


def _room(clouds: int, points: int, most: int) -> int:
    return min(most, points // clouds)


def _data(folder: Path, data: DatasetSpec) -> pd.DataFrame:
    """Return what is plotted and printed, from a converted feature file."""
    split = load_features(folder).splits["test"]
    kept = sample(len(split), MEASURED)
    feeling = sentiments("regression", data.convention, split.labels["regression"][kept])
    columns: dict[str, FloatArray] = {modality: standardised(_means(split, modality, kept)) for modality in _MODALITIES}
    panels: dict[str, dict[str, FloatArray]] = {"(a) concatenated": columns}
    for modality in data.splits("fg"):
        ends = np.cumsum(list(data.groups[modality].values()))[:-1]
        parts = np.split(columns[modality], ends, axis=1)
        panels[f"(b) {modality}"] = dict(zip(data.groups[modality], parts, strict=True))
    frames = [frame for panel, clouds in panels.items() for frame in _panel(panel, clouds, feeling)]
    return pd.concat(frames, ignore_index=True).reindex(columns=_COLUMNS)


def _means(split: Split, modality: str, kept: NDArray[np.intp]) -> FloatArray:
    """Return the mean of each kept utterance over its valid steps, or over all where the file has no lengths."""
    lengths = split.arrays.get(f"{modality}_lengths")
    if lengths is None:
        return np.asarray(split.arrays[f"{modality}_mean"][kept, 0], dtype=np.float64)
    steps = split.arrays[modality]
    return np.stack([np.mean(steps[i, : max(int(lengths[i]), 1)], axis=0, dtype=np.float64) for i in kept])


def _panel(panel: str, clouds: Mapping[str, FloatArray], feeling: NDArray[np.str_]) -> Iterator[pd.DataFrame]:
    """Yield the points of one picture, then its numbers."""
    kept = sample(feeling.size, _room(len(clouds), _POINTS, _PER_CLOUD))
    where, names = side_by_side({name: cloud[kept] for name, cloud in clouds.items()})
    placed = plane(where)
    if placed is not None:
        whole = [feeling[kept][np.isfinite(cloud[kept]).all(axis=1)] for cloud in clouds.values()]
        found = {"cloud": names, "sentiment": np.concatenate(whole), "x": placed[:, 0], "y": placed[:, 1]}
        yield pd.DataFrame(found).assign(part="point", panel=panel)
    kept = sample(feeling.size, _room(len(clouds), _MEASURED_POINTS, MEASURED))
    between = silhouette(*side_by_side({name: cloud[kept] for name, cloud in clouds.items()}))
    rows: list[tuple[object, ...]] = [("clouds", "", np.nan, between.n, between.value, between.note)]
    known = feeling != ""
    for name, cloud in clouds.items():
        within = silhouette(cloud[known], feeling[known])
        rows.append(("sentiment", name, cloud.shape[1], within.n, within.value, within.note))
    numbers = pd.DataFrame(rows, columns=["measure", "cloud", "width", "n", "value", "note"])
    yield numbers.assign(part="number", panel=panel)
