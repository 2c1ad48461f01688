"""How far does a linear classifier come on each modality alone? ``python -m benchmarks.linear_probe FILE DATASET``.

Logistic regression on the utterance mean of one modality tells positive from negative utterances; it is trained on the
training split and scored on all three. A modality that does far better on the validation than on the test split has
seen the validation labels in some way, and a model selected by its validation loss will be selected wrongly.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from harness.data import Split, load_definition, open_features
from harness.spec import MODALITIES, Modality


def utterance_means(split: Split, modality: Modality) -> NDArray[Any]:
    """Return one vector an utterance, (N, d): the mean over steps that are not padding."""
    values = np.nan_to_num(np.asarray(split.arrays[modality], dtype=np.float64), posinf=0.0, neginf=0.0)
    steps = (np.abs(values).sum(axis=2) > 0).sum(axis=1, keepdims=True)
    means: NDArray[Any] = values.sum(axis=1) / np.maximum(steps, 1)
    return means


def probe(splits: dict[str, Split], modality: Modality) -> dict[str, float]:
    """Return the accuracy on each split, utterances with a zero label left out."""
    data = {}
    for name, split in splits.items():
        label = np.asarray(split.labels["regression"])
        data[name] = utterance_means(split, modality)[label != 0], label[label != 0] > 0
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.1)).fit(*data["train"])
    return {name: float(classifier.score(*pair)) for name, pair in data.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("dataset", help="a shipped definition's name, or a YAML file")
    args = parser.parse_args()
    definition = load_definition(args.dataset)
    with tempfile.TemporaryDirectory() as cache:
        features = open_features(args.file, definition, next(iter(definition.settings)), Path(cache))
        print(f"{'':8}" + "".join(f"{name:>8}" for name in features.splits))
        for modality in MODALITIES:
            scores = probe(dict(features.splits), modality)
            print(f"{modality:8}" + "".join(f"{100 * scores[name]:8.1f}" for name in features.splits))


if __name__ == "__main__":
    main()
