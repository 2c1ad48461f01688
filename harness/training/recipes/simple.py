"""Recipes that differ from the plain one in their optimiser or in when it steps: TFN, LMF, MulT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from harness.spec import Task
from harness.training.recipes.accumulating import AccumulatingRecipe
from harness.training.recipes.base import Recipe

__all__ = ["LmfRecipe", "MultRecipe", "TfnRecipe"]


class TfnRecipe(Recipe):
    """TFN: no weight decay, and the two constants that shape its output stay out of the optimiser."""

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Adam over all but the output's range and shift."""
        return torch.optim.Adam(self._parameters("output_range", "output_shift"), lr=self.hyper["learning_rate"])


class LmfRecipe(Recipe):
    """LMF: the low-rank factors at a rate of their own; MMSA leaves the fusion's weights and bias untrained."""

    _factors = ("audio_factor", "video_factor", "text_factor")

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Adam with one group for the factors and one for the sub-networks."""
        factors = [p for n, p in self.model.named_parameters() if n.rpartition(".")[2] in self._factors]
        rest = self._parameters(*self._factors, "fusion_weights", "fusion_bias")
        return torch.optim.Adam(
            [
                {"params": factors, "lr": self.hyper["factor_lr"]},
                {"params": rest, "lr": self.hyper["learning_rate"]},
            ],
            weight_decay=self.hyper["weight_decay"],
        )


class MultRecipe(AccumulatingRecipe):
    """MulT: gradients summed over several batches and clipped by value, and a rate that falls on a plateau."""

    def __init__(self, model: nn.Module, hyper: Mapping[str, Any], task: Task) -> None:
        super().__init__(model, hyper, task)
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer, mode="min", factor=0.1, patience=hyper["patience"]
        )

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Adam without weight decay: MulT's configuration holds one, its trainer never reads it."""
        return torch.optim.Adam(self.model.parameters(), lr=self.hyper["learning_rate"])

    def end_epoch(self, valid_loss: float) -> None:
        """Lower the rate when the validation loss has stood still for `patience` epochs."""
        self.schedule.step(valid_loss)

    def state_dict(self) -> dict[str, Any]:
        """Optimiser and schedule."""
        return {**super().state_dict(), "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to a state from `state_dict`."""
        super().load_state_dict(state)
        self.schedule.load_state_dict(state["schedule"])
