"""Synthetic feature files in MMSA's format: true widths and groups of a data set, made-up content.

They let every part of the harness run without data. What makes them a fair playground for the fine-grained method
is stated in :func:`plan` and :func:`generate`; no number from them says anything about a real data set, and every
id and text in them says *synthetic*.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from harness.data.storage import make_folder, need_space, write_atomically
from harness.sources import fingerprint_of
from harness.spec import MODALITIES, SPLITS, DatasetSpec, Modality, SyntheticSpec

__all__ = ["SyntheticGroup", "generate", "plan", "synthetic_file_name", "write_pickle"]

_STREAM = 1  # sets these draws apart from others that start at the same seed
_CLIPS_PER_VIDEO = 8
_SCALES = (1e-2, 1e2)
_SAMPLE_NOISE = 0.9  # standard deviation of a group's reading of the label, in units of half the label range
_STEP_NOISE = 1.0  # of one feature at one time step, in the same units
_CLS, _SEP, _FIRST_WORD, _WORDS = 101, 102, 2000, 240
_CLASS_NAMES = np.array(["Negative", "Neutral", "Positive"])


@dataclass(frozen=True)
class SyntheticGroup:
    """What one sub-feature group of a synthetic set holds.

    ``columns`` are its places in the feature vector, ``scale`` what its values are multiplied with, ``informative``
    whether it carries the label (of its modality, where there are unimodal labels) or a distractor of the same form.
    """

    modality: Modality
    name: str
    columns: range
    scale: float
    informative: bool


def plan(definition: DatasetSpec) -> tuple[SyntheticGroup, ...]:
    """Return which groups carry the label and on which scale each stands: decided by the definition and its seed.

    Within a modality the scales run evenly (in decades) from 1e-2 to 1e2 and are dealt to the groups in random
    order; half of the groups, rounded up, are informative. A modality without named groups is cut in half: one half
    informative, one not, both on scale 1. Text is always such a modality.
    """
    seed = (definition.synthetic or SyntheticSpec()).seed
    rng = np.random.default_rng([seed, _STREAM])
    groups: list[SyntheticGroup] = []
    for modality in MODALITIES:
        named = dict(_named_groups(definition).get(modality, {}))
        if not named:
            half = (definition.widths[modality] + 1) // 2
            named = {"signal": half, "rest": definition.widths[modality] - half}
            scales, informative = [1.0, 1.0], {0}
        else:
            low, high = (math.log10(scale) for scale in _SCALES)
            steps = [low + (high - low) * i / max(1, len(named) - 1) for i in range(len(named))]
            scales = [10.0 ** steps[int(i)] for i in rng.permutation(len(named))]
            informative = {int(i) for i in rng.permutation(len(named))[: (len(named) + 1) // 2]}
        start = 0
        for i, (name, width) in enumerate(named.items()):
            columns = range(start, start + width)
            groups.append(SyntheticGroup(modality, name, columns, scales[i], i in informative))
            start += width
    return tuple(groups)


def _named_groups(definition: DatasetSpec) -> Mapping[Modality, Mapping[str, int]]:
    return {modality: groups for modality, groups in definition.groups.items()}  # noqa: C416 -- widens the key's type


def generate(definition: DatasetSpec) -> dict[str, Any]:
    """Draw a feature file's content: a dictionary of splits as MMSA's loader expects it.

    Widths, groups, label range and unimodal labels are the definition's; sequence lengths, sample counts, noise and
    seed those of its ``synthetic`` block. The labels stand on the data set's grid (multiples of 0.2 for the
    ``sims`` convention, of 1/3 for ``mosei``), spread evenly over the range with zero among them; each class label
    is the sign of its score. Every informative group reads the label with an error of its own that stays the same
    over the utterance, and adds noise at every time step, so that a model learns by joining groups and time steps
    but never perfectly. A distractor group looks the same and reads a number that has nothing to do with the label.
    Utterances have lengths of their own; text is padded in front, everything else behind, with zeros.

    The same definition gives the same arrays; nothing but elementary arithmetic and numpy's generators is used.

    Returns
    -------
    dict
        ``train``, ``valid``, ``test``; each with ``id``, ``raw_text``, ``text`` (N, L, d), ``text_bert`` (N, 3, L),
        ``audio`` and ``vision`` (N, L, d) float32, ``audio_lengths``, ``vision_lengths``, ``annotations``,
        ``regression_labels`` (N,) float32, ``classification_labels`` (N,) int64, and, for a data set that has them,
        both kinds of labels with the suffixes ``_T``, ``_A``, ``_V``.
    """
    spec = definition.synthetic or SyntheticSpec()
    rng = np.random.default_rng([spec.seed, _STREAM, 1])
    groups = plan(definition)
    loadings = {(g.modality, g.name): rng.standard_normal(len(g.columns), dtype=np.float32) for g in groups}
    data: dict[str, Any] = {}
    first_video = 0
    for split in SPLITS:
        count = spec.samples.get(split, 1)
        data[split] = _split(definition, spec, groups, loadings, rng, count, first_video)
        first_video += -(-count // _CLIPS_PER_VIDEO)  # a video belongs to one split, as in the real sets
    return data


def _split(
    definition: DatasetSpec,
    spec: SyntheticSpec,
    groups: tuple[SyntheticGroup, ...],
    loadings: dict[tuple[Modality, str], NDArray[np.float32]],
    rng: np.random.Generator,
    count: int,
    first_video: int,
) -> dict[str, Any]:
    names = [f"synthetic_{first_video + i // _CLIPS_PER_VIDEO:03d}$_${i % _CLIPS_PER_VIDEO}" for i in range(count)]
    labels = _labels(definition, rng, count)
    low, high = definition.label_range
    out: dict[str, Any] = {
        "id": np.array(names),
        "raw_text": np.array([f"synthetic utterance {name}: no words were spoken" for name in names]),
    }
    for modality, letter in zip(MODALITIES, "TAV", strict=True):
        aim = labels[letter] if definition.unimodal_labels else labels["M"]
        reading = ((aim - (low + high) / 2) / ((high - low) / 2)).astype(np.float32)
        length = spec.lengths[modality]
        lengths = rng.integers(max(1, (length + 1) // 2), length + 1, size=count)
        mine = [group for group in groups if group.modality == modality]
        values = np.empty((count, length, definition.widths[modality]), np.float32)
        for group in mine:
            _fill(values, group, loadings[modality, group.name], reading, spec.noise, rng)
        steps = np.arange(length)
        if modality == "text":
            values[steps[None, :] < length - lengths[:, None]] = 0
            out["text_bert"] = _tokens(rng, reading, lengths, length)
        else:
            values[steps[None, :] >= lengths[:, None]] = 0
            out[f"{modality}_lengths"] = [int(n) for n in lengths]
        out[modality] = values
    out["annotations"] = _CLASS_NAMES[_classes(labels["M"])]
    suffixes = ("M", "T", "A", "V") if definition.unimodal_labels else ("M",)
    for letter in suffixes:
        suffix = "" if letter == "M" else f"_{letter}"
        out[f"regression_labels{suffix}"] = labels[letter].astype(np.float32)
        out[f"classification_labels{suffix}"] = _classes(labels[letter])
    return out


def _fill(
    values: NDArray[np.float32],
    group: SyntheticGroup,
    loading: NDArray[np.float32],
    reading: NDArray[np.float32],
    noise: float,
    rng: np.random.Generator,
) -> None:
    """Write one group's columns of `values` (N, L, d)."""
    count, length, _ = values.shape
    error = np.float32(_SAMPLE_NOISE * noise) * rng.standard_normal(count, dtype=np.float32)
    source = reading if group.informative else rng.permutation(reading)
    strength = 2 * rng.random((count, length, 1), dtype=np.float32)  # the signal comes and goes; its mean is 1
    block = rng.standard_normal((count, length, len(group.columns)), dtype=np.float32)
    block *= np.float32(_STEP_NOISE * noise)
    block += (source + error)[:, None, None] * strength * loading
    block *= np.float32(group.scale)
    values[:, :, group.columns.start : group.columns.stop] = block


