"""Recipes with a schedule that is known in advance, warm-up and cosine: ALMT and TMT."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from harness.data.batching import Batch
from harness.spec import Task
from harness.training.recipes.base import Recipe

__all__ = ["AlmtRecipe", "ScheduledRecipe", "TmtRecipe", "discrepancy", "overlap", "scheduled_rate"]

_KERNELS = 5
_NARROWEST = 1e-12


def scheduled_rate(epoch: int, base: float, *, warm_up: int, epochs: int) -> float:
    """Return the learning rate of an epoch, as the authors' scripts of both models have it.

    It rises in a straight line from 0 in the first epoch to `base` in epoch ``warm_up + 1``, has that value once more
    in the next, and falls from there along half a cosine of ``epochs - warm_up`` epochs.

    Parameters
    ----------
    epoch : int
        From 1.
    base : float
        The highest rate.
    warm_up, epochs : int
        Epochs of the rise, and of rise and fall together.
    """
    done = epoch - 1
    if done < warm_up:
        return base * done / warm_up
    if done == warm_up:
        return base
    return base * (1.0 + math.cos(math.pi * (done - warm_up - 1) / (epochs - warm_up))) / 2.0


class ScheduledRecipe(Recipe):
    """The plain recipe with a rate that depends on the epoch's number alone.

    The position in the schedule is therefore the number that the loop hands to `start_epoch`: a resumed run finds it
    again without a state of its own.
    """

    def start_epoch(self, epoch: int) -> None:
        """Set the rate of this epoch."""
        rate = scheduled_rate(
            epoch,
            self.hyper["learning_rate"],
            warm_up=self.hyper["warm_up_epochs"],
            epochs=self.hyper["schedule_epochs"],
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    @property
    def warm_up(self) -> int:
        """Epochs of the rate's rise."""
        return int(self.hyper["warm_up_epochs"])

    @property
    def max_epochs(self) -> int:
        """Length of the schedule; the cosine would rise again after it."""
        return int(self.hyper["schedule_epochs"])


class AlmtRecipe(ScheduledRecipe):
    """ALMT: mean squared error, and AdamW with one group for everything, the text encoder included."""

    def __init__(self, model: nn.Module, hyper: Mapping[str, Any], task: Task) -> None:
        super().__init__(model, hyper, task)
        if task == "regression":
            self.criterion = nn.MSELoss()

    def make_optimizer(self) -> torch.optim.Optimizer:
        """AdamW over all parameters."""
        return torch.optim.AdamW(
            self.model.parameters(), lr=self.hyper["learning_rate"], weight_decay=self.hyper["weight_decay"]
        )


class TmtRecipe(ScheduledRecipe):
    """TMT: the task's loss, one that keeps token sets apart, and one that ties each modality to its own tokens.

    A batch is trained on alpha * orthogonality + beta * similarity + delta * task; epochs are compared by the task's
    loss alone, unweighted. Option ``mixup`` blends the inputs of a training batch as the authors' scripts do: one
    weight and one permutation for all modalities, the labels left as they are.
    """

    def __init__(self, model: nn.Module, hyper: Mapping[str, Any], task: Task) -> None:
        super().__init__(model, hyper, task)
        if task == "regression":
            self.criterion = {"l1": nn.L1Loss, "mse": nn.MSELoss}[hyper["task_loss"]]()

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Call the model, on blended inputs where that is asked for and it is learning."""
        if not (self.hyper["mixup"] and self.model.training):
            return super().forward(batch)
        inputs = (batch.text, batch.audio, batch.vision)
        share = torch.rand(()).item()  # Beta(1, 1) is the uniform distribution
        order = torch.randperm(len(batch.text)).to(batch.text.device)
        outputs: Mapping[str, Any] = self.model(*(share * x + (1.0 - share) * x[order] for x in inputs))
        return outputs

    def loss(self, outputs: Mapping[str, Any], batch: Batch) -> torch.Tensor:
        """Return the three-part loss."""
        shared = outputs["shared"].mean(dim=1)
        own = {m: outputs[f"specific_{m}"].mean(dim=1) for m in ("text", "audio", "vision")}
        whole = {m: outputs[f"sequence_{m}"].mean(dim=1) for m in own}
        from_shared = sum(overlap(shared, tokens) for tokens in own.values())
        from_each_other = sum(
            overlap(own[a], own[b]) for a, b in (("audio", "vision"), ("vision", "text"), ("text", "audio"))
        )
        orthogonality = (from_shared + from_each_other) / 3.0
        similarity = sum(discrepancy(whole[m], own[m]) for m in own) / 3.0
        weighted: torch.Tensor = (
            self.hyper["alpha"] * orthogonality
            + self.hyper["beta"] * similarity
            + self.hyper["delta"] * self.criterion(outputs["M"], batch.label)
        )
        return weighted


def overlap(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Return how far two sets of features are from orthogonal over a batch.

    Both are centred over the batch, every row is divided by its length plus 1e-6, the length being taken as a constant
    in the gradient, and the squares of the entries of p^T q are averaged (reference implementation). For a batch of one
    utterance the value and its gradient are 0.

    Parameters
    ----------
    p, q : torch.Tensor
        (B, width).
    """
    p, q = _directions(p), _directions(q)
    return (p.T @ q).square().mean()


def _directions(x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean(dim=0, keepdim=True)
    lengths: torch.Tensor = torch.linalg.vector_norm(centred.detach(), dim=1, keepdim=True)
    return centred / (lengths + 1e-6)


def discrepancy(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Return the maximum mean discrepancy of two sets of rows, by a sum of five Gaussian kernels.

    The narrowest kernel's bandwidth is a quarter of the mean squared distance between different rows, a constant in the
    gradient; each further one is twice as wide (reference implementation). Where all rows agree the reference divides 0
    by 0; here the mean distance counts as at least 1e-12, so that the value and its gradient are 0. A batch of one
    utterance needs nothing else: its two rows are compared like any others.

    Parameters
    ----------
    p, q : torch.Tensor
        (B, width).
    """
    rows, size = torch.cat([p, q]), len(p)
    distances = (rows.unsqueeze(0) - rows.unsqueeze(1)).square().sum(dim=-1)
    count = len(rows)
    mean_distance = distances.detach().sum() / (count * count - count)
    bandwidth = mean_distance.clamp_min(_NARROWEST) / 4.0
    kernel = torch.stack([torch.exp(-distances / (bandwidth * 2.0**i)) for i in range(_KERNELS)]).sum(dim=0)
    within = kernel[:size, :size] + kernel[size:, size:]
    across = kernel[:size, size:] + kernel[size:, :size]
    return (within - across).mean()
