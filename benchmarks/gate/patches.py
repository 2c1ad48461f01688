"""The ways in which part 3 breaks the code: patches that are applied in a process of their own and never undone.

The run id does not know of them, so that broken runs belong into a store of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.executors.worker import Report
from harness.training.job import Job

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BREAKS", "VARIABLE", "Break", "execute_broken"]

VARIABLE = "GATE_BENCHMARK_BREAK"
"""The environment variable that tells a worker what to break."""


@dataclass(frozen=True)
class Break:
    """One way to break the code.

    Attributes
    ----------
    title : str
    harmful : bool
        Whether the numbers should get worse; the others say what the gate does not mind.
    patch : callable
    scoring : bool
        Whether it is the scores that are broken: the records are then those of unbroken code.
    """

    title: str
    harmful: bool
    patch: Callable[[], None]
    scoring: bool = False


def execute_broken(job: Job, report: Report) -> None:
    """Be the target of a worker: break its process, then run the job as ever."""
    BREAKS[os.environ[VARIABLE]].patch()
    from harness.training.run import execute

    execute(job, report)


def _put(where: Any, name: str, new: Any) -> None:
    """Put something else in the place of what must be there."""
    if not hasattr(where, name):
        raise AttributeError(f"{where} has no {name} that could be broken")
    setattr(where, name, new)


def _nothing() -> None:
    """Leave everything as it is."""


def _drop(modality: str, group: str) -> Callable[[], None]:
    """Set one group of features to zero in every batch of every split."""

    def patch() -> None:
        from harness.data import load_definition
        from harness.data.batching import Batch, Batches
        from harness.data.synthetic import plan

        found = [one for one in plan(load_definition("synthetic")) if (one.modality, one.name) == (modality, group)]
        columns = slice(found[0].columns.start, found[0].columns.stop)
        serve = vars(Batches)["_serve"]

        def dropping(self: Batches, order: NDArray[np.int64]) -> Iterator[Batch]:
            for batch in serve(self, order):
                getattr(batch, modality)[..., columns] = 0
                yield batch

        _put(Batches, "_serve", dropping)

    return patch


def _rate(factor: float) -> Callable[[], None]:
    """Multiply the learning rates that an optimiser starts with."""

    def patch() -> None:
        place: Any = import_module("harness.training.run")

        make = place.make_recipe

        def wrong(*args: Any) -> Any:
            recipe = make(*args)
            for group in recipe.optimizer.param_groups:
                group["lr"] *= factor
            return recipe

        _put(place, "make_recipe", wrong)

    return patch


def _order(*, by_label: bool) -> Callable[[], None]:
    """Serve every pass in one and the same order: the file's, or with the labels rising."""

    def patch() -> None:
        import torch

        from harness.data.batching import Batch, Batches

        def unshuffled(self: Batches) -> Iterator[Batch]:
            for _ in range(2):  # the draws of a shuffled pass, so that nothing else changes
                torch.empty((), dtype=torch.int64).random_()
            if not by_label:
                return self.in_order()
            order = np.argsort(vars(self)["_labels"]["M"], kind="stable").astype(np.int64)
            served: Iterator[Batch] = vars(Batches)["_serve"](self, order)
            return served

        _put(Batches, "__iter__", unshuffled)

    return patch


def _no_dropout() -> None:
    """Let every dropout layer and function pass its input on."""
    import torch
    from torch.nn import functional

    from harness.models import dropout

    def nothing(input: torch.Tensor, *_args: Any, **_options: Any) -> torch.Tensor:  # noqa: A002 -- torch's name
        return input

    def forward(_self: dropout.Dropout, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 -- torch's name
        return input

    _put(functional, "dropout", nothing)
    _put(dropout.Dropout, "forward", forward)


def _stop_on_train() -> None:
    """Choose the epoch by the training split."""
    place: Any = import_module("harness.training.run")

    class Wrong(place.Trainer):  # type: ignore[misc]
        """A trainer whose validation split is its training split."""

        def __init__(self, model: Any, recipe: Any, train: Any, valid: Any, *, max_epochs: int) -> None:
            del valid
            super().__init__(model, recipe, train, train, max_epochs=max_epochs)

    _put(place, "Trainer", Wrong)


def _cut_shifted() -> None:
    """Put the cut of Acc-2 and F1 one class lower, for labels and predictions alike."""
    from harness.metrics import _SIMS_CUTS

    _SIMS_CUTS[2] = (-0.1,)


def _cut_of_labels() -> None:
    """Cut the labels of Acc-2 and F1 one class lower than the predictions: neutral labels count as positive."""
    import harness.metrics as place

    reduce = place.reductions

    def wrong(task: Any, convention: Any, label: NDArray[Any], pred: NDArray[Any]) -> Mapping[str, place.Reduction]:
        found = reduce(task, convention, label, pred)
        shifted = reduce(task, convention, np.where(np.abs(label) < 0.1, 0.2, label), pred)
        return {**found, "Acc-2": shifted["Acc-2"], "F1": shifted["F1"]}

    _put(place, "reductions", wrong)


def _rolled() -> None:
    """Give every utterance the prediction of the one before it."""
    place: Any = import_module("harness.results")

    compute = place.compute

    def wrong(task: Any, convention: Any, label: NDArray[Any], pred: NDArray[Any]) -> Any:
        return compute(task, convention, label, np.roll(pred, 1, axis=0))

    _put(place, "compute", wrong)


BREAKS: Mapping[str, Break] = {
    "nothing": Break("nothing (control)", False, _nothing),
    "cut": Break("Acc-2 and F1 cut one class lower", True, _cut_shifted, scoring=True),
    "cut-of-labels": Break("Acc-2 and F1: labels cut one class lower", True, _cut_of_labels, scoring=True),
    "rolled": Break("predictions one utterance off", True, _rolled, scoring=True),
    "text": Break("the group with most of the signal dropped (half of text)", True, _drop("text", "signal")),
    "rate-high": Break("learning rate x 10", True, _rate(10.0)),
    "rate-higher": Break("learning rate x 3", True, _rate(3.0)),
    "sorted": Break("no shuffling, utterances sorted by label", True, _order(by_label=True)),
    "unshuffled": Break("no shuffling, utterances in random order", False, _order(by_label=False)),
    "group": Break("a group with a little signal dropped (vision PDM)", True, _drop("vision", "PDM")),
    "rate-low": Break("learning rate x 0.1", True, _rate(0.1)),
    "distractor": Break("a group without a signal dropped (audio ZCR)", False, _drop("audio", "ZCR")),
    "no-dropout": Break("no dropout", True, _no_dropout),
    "stop-on-train": Break("early stopping on the training split", True, _stop_on_train),
}
