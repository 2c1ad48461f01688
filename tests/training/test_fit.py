"""Feature files that do not fit a run are found out before training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.data import Features, Split
from harness.errors import InputError
from harness.spec import DatasetSpec
from harness.training.fit import check_features
from tests.conftest import SMALL_SYNTHETIC
from tests.planned import planned_spec

Small = tuple[DatasetSpec, Features, Path]


class _Shortened(Split):
    """A split that says it has another number of samples."""

    count = 0

    def __len__(self) -> int:
        return self.count


def with_samples(features: Features, name: str, count: int) -> Features:
    split = features.splits[name]
    short = _Shortened(split.name, split.ids, split.raw_text, split.arrays, split.labels)
    object.__setattr__(short, "count", count)
    return replace(features, splits={**features.splits, name: short})


@pytest.mark.parametrize(
    ("model", "split", "reason"),
    [
        ("LF-DNN", "train", "normalises over the batch"),
        ("MISA", "train", "compares moments over the batch"),
        ("MTFN", "valid", "fails on a single utterance, as in MMSA"),
        ("MLMF", "test", "fails on a single utterance, as in MMSA"),
    ],
)
def test_a_lone_utterance_that_a_model_cannot_take(small_synthetic: Small, model: str, split: str, reason: str) -> None:
    spec = planned_spec(SMALL_SYNTHETIC, model, hyper={"*": {"batch_size": 16}})
    check_features(spec, small_synthetic[1])
    with pytest.raises(InputError, match=f"{model} {reason}, and 33 {split} utterances in batches of 16") as caught:
        check_features(spec, with_samples(small_synthetic[1], split, 33))
    assert caught.value.where == f"hyper.{model}.batch_size"


@pytest.mark.parametrize(("model", "split"), [("LF-DNN", "valid"), ("MFN", "train"), ("MISA", "test")])
def test_a_lone_utterance_that_a_model_can_take(small_synthetic: Small, model: str, split: str) -> None:
    spec = planned_spec(SMALL_SYNTHETIC, model, hyper={"*": {"batch_size": 16}})
    check_features(spec, with_samples(small_synthetic[1], split, 33))


def test_a_sum_of_gradients_that_is_never_complete(small_synthetic: Small) -> None:
    spec = planned_spec(SMALL_SYNTHETIC, "Self-MM", hyper={"*": {"batch_size": 24, "update_epochs": 4}})
    with pytest.raises(InputError, match="sums the gradients of 4 batches, and an epoch has 2"):
        check_features(spec, small_synthetic[1])
    spec = planned_spec(SMALL_SYNTHETIC, "Self-MM", hyper={"*": {"batch_size": 24, "update_epochs": 2}})
    check_features(spec, small_synthetic[1])


def test_a_warm_up_that_never_gets_off_the_ground(small_synthetic: Small) -> None:
    hyper = {"*": {"batch_size": 16}}
    with pytest.raises(InputError, match="ALMT would learn nothing"):
        check_features(planned_spec(SMALL_SYNTHETIC, "ALMT", hyper=hyper, max_epochs=1), small_synthetic[1])
    check_features(planned_spec(SMALL_SYNTHETIC, "ALMT", hyper=hyper, max_epochs=2), small_synthetic[1])
