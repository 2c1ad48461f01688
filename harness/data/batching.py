"""Shuffled mini-batches from memory-mapped arrays, drawing the very random numbers that torch's `DataLoader` draws.

MMSA shuffles its training, validation and test loader alike. With ``num_workers=0`` every pass takes two numbers from
torch's global generator: a base seed for worker processes that never start, then the seed of a private generator
whose permutation orders the samples. Both draws are kept, in that order, so that dropout masks and orders equal MMSA's
bit for bit; only the collation of single samples is replaced by one gather per array.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from harness.data.inputs import InputChoice
from harness.spec import Task

if TYPE_CHECKING:
    from harness.data.cache import Split

__all__ = ["Batch", "Batches"]


@dataclass(frozen=True)
class Batch:
    """One mini-batch on the training device.

    ``text`` (B, L, d) or (B, 3, L), ``audio`` (B, L_a, d_a), ``vision`` (B, L_v, d_v), ``labels`` by name: scores
    (B, 1), or classes (B,) in classification; ``index`` (B,) holds the samples' positions in the split, ``lengths``
    the true numbers of audio and vision steps (B,), where the file tells them (on the CPU: packing wants them there).
    """

    text: torch.Tensor
    audio: torch.Tensor
    vision: torch.Tensor
    labels: dict[str, torch.Tensor]
    index: NDArray[np.int64]
    lengths: dict[str, torch.Tensor]

    @property
    def label(self) -> torch.Tensor:
        """The multimodal label."""
        return self.labels["M"]


class Batches:
    """A split as an endless source of passes over mini-batches.

    Parameters
    ----------
    split : Split
        Memory-mapped arrays of one split.
    inputs : InputChoice
        Which arrays to serve.
    task : Task
        Regression serves ``regression`` scores, classification ``classification`` classes, as label ``M``.
    batch_size : int
        Samples per batch; the last batch of a pass holds the rest.
    device : str
        Where the tensors go.
    repeat : mapping, optional
        Modalities whose single step is repeated, and how often.
    """

    def __init__(
        self,
        split: Split,
        inputs: InputChoice,
        *,
        task: Task,
        batch_size: int,
        device: str = "cpu",
        repeat: Mapping[str, int] | None = None,
    ) -> None:
        self.split = split
        self.batch_size = batch_size
        self.device = device
        self._task: Task = task
        self._repeat = dict(repeat or {})
        self._arrays = {m: split.arrays[key] for m, key in vars(inputs).items()}
        self._labels = _labels(split, task)
        self._lengths = {m: split.arrays[f"{m}_lengths"] for m in ("audio", "vision") if f"{m}_lengths" in split.arrays}

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Start a shuffled pass."""
        torch.empty((), dtype=torch.int64).random_()  # the base seed of a DataLoader's workers: drawn, never used
        generator = torch.Generator()
        generator.manual_seed(int(torch.empty((), dtype=torch.int64).random_().item()))
        order = torch.randperm(len(self.split), generator=generator).numpy()
        return self._serve(order)

    def in_order(self) -> Iterator[Batch]:
        """Start a pass in file order, without a random draw."""
        return self._serve(np.arange(len(self.split)))

    def _serve(self, order: NDArray[np.int64]) -> Iterator[Batch]:
        for start in range(0, len(order), self.batch_size):
            index = order[start : start + self.batch_size]
            tensors = {m: self._tensor(np.take(array, index, axis=0)) for m, array in self._arrays.items()}
            for modality, times in self._repeat.items():
                tensors[modality] = tensors[modality].repeat(1, times, 1)
            labels = {name: self._label(np.take(array, index)) for name, array in self._labels.items()}
            lengths = {m: torch.from_numpy(np.take(array, index)) for m, array in self._lengths.items()}
            yield Batch(tensors["text"], tensors["audio"], tensors["vision"], labels, index, lengths)

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
        return tensor if self.device == "cpu" else tensor.to(self.device)

    def _label(self, array: NDArray[Any]) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        tensor = tensor.long() if self._task == "classification" else tensor.float().view(-1, 1)
        return tensor if self.device == "cpu" else tensor.to(self.device)


def _labels(split: Split, task: Task) -> dict[str, NDArray[Any]]:
    named = {"M": split.labels[task]}
    for modality in "TAV":
        if f"{task}_{modality}" in split.labels:
            named[modality] = split.labels[f"{task}_{modality}"]
    return named
