"""The one training loop: epochs, early stopping on the validation loss, the best weights, a complete state.

The order of work and of random draws is MMSA's: per epoch a shuffled training pass and a shuffled validation pass, the
validation loss rounded to four digits, an epoch better when it is lower by 1e-6 or more. MMSA's loops know no epoch
bound; this one has one besides early stopping.
"""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from harness.data.batching import Batch, Batches
from harness.errors import RunError
from harness.training.recipes import Recipe

__all__ = ["Epoch", "Trainer", "evaluate"]

_BETTER_BY = 1e-6
_NO_LOSS_YET = 1e8


@dataclass(frozen=True)
class Epoch:
    """One line of a run's history; losses are means over batches."""

    epoch: int
    train_loss: float
    valid_loss: float
    learning_rate: float
    best: bool
    seconds: float


class Trainer:
    """Train a model by a recipe until it stops getting better or reaches its epoch bound.

    Parameters
    ----------
    model : nn.Module
        Built and on its device.
    recipe : Recipe
        What this model's family does.
    train, valid : Batches
        The two splits.
    max_epochs : int
        Epoch bound.

    Attributes
    ----------
    history : list of Epoch
        What happened so far.
    best_weights : dict
        State dict of the best epoch, on the model's device.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, train: Batches, valid: Batches, *, max_epochs: int) -> None:
        self.model = model
        self.recipe = recipe
        self.train = train
        self.valid = valid
        self.max_epochs = min(max_epochs, recipe.max_epochs or max_epochs)
        self.history: list[Epoch] = []
        self.best_epoch = 0
        self.best_loss = _NO_LOSS_YET
        self.best_weights: dict[str, torch.Tensor] = {}

    @property
    def epoch(self) -> int:
        """Epochs finished so far."""
        return len(self.history)

    @property
    def stopped(self) -> str:
        """Why training is over: ``early stopping`` or ``epoch bound``; empty while it goes on."""
        waited = self.epoch - max(self.best_epoch, self.recipe.warm_up)
        if self.epoch and waited >= self.recipe.patience:
            return "early stopping"
        return "epoch bound" if self.epoch >= self.max_epochs else ""

    def run(self, on_epoch: Callable[[Epoch], None]) -> None:
        """Train to the end and leave the best epoch's weights in the model.

        Raises
        ------
        RunError
            If a loss is not finite, or no epoch ever had a usable validation loss.
        """
        while not self.stopped:
            on_epoch(self.one_epoch())
        if not self.best_weights:
            raise RunError(
                "no epoch had a usable validation loss", where=f"epoch {self.epoch}", hint="lower the learning rate"
            )
        self.model.load_state_dict(self.best_weights)

    def one_epoch(self) -> Epoch:
        """Train for one epoch, validate, and keep the weights if they are the best so far."""
        started = time.perf_counter()
        number = self.epoch + 1
        if number == 1:
            self.recipe.prepare(self.train)
        self.model.train()
        self.recipe.start_epoch(number)
        total = 0.0
        for batch in self.train:
            total += self.recipe.train_batch(batch)
        train_loss = total / len(self.train)
        rate = self.recipe.learning_rate
        valid_loss = round(evaluate(self.recipe, self.valid), 4)
        if not (math.isfinite(train_loss) and math.isfinite(valid_loss)):
            raise RunError(
                f"training diverged: loss {train_loss:g}, validation loss {valid_loss:g}",
                where=f"epoch {number}",
                hint="lower the learning rate, or look for NaN in the features with 'harness data check'",
            )
        self.recipe.end_epoch(valid_loss)
        best = valid_loss <= self.best_loss - _BETTER_BY
        if best:
            self.best_loss, self.best_epoch = valid_loss, number
            self.best_weights = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        finished = Epoch(number, train_loss, valid_loss, rate, best, time.perf_counter() - started)
        self.history.append(finished)
        return finished

    def state_dict(self, *, share: bool = False) -> dict[str, Any]:
        """Return all that a run needs to go on from here as if it had never stopped.

        Model, recipe (optimiser, schedule), early stopping, best weights, history and every random generator: only
        tensors and plain values, so that `torch.load` with ``weights_only`` can read it.

        Parameters
        ----------
        share : bool
            Hand out the tensors themselves, which change with the next batch: enough to write them down at once, and
            no second copy in memory.
        """
        kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 -- the global generator is meant
        version, internal, gauss_next = random.getstate()
        state = {"model": self.model.state_dict(), "recipe": self.recipe.state_dict()}
        return {
            **(state if share else copy.deepcopy(state)),
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
            "best_weights": dict(self.best_weights),
            "history": [asdict(epoch) for epoch in self.history],
            "random": {
                "torch": torch.get_rng_state(),
                # Only that of the run's own device: it may go on beside other devices, and as another number.
                "cuda": torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None,
                "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss],
                "python": [version, list(internal), gauss_next],
            },
        }

    def load_state_dict(self, state: Mapping[str, Any], *, share: bool = False) -> None:
        """Go back to a state from `state_dict`; the model must have been built from the same run spec.

        Parameters
        ----------
        state : mapping
            Its tensors may lie on another device than the model, as those of a file do.
        share : bool
            Keep tensors of `state` where they fit, instead of copies; `state` must not be used any more then.
        """
        self.model.load_state_dict(state["model"])
        self.recipe.load_state_dict(state["recipe"] if share else copy.deepcopy(state["recipe"]))
        self.best_epoch, self.best_loss = state["best_epoch"], state["best_loss"]
        here = self.model.state_dict()
        self.best_weights = {name: tensor.to(here[name].device) for name, tensor in state["best_weights"].items()}
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        generators = state["random"]
        torch.set_rng_state(generators["torch"])
        if generators["cuda"] is not None:
            torch.cuda.set_rng_state(generators["cuda"], self._device)
        kind, keys, position, has_gauss, gauss = generators["numpy"]
        np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
        version, internal, gauss_next = generators["python"]
        random.setstate((version, tuple(internal), gauss_next))

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device


def evaluate(
    recipe: Recipe,
    passes: Iterable[Batch],
    seen: Callable[[Batch, Mapping[str, Any]], None] | None = None,
) -> float:
    """Pass over a split in evaluation mode and return the mean of the batches' losses.

    Parameters
    ----------
    recipe : Recipe
        Holds the model, how to call it, and by which loss to judge it.
    passes : iterable of Batch
        A `Batches` gives a shuffled pass, as MMSA's test has; ``in_order()`` one in file order.
    seen : callable, optional
        Gets every batch and the model's outputs on it.
    """
    recipe.model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for batch in passes:
            outputs = recipe.forward(batch)
            total += recipe.evaluation_loss(outputs, batch).item()
            count += 1
            if seen is not None:
                seen(batch, outputs)
    return total / count
