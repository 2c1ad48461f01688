"""Self-MM and TETFN: unimodal labels that training makes up for itself.

Yu, Xu, Yuan and Wu: *Learning Modality-Specific Representations with Self-Supervised Multi-Task Learning for
Multimodal Sentiment Analysis*, AAAI 2021 (their label generation module). The arithmetic, to the order of its
operations, is that of MMSA's trainer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from harness.data.batching import Batch, Batches
from harness.errors import RunError
from harness.spec import Task
from harness.training.recipes.accumulating import AccumulatingRecipe

__all__ = ["SelfMmRecipe", "SelfSupervisedRecipe", "TetfnRecipe"]

_UNIMODAL = {"text": "T", "audio": "A", "vision": "V"}
"""Modalities that get labels of their own, with their outputs; the first letter is that of their feature."""
_WIDTHS = {"fusion": "post_fusion_dim", "text": "post_text_dim", "audio": "post_audio_dim", "vision": "post_video_dim"}
"""Hyper-parameters that hold the widths of the learned features."""
_PARTS = {"text_model": "bert", "audio_model": "audio", "video_model": "video"}
"""Sub-modules with rates and decays of their own, and what the names of these end in."""
_NO_DECAY = ("bias", "LayerNorm.weight")
_TINY = 1e-8


class SelfSupervisedRecipe(AccumulatingRecipe):
    """One label and one feature per training sample for fusion, text, audio and vision, kept over the whole run.

    All labels start as the multimodal one, which the fusion keeps. From the second epoch on every batch moves the
    labels of its samples towards what their features say: how much nearer they are to the mean feature of the positive
    samples than to that of the negative ones, compared with the same for the fusion. The loss is the L1 loss of the
    multimodal prediction plus, for each modality, an L1 loss weighted by how far its label has moved from the
    multimodal one; epochs are compared by the first of these alone. Gradients of several batches are summed.

    MMSA takes the means anew after every batch. They depend on nothing but labels and features, so that here they are
    taken when the next batch asks for them, which none does in the first epoch, and are no part of the state.

    Attributes
    ----------
    labels, features : dict of str to torch.Tensor
        (N,) and (N, width) by ``fusion``, ``text``, ``audio`` and ``vision``; rows are positions in the training split.
    """

    def __init__(self, model: nn.Module, hyper: Mapping[str, Any], task: Task) -> None:
        super().__init__(model, hyper, task)
        self.labels: dict[str, torch.Tensor] = {}
        self.features: dict[str, torch.Tensor] = {}
        self._epoch = 0

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Adam with five groups: the text encoder with and without decay, audio, vision, and everything else."""
        groups: dict[str, list[nn.Parameter]] = {"bert": [], "bert_no_decay": [], "audio": [], "video": [], "other": []}
        for name, parameter in self.model.named_parameters():
            part = next((short for submodule, short in _PARTS.items() if submodule in name), "other")
            if part == "bert" and any(kind in name for kind in _NO_DECAY):
                part = "bert_no_decay"
            groups[part].append(parameter)
        settings: list[dict[str, Any]] = []
        for part, parameters in groups.items():
            decay = 0.0 if part == "bert_no_decay" else self.hyper[f"weight_decay_{part}"]
            rate = self.hyper[f"learning_rate_{part.partition('_')[0]}"]
            settings.append({"params": parameters, "lr": rate, "weight_decay": decay})
        return torch.optim.Adam(settings)

    def prepare(self, train: Batches) -> None:
        """Start all labels as the multimodal ones, and all features as zeros.

        Raises
        ------
        RunError
            If no training sample has a positive, or none a negative label.
        """
        iter(train)  # MMSA fills its labels in a shuffled pass of its own: draw that pass's random numbers
        scores = torch.from_numpy(np.array(train.split.labels["regression"], dtype=np.float32)).to(train.device)
        self.labels = {name: scores.clone() for name in _WIDTHS}
        self.features = {name: scores.new_zeros(len(scores), self.hyper[key]) for name, key in _WIDTHS.items()}
        self._sides("fusion")

    def start_epoch(self, epoch: int) -> None:
        """Begin a new sum of gradients; labels move by the epoch's number."""
        super().start_epoch(epoch)
        self._epoch = epoch

    def loss(self, outputs: Mapping[str, Any], batch: Batch) -> torch.Tensor:
        """Return the four-part loss, by the labels as the batch found them."""
        index = self._index(batch)
        fusion = self.labels["fusion"][index]
        total = torch.mean(torch.abs(outputs["M"].view(-1) - fusion))
        for name, output in _UNIMODAL.items():
            own = self.labels[name][index]
            weight = torch.tanh(torch.abs(own - fusion))
            total = total + torch.mean(weight * torch.abs(outputs[output].view(-1) - own))
        return total

    def after_backward(self, outputs: Mapping[str, Any], batch: Batch) -> None:
        """Move the labels of the batch's samples, then keep their features."""
        index = self._index(batch)
        features = {name: outputs[f"Feature_{name[0]}"].detach() for name in _WIDTHS}
        if self._epoch > 1:
            self._relabel(features, index)
        for name, feature in features.items():
            self.features[name][index] = feature

    def _relabel(self, features: Mapping[str, torch.Tensor], index: torch.Tensor) -> None:
        n, bound = self._epoch, self.hyper["H"]
        fusion = self.labels["fusion"][index]
        whole = self._lean("fusion", features["fusion"])
        for name in _UNIMODAL:
            lean = self._lean(name, features[name])
            ratio = lean / (whole + _TINY)
            new = 0.5 * ratio * fusion + 0.5 * (fusion + lean - whole)
            new = torch.clamp(new, min=-bound, max=bound)
            self.labels[name][index] = (n - 1) / (n + 1) * self.labels[name][index] + 2 / (n + 1) * new

    def _lean(self, name: str, feature: torch.Tensor) -> torch.Tensor:
        """Return how much nearer features (B, width) are to the positive samples' mean than to the negative ones'."""
        stored = self.features[name]
        to_positive, to_negative = (
            torch.linalg.vector_norm(feature - stored.index_select(0, side).mean(dim=0), dim=-1)
            for side in self._sides(name)
        )
        lean: torch.Tensor = (to_negative - to_positive) / (to_positive + _TINY)
        return lean

    def _sides(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the positions of samples with positive, and of those with negative labels; neither is empty."""
        labels = self.labels[name]
        positive = labels > 0 if self.hyper["excludeZero"] else labels >= 0
        sides = positive.nonzero().squeeze(1), (labels < 0).nonzero().squeeze(1)
        for side, kind in zip(sides, ("positive", "negative"), strict=True):
            if not len(side):
                raise RunError(
                    f"not one of {len(labels)} training utterances has a {kind} {name} label, so that there is no mean "
                    "feature to compare with (MMSA would go on with labels that are not numbers)",
                    where=f"self-supervised labels, epoch {max(self._epoch, 1)}",
                    hint="train on more utterances, with both positive and negative scores among them",
                )
        return sides

    def _index(self, batch: Batch) -> torch.Tensor:
        return torch.from_numpy(batch.index).to(batch.label.device)

    def state_dict(self) -> dict[str, Any]:
        """Optimiser, labels and features."""
        return {**super().state_dict(), "labels": dict(self.labels), "features": dict(self.features)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to a state from `state_dict`; `prepare` need not have been called."""
        super().load_state_dict(state)
        device = next(self.model.parameters()).device
        self.labels = {name: tensor.to(device) for name, tensor in state["labels"].items()}
        self.features = {name: tensor.to(device) for name, tensor in state["features"].items()}


class SelfMmRecipe(SelfSupervisedRecipe):
    """Self-MM: the model packs audio and vision by their lengths, or by the text's in aligned data."""

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Hand audio and vision over with their lengths; the model ignores them in aligned data, where MMSA gives 0."""
        aligned = self.hyper["need_data_aligned"]
        audio, vision = (0, 0) if aligned else (batch.lengths["audio"], batch.lengths["vision"])
        outputs: Mapping[str, Any] = self.model(batch.text, (batch.audio, audio), (batch.vision, vision))
        return outputs


class TetfnRecipe(SelfSupervisedRecipe):
    """TETFN: the model is called with plain tensors, since it never looks at lengths."""
