"""The attention that recombines sub-features: one head per named group (Equations 7 to 9)."""

from __future__ import annotations

import math

import torch
from torch import nn

from harness.models import grouped
from harness.models.grouped import Heads
from harness.spec import FineGrainedOptions

__all__ = ["HeadAttention"]


class HeadAttention(nn.Module):
    """Recombine n sub-features of width h into one, each sub-feature being one attention head (Equations 7 to 9).

    Parameters
    ----------
    n : int
        Number of groups.
    width : int
        h, the width of every sub-feature and of the result.
    options : FineGrainedOptions
        The open choices.
    """

    def __init__(self, n: int, width: int, options: FineGrainedOptions) -> None:
        super().__init__()
        sets = 1 if options.qkv == "shared" else n
        self.query = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(sets))
        self.key = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(sets))
        self.value = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(sets))
        self.out = nn.Linear(n * width, width)
        self.over_time = options.attention == "time"
        self.scale = 1.0 / math.sqrt(width) if options.scale == "sqrt_h" else 1.0
        self.batched = True

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Map sub-features (B, T, n, h) to one feature (B, T, h).

        Attention over time keeps to the steps that are true in `mask` (B, T).
        """
        if self.batched:
            return grouped.attend(x, self.heads(), mask)
        query, key, value = (self._project(maps, x) for maps in (self.query, self.key, self.value))
        if self.over_time:  # (B, n, T, h): every head attends to its own time steps
            query, key, value = (t.transpose(1, 2) for t in (query, key, value))
        scores = query @ key.transpose(-1, -2) * self.scale
        if self.over_time and mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], float("-inf"))
        heads = torch.softmax(scores, dim=-1) @ value
        if self.over_time:
            heads = heads.transpose(1, 2)
        mixed: torch.Tensor = self.out(heads.flatten(start_dim=-2))
        return mixed

    def heads(self, basis: torch.Tensor | None = None) -> Heads:
        """Take the products of weights that `harness.models.grouped.attend` works with.

        With a `basis` (h, D), which needs shared maps, for sub-features x = basis z given as coordinates z.
        """
        weights: list[list[torch.Tensor]] = [
            [layer.get_parameter("weight") for layer in maps] for maps in (self.query, self.key, self.value)
        ]
        out, bias = self.out.weight, self.out.bias
        if len(weights[0]) == 1:
            query, key, value = (maps[0] if basis is None else maps[0] @ basis for maps in weights)
            mix = out.view(len(bias), -1, len(bias)) @ value
            return Heads(self.scale * query.T @ key, None, mix.flatten(1), bias, self.over_time)
        stacked = [torch.stack(each) for each in weights]
        maps = torch.cat([self.scale * stacked[0], *stacked[1:]], dim=1)
        return Heads(None, maps, out, bias, self.over_time)

    def _project(self, maps: nn.ModuleList, x: torch.Tensor) -> torch.Tensor:
        if len(maps) == 1:
            shared: torch.Tensor = maps[0](x)
            return shared
        return torch.stack([layer(x[..., i, :]) for i, layer in enumerate(maps)], dim=-2)
