"""What differs between models while they train: loss, optimiser groups, schedule, accumulation, per-epoch state.

Each recipe does in one batch or at one epoch's end what MMSA's trainer of that model does there, in the same order, so
that an original run ends with MMSA's own bits. The loop around it is one and the same for all, see
`harness.training.loop`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from harness.data.batching import Batch, Batches
from harness.spec import Task

__all__ = ["RECIPES", "LmfRecipe", "MultRecipe", "Recipe", "TfnRecipe", "make_recipe"]


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


class MultRecipe(Recipe):
    """MulT: gradients summed over several batches and clipped by value, and a rate that falls on a plateau.

    The gradients of an epoch's remaining batches, fewer than a full sum, are lost when the next epoch begins.
    """

    def __init__(self, model: nn.Module, hyper: Mapping[str, Any], task: Task) -> None:
        super().__init__(model, hyper, task)
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer, mode="min", factor=0.1, patience=hyper["patience"]
        )
        self._left = int(hyper["update_epochs"])

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Adam without weight decay: MulT's configuration holds one, its trainer never reads it."""
        return torch.optim.Adam(self.model.parameters(), lr=self.hyper["learning_rate"])

    def start_epoch(self, epoch: int) -> None:
        """Begin a new sum of gradients."""
        del epoch
        self._left = int(self.hyper["update_epochs"])

    def train_batch(self, batch: Batch) -> float:
        """Add one batch's gradient; step when the sum is complete."""
        if self._left == self.hyper["update_epochs"]:
            self.optimizer.zero_grad()
        self._left -= 1
        loss = self.loss(self.forward(batch), batch)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.hyper["grad_clip"] != -1.0:
            trained = [p for p in self.model.parameters() if p.requires_grad]
            nn.utils.clip_grad_value_(trained, self.hyper["grad_clip"])
        if self._left == 0:
            self.optimizer.step()
            self._left = int(self.hyper["update_epochs"])
        return float(loss.item())

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


RECIPES: Mapping[str, type[Recipe]] = {"plain": Recipe, "tfn": TfnRecipe, "lmf": LmfRecipe, "mult": MultRecipe}


def make_recipe(name: str, model: nn.Module, hyper: Mapping[str, Any], task: Task) -> Recipe:
    """Build a recipe by the name that the registry gives."""
    return RECIPES[name](model, hyper, task)
