"""The fine-grained method of the paper (Section 3.3) as one piece of code, applied to a model that is already built.

For every split modality with groups of widths d_1 .. d_n the model's own extractor is replaced by

1. one copy of it per group, d_g -> h, with the h of the original;
2. self-attention in which group i is head i (Equations 7 to 9): W_Q, W_K, W_V of h x h without bias, by default ONE set
   shared by all heads, and W_O of (n*h) x h with bias over the concatenated heads.

This adds (3 + n) h^2 + h parameters per modality, which is what the printed Params of 21 of 21 rows need; one set per
head, as the equations index them, would miss 20 of them. Choices that the costs leave open are named options, see
`harness.spec.FineGrainedOptions`. Everything else in the model is left as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from harness.spec import FineGrainedOptions

__all__ = [
    "FineGrainedCell",
    "FineGrainedExtractor",
    "HeadAttention",
    "Layout",
    "Rebuild",
    "apply_fine_grained",
    "resized",
]

Layout: TypeAlias = Literal["features_last", "channels_first", "cell"]
Rebuild: TypeAlias = Callable[[nn.Module, int], nn.Module]


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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map sub-features (B, T, n, h) to one feature (B, T, h)."""
        query, key, value = (self._project(maps, x) for maps in (self.query, self.key, self.value))
        if self.over_time:  # (B, n, T, h): every head attends to its own time steps
            query, key, value = (t.transpose(1, 2) for t in (query, key, value))
        weights = torch.softmax(query @ key.transpose(-1, -2) * self.scale, dim=-1)
        heads = weights @ value
        if self.over_time:
            heads = heads.transpose(1, 2)
        mixed: torch.Tensor = self.out(heads.flatten(start_dim=-2))
        return mixed

    def _project(self, maps: nn.ModuleList, x: torch.Tensor) -> torch.Tensor:
        if len(maps) == 1:
            shared: torch.Tensor = maps[0](x)
            return shared
        return torch.stack([layer(x[..., i, :]) for i, layer in enumerate(maps)], dim=-2)


class FineGrainedExtractor(nn.Module):
    """Per-group copies of an extractor and their recombination, with the extractor's own interface.

    Parameters
    ----------
    extractors : sequence of nn.Module
        One per group.
    widths : sequence of int
        The groups' widths, in column order.
    width : int
        h, the width of the extractors' outputs.
    layout : {"features_last", "channels_first"}
        Whether features are the last axis, (B, d) or (B, T, d), or the second, (B, d, T).
    options : FineGrainedOptions
        The open choices.
    """

    def __init__(
        self,
        extractors: Sequence[nn.Module],
        widths: Sequence[int],
        width: int,
        layout: Layout,
        options: FineGrainedOptions,
    ) -> None:
        super().__init__()
        self.extractors = nn.ModuleList(extractors)
        self.attention = HeadAttention(len(widths), width, options)
        self.widths = list(widths)
        self.axis = 1 if layout == "channels_first" else -1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map the whole modality to what the original extractor would return, in shape."""
        parts = zip(self.extractors, torch.split(x, self.widths, dim=self.axis), strict=True)
        features = torch.stack([extractor(part) for extractor, part in parts], dim=-2 if self.axis == -1 else 1)
        if self.axis == 1:  # (B, n, h, T) -> (B, T, n, h)
            stepped: torch.Tensor = self.attention(features.permute(0, 3, 1, 2))
            return stepped.transpose(1, 2)
        if features.dim() == 3:  # (B, n, h): a single step
            single: torch.Tensor = self.attention(features.unsqueeze(1))
            return single.squeeze(1)
        mixed: torch.Tensor = self.attention(features)
        return mixed


class FineGrainedCell(nn.Module):
    """The same for an LSTMCell inside a model's own time loop: the block runs on the n h's and again on the n c's.

    Every group's cell starts each step from the recombined state (option ``cell_states: combined``).
    """

    def __init__(
        self, cells: Sequence[nn.Module], widths: Sequence[int], width: int, options: FineGrainedOptions
    ) -> None:
        super().__init__()
        self.cells = nn.ModuleList(cells)
        self.attention = HeadAttention(len(widths), width, options)
        self.widths = list(widths)

    def forward(self, x: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Map one step (B, d) and the state (h, c), each (B, h), to the next state."""
        parts = torch.split(x, self.widths, dim=-1)
        states = [cell(part, state) for cell, part in zip(self.cells, parts, strict=True)]
        hidden, memory = (torch.stack(tensors, dim=1).unsqueeze(1) for tensors in zip(*states, strict=True))
        return self.attention(hidden).squeeze(1), self.attention(memory).squeeze(1)


def resized(module: nn.Module, width: int) -> nn.Module:
    """Build a fresh copy of a standard layer with another input width.

    Raises
    ------
    TypeError
        For a layer that is not known here: its model's registry entry must then say how to rebuild it.
    """
    if isinstance(module, nn.LSTMCell):
        return nn.LSTMCell(width, module.hidden_size, bias=module.bias)
    if isinstance(module, nn.Linear):
        return nn.Linear(width, module.out_features, bias=module.bias is not None)
    if isinstance(module, nn.Conv1d):
        options: dict[str, Any] = {
            "kernel_size": module.kernel_size,
            "stride": module.stride,
            "padding": module.padding,
            "dilation": module.dilation,
            "bias": module.bias is not None,
        }
        return nn.Conv1d(width, module.out_channels, **options)
    raise TypeError(f"do not know how to rebuild a {type(module).__name__} for another input width")


def apply_fine_grained(
    model: nn.Module,
    path: str,
    groups: Sequence[tuple[str, int]],
    *,
    width: int,
    layout: Layout,
    options: FineGrainedOptions,
    rebuild: Rebuild = resized,
) -> None:
    """Replace the extractor at `path` inside `model` by its fine-grained form, in place.

    Parameters
    ----------
    model : nn.Module
        The built model.
    path : str
        Dotted path of the extractor in it.
    groups : sequence of (name, width)
        The modality's named sub-features in column order.
    width : int
        h, the width of the extractor's output.
    layout : Layout
        How the extractor takes its input.
    options : FineGrainedOptions
        The open choices.
    rebuild : callable
        Gives a fresh extractor for a group's width.
    """
    extractor = model.get_submodule(path)
    widths = [d for _, d in groups]
    device = next(extractor.parameters()).device
    copies = [rebuild(extractor, d) for d in widths]
    replacement: nn.Module
    if layout == "cell":
        replacement = FineGrainedCell(copies, widths, width, options)
    else:
        replacement = FineGrainedExtractor(copies, widths, width, layout, options)
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, replacement.to(device))
