"""The costs of a run: its model, built at true widths with random weights and fed zeros of its data's shapes.

A text encoder dwarfs the rest of a model and is the same in every variant. It is counted once for each architecture and
length; the model is built around a stand-in of the right width, and the encoder's counts are added.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from harness import models
from harness.costs.counting import Costs, count
from harness.data.batching import Batch
from harness.data.inputs import InputChoice
from harness.models import text
from harness.models.finegrained import set_batched
from harness.spec import MODALITIES, RunSpec
from harness.training.recipes import make_recipe

__all__ = ["RunCounter", "full_batch"]


class RunCounter:
    """Counts runs, and remembers them and text encoders.

    Groups of the fine-grained method are computed one after another, as it is defined, and not by the faster kernels
    that training uses: those compute the same in other products.
    """

    def __init__(self) -> None:
        self._counted: dict[str, Costs] = {}
        self._encoders: dict[str, Costs] = {}

    def count(self, spec: RunSpec) -> Costs:
        """Count what one utterance of full length costs in a run's model."""
        if spec.run_id not in self._counted:
            # The multi-task models of MMSA lose the batch axis of a single utterance: count two, and halve.
            size = 1 if models.entry(spec.model).lone_evaluation else 2
            self._counted[spec.run_id] = self.count_batch(spec, size).shared_by(size)
        return self._counted[spec.run_id]

    def count_batch(self, spec: RunSpec, size: int) -> Costs:
        """Count one pass over `size` utterances of full length."""
        with _one_thread():
            stand_in = StandIn(spec.text_encoder.width) if spec.text_encoder else None
            model = models.build(spec, encoder=stand_in)
            set_batched(model, False)
            recipe = make_recipe(models.entry(spec.model).recipe, model, spec.hyper, spec.task)
            batch = full_batch(spec, size)

            def call(text: torch.Tensor, audio: torch.Tensor, vision: torch.Tensor) -> object:
                return recipe.forward(replace(batch, text=text, audio=audio, vision=vision))

            costs = count(model, call, batch.text, batch.audio, batch.vision)
            if stand_in is None:
                return costs
            place = next(name for name, module in model.named_modules() if module is stand_in)
            return costs.joined(self._encoder(spec, batch.text), place)

    def _encoder(self, spec: RunSpec, tokens: torch.Tensor) -> Costs:
        assert spec.text_encoder is not None, "asked only where there is one"
        finetune = bool(spec.hyper.get("use_finetune", True))
        key = f"{spec.text_encoder.config} {tuple(tokens.shape)} {finetune}"
        if key not in self._encoders:
            encoder = text.load(spec.text_encoder, None, finetune=finetune)
            self._encoders[key] = count(encoder, encoder, tokens)
        return self._encoders[key]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread: single utterances give more no work, and waiting for each other they lose minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class StandIn(nn.Module):
    """Has a text encoder's interface, and no costs: its hidden states are the token ids, over and over."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, L) to (B, L, width), by views alone."""
        return tokens[:, 0].unsqueeze(-1).expand(-1, -1, self.width)


def full_batch(spec: RunSpec, size: int) -> Batch:
    """Make a batch of `size` utterances of full length, all zeros, as the run's data would give it."""
    widths, lengths = spec.data.shapes.widths, spec.data.shapes.lengths
    inputs = InputChoice.from_hyper(spec.hyper)
    tensors: dict[str, torch.Tensor] = {}
    for modality in MODALITIES:
        steps = 1 if getattr(inputs, modality).endswith("_mean") else lengths[modality]
        tensors[modality] = torch.zeros(size, steps, widths[modality])
    if inputs.text == "text_bert":
        tensors["text"] = torch.zeros(size, 3, lengths["text"])
        tensors["text"][:, 1] = 1.0
    known = {"audio": torch.full((size,), lengths["audio"]), "vision": torch.full((size,), lengths["vision"])}
    return Batch(**tensors, labels={}, index=np.arange(size), lengths=known)
