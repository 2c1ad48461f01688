"""MISA: a task loss and three more, on the parts that it keeps of each modality, private and shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from harness.data.batching import Batch
from harness.spec import Task
from harness.training.recipes.accumulating import AccumulatingRecipe

__all__ = ["MisaRecipe", "central_moment_discrepancy", "orthogonality"]

_MOMENTS = 5


def orthogonality(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Squared correlation between two representations (B, d), each row centred over the batch and scaled to length 1.

    The lengths count as constants for the gradient.
    """
    normed = []
    for given in (one, other):
        # A view of its own, as in the reference: the gradients of both uses are then added up before they go on.
        rows = given.view(given.shape[0], -1)
        centred = rows - torch.mean(rows, dim=0, keepdim=True)
        lengths = torch.norm(centred, p=2, dim=1, keepdim=True).detach()
        normed.append(centred.div(lengths.expand_as(centred) + 1e-6))
    return torch.mean(normed[0].t().mm(normed[1]).pow(2))


def central_moment_discrepancy(one: torch.Tensor, other: torch.Tensor, moments: int = _MOMENTS) -> torch.Tensor:
    """Distance of the means and of the central moments up to `moments` of two samples (B, d), added up."""
    means = torch.mean(one, 0), torch.mean(other, 0)
    centred = one - means[0], other - means[1]
    total = _distance(*means)
    for k in range(2, moments + 1):
        total = total + _distance(torch.mean(torch.pow(centred[0], k), 0), torch.mean(torch.pow(centred[1], k), 0))
    return total


def _distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.sum(torch.pow(one - other, 2)) ** 0.5


class MisaRecipe(AccumulatingRecipe):
    """MISA: MSE or cross-entropy, plus difference, similarity (CMD) and reconstruction losses; Adam without decay.

    Epochs are compared by the task loss alone. Gradients are summed over several batches and clipped by value.
    """

    def __init__(self, model: nn.Module, hyper: Mapping[str, Any], task: Task) -> None:
        super().__init__(model, hyper, task)
        self.criterion = nn.MSELoss() if task == "regression" else nn.CrossEntropyLoss()

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Adam without weight decay: MISA's configuration holds one, its trainer never reads it."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        return torch.optim.Adam(trained, lr=self.hyper["learning_rate"])

    def loss(self, outputs: Mapping[str, Any], batch: Batch) -> torch.Tensor:
        """Add the four losses, each with its weight."""
        core: Any = self.model.get_submodule("Model")
        task = self.criterion(outputs["M"], batch.label)
        private = {m: getattr(core, f"utt_private_{m}") for m in "tva"}
        shared = {m: getattr(core, f"utt_shared_{m}") for m in "tva"}
        # The order of the terms is the reference's: sums of losses and of their gradients depend on it.
        difference = sum(orthogonality(private[m], shared[m]) for m in "tva")
        for one, other in (("a", "t"), ("a", "v"), ("t", "v")):
            difference = difference + orthogonality(private[one], private[other])
        recon = sum(_mean_square(getattr(core, f"utt_{m}_recon"), getattr(core, f"utt_{m}_orig")) for m in "tva") / 3.0
        similarity = (
            central_moment_discrepancy(shared["t"], shared["v"])
            + central_moment_discrepancy(shared["t"], shared["a"])
            + central_moment_discrepancy(shared["a"], shared["v"])
        ) / 3.0
        total: torch.Tensor = (
            task
            + self.hyper["diff_weight"] * difference
            + self.hyper["sim_weight"] * similarity
            + self.hyper["recon_weight"] * recon
        )
        return total


def _mean_square(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.sum((other - one).pow(2)) / one.numel()
