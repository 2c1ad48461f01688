"""The plain recipe, which all others vary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from harness.data.batching import Batch, Batches
from harness.spec import Task

__all__ = ["Recipe"]


class Recipe:
    """The plain recipe: Adam with weight decay on every parameter, one step a batch, constant rate.

    Used as it is by LF-DNN, MFN and Graph-MFN. L1 loss in regression, cross-entropy in classification (Section 3.4).
    """

    def __init__(self, model: nn.Module, hyper: Mapping[str, Any], task: Task) -> None:
        self.model = model
        self.hyper = hyper
        self.criterion: nn.Module = nn.L1Loss() if task == "regression" else nn.CrossEntropyLoss()
        self.optimizer = self.make_optimizer()

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Build the optimiser over the parameters that the reference trains."""
        return torch.optim.Adam(
            self.model.parameters(), lr=self.hyper["learning_rate"], weight_decay=self.hyper["weight_decay"]
        )

    @property
    def patience(self) -> int:
        """Epochs without a better validation loss after which training ends."""
        return int(self.hyper["early_stop"])

    @property
    def warm_up(self) -> int:
        """Epochs at the start in which patience is not counted."""
        return 0

    @property
    def max_epochs(self) -> int | None:
        """The recipe's own bound on epochs, if it has one; a run's bound applies besides."""
        return None

    def prepare(self, train: Batches) -> None:
        """Do what the reference does once before the first epoch, a pass over the training set included."""

    def start_epoch(self, epoch: int) -> None:
        """Prepare the pass over the training set of epoch number `epoch`, from 1."""

    def train_batch(self, batch: Batch) -> float:
        """Learn from one batch and return its loss."""
        self.optimizer.zero_grad()
        loss = self.loss(self.forward(batch), batch)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.item())

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Call the model the way its family takes a batch."""
        outputs: Mapping[str, Any] = self.model(batch.text, batch.audio, batch.vision)
        return outputs

    def loss(self, outputs: Mapping[str, Any], batch: Batch) -> torch.Tensor:
        """Return the loss that a batch is trained on."""
        loss: torch.Tensor = self.criterion(outputs["M"], batch.label)
        return loss

    def evaluation_loss(self, outputs: Mapping[str, Any], batch: Batch) -> torch.Tensor:
        """Return the loss by which epochs are compared on the validation set."""
        loss: torch.Tensor = self.criterion(outputs["M"], batch.label)
        return loss

    def end_epoch(self, valid_loss: float) -> None:
        """Step schedules with the validation loss (mean over batches, rounded to four digits)."""

    @property
    def learning_rate(self) -> float:
        """The first parameter group's current rate."""
        return float(self.optimizer.param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on after an epoch's end."""
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to a state from `state_dict`."""
        self.optimizer.load_state_dict(state["optimizer"])

    def _parameters(self, *leave_out: str) -> list[nn.Parameter]:
        named = self.model.named_parameters()
        return [parameter for name, parameter in named if name.rpartition(".")[2] not in leave_out]
