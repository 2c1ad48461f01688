"""The costs of a model of any make: parameters, the paper's convention, and operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from harness.costs.paper import PaperCount, count_paper
from harness.costs.trace import Traced, composite_attention, trace

__all__ = ["Costs", "count"]


@dataclass(frozen=True)
class Costs:
    """What one forward pass costs, and how large the model is.

    Attributes
    ----------
    trainable, registered : int
        Parameters that require gradients, and all that the model has (what fvcore's ``parameter_count`` gives).
    paper : PaperCount
        The paper's convention.
    traced : Traced
        fvcore's convention.
    """

    trainable: int
    registered: int
    paper: PaperCount
    traced: Traced

    def joined(self, part: Costs, name: str) -> Costs:
        """Add the costs of a part that was left out, and that sits in the model under `name`."""
        return Costs(
            self.trainable + part.trainable,
            self.registered + part.registered,
            PaperCount(
                self.paper.macs + part.paper.macs,
                self.paper.params + part.paper.params,
                _sum(self.paper.left_out, part.paper.left_out),
            ),
            Traced(
                _sum(self.traced.by_operation, part.traced.by_operation),
                _sum(self.traced.uncounted, part.traced.uncounted),
                (*self.traced.dropped, *(f"{name}.{module}" for module in part.traced.dropped)),
                (*self.traced.never_used, *(f"{name}.{module}" for module in part.traced.never_used)),
                self.traced.unregistered + part.traced.unregistered,
            ),
        )

    def shared_by(self, size: int) -> Costs:
        """Return one utterance's share in a batch of `size`: all operations grow with the batch by the same factor.

        How often an operation occurs does not depend on the batch.
        """
        macs = {"paper": self.paper.macs, **self.traced.by_operation}
        if uneven := [name for name, value in macs.items() if value % size]:
            raise ValueError(f"{', '.join(uneven)}: not {size} equal shares")
        by_operation = {name: value // size for name, value in self.traced.by_operation.items()}
        return replace(
            self,
            paper=replace(self.paper, macs=self.paper.macs // size),
            traced=replace(self.traced, by_operation=by_operation),
        )


def count(model: nn.Module, call: Callable[..., Any], *inputs: torch.Tensor) -> Costs:
    """Count what `call` on `inputs` costs; it calls `model`, which is put in eval mode."""
    model.eval()
    with torch.no_grad(), composite_attention():
        paper = count_paper(model, lambda: call(*inputs))
    parameters = list(model.parameters())
    return Costs(
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        registered=sum(p.numel() for p in parameters),
        paper=paper,
        traced=trace(model, call, inputs),
    )


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted((Counter(one) + Counter(other)).items()))
