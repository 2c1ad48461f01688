"""Gradients summed over several batches before a step: what MulT, MISA, Self-MM and TETFN share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from harness.data.batching import Batch
from harness.spec import Task
from harness.training.recipes.base import Recipe

__all__ = ["AccumulatingRecipe"]


class AccumulatingRecipe(Recipe):
    """Sum (not average) the gradients of ``update_epochs`` batches, clip them by value after each, then step.

    The gradients of an epoch's remaining batches, fewer than a full sum, are lost when the next epoch begins.
    """

    def __init__(self, model: nn.Module, hyper: Mapping[str, Any], task: Task) -> None:
        super().__init__(model, hyper, task)
        self._left = int(hyper["update_epochs"])

    def start_epoch(self, epoch: int) -> None:
        """Begin a new sum of gradients."""
        del epoch
        self._left = int(self.hyper["update_epochs"])

    def train_batch(self, batch: Batch) -> float:
        """Add one batch's gradient; step when the sum is complete."""
        if self._left == self.hyper["update_epochs"]:
            self.optimizer.zero_grad()
        self._left -= 1
        outputs = self.forward(batch)
        loss = self.loss(outputs, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        self._clip()
        self.after_backward(outputs, batch)
        if self._left == 0:
            self.optimizer.step()
            self._left = int(self.hyper["update_epochs"])
        return float(loss.item())

    def after_backward(self, outputs: Mapping[str, Any], batch: Batch) -> None:
        """Do what the reference does between a batch's backward pass and the step."""

    def _clip(self) -> None:
        limit = self.hyper.get("grad_clip", -1.0)
        if limit != -1.0:
            nn.utils.clip_grad_value_([p for p in self.model.parameters() if p.requires_grad], limit)
