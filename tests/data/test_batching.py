"""Batches against torch's own DataLoader: the same orders, and the same state of the global generator after each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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
from harness.spec import DatasetSpec


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