def _grid(definition: DatasetSpec) -> NDArray[np.float64]:
    """The values a label can take: multiples of 1/5 (sims) or 1/3 (mosei) within the range."""
    parts = 5 if definition.convention == "sims" else 3
    low, high = definition.label_range
    grid = np.arange(math.ceil(low * parts - 1e-9), math.floor(high * parts + 1e-9) + 1) / parts
    return grid if len(grid) > 1 else np.array([low, high])


def _labels(definition: DatasetSpec, rng: np.random.Generator, count: int) -> dict[str, NDArray[np.float64]]:
    grid = _grid(definition)
    # Evenly spread instead of drawn: a split of a dozen samples still has every sign.
    spread = (np.arange(count) * 2 + 1) * len(grid) // (2 * count)
    place = rng.permutation(spread)
    labels = {"M": grid[place]}
    for letter in "TAV":  # a modality alone can say a little more or less than the whole
        labels[letter] = grid[np.clip(place + rng.integers(-2, 3, size=count), 0, len(grid) - 1)]
    return labels


def _classes(labels: NDArray[np.float64]) -> NDArray[np.int64]:
    return (np.sign(labels) + 1).astype(np.int64)


def _tokens(
    rng: np.random.Generator, reading: NDArray[np.float32], lengths: NDArray[np.int64], length: int
) -> NDArray[np.float32]:
    """Token ids, mask and segments as a BERT tokenizer writes them: ``[CLS] words [SEP]``, zeros behind.

    The higher the label, the more words come from the upper half of a small vocabulary.
    """
    bert = np.zeros((len(lengths), 3, length), np.float32)
    words = _FIRST_WORD + rng.integers(0, _WORDS // 2, size=(len(lengths), length))
    words += _WORDS // 2 * (rng.random((len(lengths), length)) < (reading[:, None] + 1) / 2)
    inside = np.arange(length)[None, :] < lengths[:, None]
    bert[:, 0][inside] = words[inside]
    bert[:, 1][inside] = 1
    bert[np.arange(len(lengths)), 0, lengths - 1] = _SEP
    bert[:, 0, 0] = _CLS
    return bert


def synthetic_file_name(definition: DatasetSpec) -> str:
    """Return the name of a synthetic set's file: it changes with the definition and with the code in this module."""
    fields = ("convention", "label_range", "widths", "groups", "unimodal_labels", "synthetic")
    asked = {"sources": _sources()} | {k: v for k, v in definition.model_dump(mode="json").items() if k in fields}
    # Not sorted: the order of the groups is the order of the columns.
    digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    prefix = "" if "synthetic" in definition.name else "synthetic-"
    return f"{prefix}{definition.name}-{digest}.pkl"


@functools.cache
def _sources() -> str:
    here = Path(__file__)
    return fingerprint_of([here], here.parent)


def write_pickle(data: dict[str, Any], path: Path) -> None:
    """Write a feature file in MMSA's format (pickle protocol 4), whole or not at all.

    Raises
    ------
    StoreError
        If the folder cannot be written or the disk is too full.
    """
    size = sum(v.nbytes for split in data.values() for v in split.values() if isinstance(v, np.ndarray))
    need_space(make_folder(path.parent), size, "writing the feature file")

    def write(file: IO[bytes]) -> None:
        pickle.dump(data, file, protocol=4)

    write_atomically(path, write)
