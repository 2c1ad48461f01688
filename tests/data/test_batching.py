"""Batches against torch's own DataLoader: the same orders, and the same state of the global generator after each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from harness.data import Features, Split
from harness.data.batching import Batches
from harness.data.inputs import InputChoice, require
from harness.errors import DataError
from harness.spec import DatasetSpec, TextEncoder


def make_split(n: int) -> Split:
    rows = np.arange(n, dtype=np.float32)
    arrays = {name: np.broadcast_to(rows[:, None, None], (n, 2, 3)) for name in ("text", "audio", "vision")}
    return Split("train", tuple(f"u{i}" for i in range(n)), ("",) * n, arrays, {"regression": rows})


@given(n=st.integers(1, 40), size=st.integers(1, 12), seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_orders_and_draws_are_the_dataloaders(n: int, size: int, seed: int) -> None:
    torch.manual_seed(seed)
    loader = DataLoader(TensorDataset(torch.arange(n)), batch_size=size, shuffle=True)
    expected = [[batch[0].tolist() for batch in loader] for _ in range(2)]
    after = torch.rand(1)

    torch.manual_seed(seed)
    batches = Batches(make_split(n), InputChoice(), task="regression", batch_size=size)
    ours = [[batch.index.tolist() for batch in batches] for _ in range(2)]
    assert ours == expected
    assert torch.equal(torch.rand(1), after)
    assert len(batches) == len(loader)


def test_a_pass_in_order_draws_nothing() -> None:
    batches = Batches(make_split(7), InputChoice(), task="regression", batch_size=3)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    seen = list(batches.in_order())
    assert torch.equal(torch.rand(1), expected)
    assert [batch.index.tolist() for batch in seen] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [batch.label.flatten().tolist() for batch in seen] == [[0, 1, 2], [3, 4, 5], [6]]
    assert torch.equal(seen[1].text[:, 0, 0], torch.tensor([3.0, 4.0, 5.0]))


def test_labels_of_each_task(small_synthetic: tuple[DatasetSpec, Features, Path]) -> None:
    split = small_synthetic[1].splits["test"]
    classes = next(Batches(split, InputChoice(), task="classification", batch_size=4).in_order())
    scores = next(Batches(split, InputChoice(), task="regression", batch_size=4).in_order())
    assert classes.label.dtype == torch.int64
    assert classes.label.shape == (4,)
    assert scores.label.dtype == torch.float32
    assert scores.label.shape == (4, 1)
    assert set(scores.labels) == {"M", "T", "A", "V"}


def test_inputs_follow_mmsas_switches(small_synthetic: tuple[DatasetSpec, Features, Path]) -> None:
    choice = InputChoice.from_hyper({"need_normalized": True, "use_bert": True})
    assert choice == InputChoice("text_bert", "audio_mean", "vision_mean")
    batch = next(Batches(small_synthetic[1].splits["test"], choice, task="regression", batch_size=2).in_order())
    assert batch.audio.shape[1] == batch.vision.shape[1] == 1
    assert batch.text.shape[1] == 3


def test_a_missing_array_is_named(small_synthetic: tuple[DatasetSpec, Features, Path]) -> None:
    bare = replace(small_synthetic[1], splits={name: make_split(3) for name in ("train", "valid", "test")})
    require(bare, InputChoice(), "regression", who="LMF")
    with pytest.raises(DataError, match="'text_bert' array, which LMF reads"):
        require(bare, InputChoice(text="text_bert"), "regression", who="LMF")
    with pytest.raises(DataError, match="no classification_labels"):
        require(bare, InputChoice(), "classification", who="LMF")


def test_single_steps_are_repeated() -> None:
    short = make_split(5)
    arrays = {**short.arrays, "audio": np.arange(15, dtype=np.float32).reshape(5, 1, 3)}
    batches = Batches(
        replace(short, arrays=arrays), InputChoice(), task="regression", batch_size=4, repeat={"audio": 6}
    )
    batch = next(batches.in_order())
    assert batch.audio.shape == (4, 6, 3)
    assert batch.vision.shape == (4, 2, 3)
    assert torch.equal(batch.audio[:, :1].expand(4, 6, 3), batch.audio)
    assert batch.audio[2, 5].tolist() == [6.0, 7.0, 8.0]


def with_arrays(features: Features, split: str, **arrays: np.ndarray[Any, Any] | None) -> Features:
    changed = {k: v for k, v in {**features.splits[split].arrays, **arrays}.items() if v is not None}
    return replace(features, splits={**features.splits, split: replace(features.splits[split], arrays=changed)})


def test_lengths_by_which_a_model_packs_are_checked(small_synthetic: tuple[DatasetSpec, Features, Path]) -> None:
    features = small_synthetic[1]
    require(features, InputChoice(), "regression", who="Self-MM", lengths=True)
    broken = np.array(features.splits["valid"].arrays["audio_lengths"])
    broken[2] = 0
    with pytest.raises(DataError, match="1 of the audio_lengths are not between 1 and 6") as caught:
        require(
            with_arrays(features, "valid", audio_lengths=broken),
            InputChoice(),
            "regression",
            who="Self-MM",
            lengths=True,
        )
    assert "valid" in caught.value.where
    with pytest.raises(DataError, match="no vision_lengths, by which Self-MM packs"):
        require(
            with_arrays(features, "test", vision_lengths=None), InputChoice(), "regression", who="Self-MM", lengths=True
        )


def test_tokens_that_an_encoder_cannot_read(small_synthetic: tuple[DatasetSpec, Features, Path]) -> None:
    features, inputs = small_synthetic[1], InputChoice(text="text_bert")

    def ask(data: Features, **config: int) -> None:
        encoder = TextEncoder(
            name="small", sha256=None, config={"vocab_size": 2240, "max_position_embeddings": 64, **config}
        )
        require(data, inputs, "regression", who="ALMT", encoder=encoder)

    ask(features)
    with pytest.raises(DataError, match=r"token ids reach .* knows 300 tokens"):
        ask(features, vocab_size=300)
    with pytest.raises(DataError, match="4 tokens long, but the text encoder small of ALMT takes 3"):
        ask(features, max_position_embeddings=3)
    empty = np.array(features.splits["train"].arrays["text_bert"])
    empty[5, 1] = 0
    with pytest.raises(DataError, match="1 utterances have no token at all"):
        ask(with_arrays(features, "train", text_bert=empty))


def test_unimodal_labels_that_are_missing(small_synthetic: tuple[DatasetSpec, Features, Path]) -> None:
    features = small_synthetic[1]
    require(features, InputChoice(), "classification", who="MTFN", unimodal_labels=True)
    test = features.splits["test"]
    bare = replace(test, labels={k: v for k, v in test.labels.items() if k != "classification_A"})
    with pytest.raises(DataError, match="no classification_labels_A, which MTFN needs"):
        require(
            replace(features, splits={**features.splits, "test": bare}),
            InputChoice(),
            "classification",
            who="MTFN",
            unimodal_labels=True,
        )
