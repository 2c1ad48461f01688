"""The multi-task sums of MLF-DNN, MTFN and MLMF: labels per modality beside the multimodal one (CH-SIMS)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from harness.data.batching import Batch
from harness.training.recipes.base import Recipe

__all__ = ["MlfDnnRecipe", "MlmfRecipe", "MtfnRecipe", "MultiTaskRecipe"]

_TASKS = "MTAV"
_SUBNETS = {"text_subnet": "text", "audio_subnet": "audio", "video_subnet": "video"}


class MultiTaskRecipe(Recipe):
    """A weighted sum of four losses, multimodal, text, audio and vision, in training and validation alike.

    Each unimodal sub-network has a weight decay of its own; what else differs is in the optimiser's groups.
    """

    decays_rest = False
    """Whether parameters outside the sub-networks decay."""

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Adam with one group per sub-network, the family's special groups, and one for the rest."""
        special = self.special_groups()
        taken = {id(parameter) for group in special for parameter in group["params"]}
        subnets: dict[str, list[nn.Parameter]] = {name: [] for name in _SUBNETS}
        rest: list[nn.Parameter] = []
        for name, parameter in self.model.named_parameters():
            part = next((subnet for subnet in _SUBNETS if subnet in name), None)
            if part is not None:
                subnets[part].append(parameter)
            elif id(parameter) not in taken:
                rest.append(parameter)
        groups = [
            {"params": parameters, "weight_decay": self.hyper[f"{_SUBNETS[name]}_weight_decay"]}
            for name, parameters in subnets.items()
        ]
        return torch.optim.Adam(
            [*groups, *special, {"params": rest}],
            lr=self.hyper["learning_rate"],
            weight_decay=self.hyper["weight_decay"] if self.decays_rest else 0.0,
        )

    def special_groups(self) -> list[dict[str, Any]]:
        """Parameters outside the sub-networks with rates of their own."""
        return []

    def loss(self, outputs: Mapping[str, Any], batch: Batch) -> torch.Tensor:
        """Weigh and add the four losses."""
        total: torch.Tensor | float = 0.0
        for name in _TASKS:
            total = total + self.hyper[name] * self.criterion(outputs[name], batch.labels[name])
        assert isinstance(total, torch.Tensor)
        return total

    def evaluation_loss(self, outputs: Mapping[str, Any], batch: Batch) -> torch.Tensor:
        """The same sum: the reference compares epochs by it."""
        return self.loss(outputs, batch)

    def _direct(self, *names: str) -> list[nn.Parameter]:
        return [p for n, p in self.model.named_parameters() if n.rpartition(".")[2] in names]


class MlfDnnRecipe(MultiTaskRecipe):
    """MLF-DNN: everything decays."""

    decays_rest = True


class MtfnRecipe(MultiTaskRecipe):
    """MTFN: only the sub-networks decay, and the output's range and shift stay as they are."""

    def special_groups(self) -> list[dict[str, Any]]:
        """The two constants, at rate 0."""
        return [{"params": self._direct("output_range", "output_shift"), "lr": 0.0}]


class MlmfRecipe(MultiTaskRecipe):
    """MLMF: the low-rank factors at a rate of their own; the fusion's weights and bias are never moved."""

    decays_rest = True

    def special_groups(self) -> list[dict[str, Any]]:
        """Factors, then the untrained weights and bias at rate 0."""
        return [
            {"params": self._direct("audio_factor", "video_factor", "text_factor"), "lr": self.hyper["factor_lr"]},
            {"params": self._direct("fusion_weights", "fusion_bias"), "lr": 0.0},
        ]
