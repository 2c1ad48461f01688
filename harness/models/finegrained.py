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

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from harness.models import grouped
from harness.models.grouped import CellWeights, Heads, Kernel
from harness.models.heads import HeadAttention
from harness.spec import FineGrainedOptions

__all__ = [
    "FineGrainedCell",
    "FineGrainedExtractor",
    "FineGrainedRecurrent",
    "HeadAttention",
    "Layout",
    "Rebuild",
    "apply_fine_grained",
    "resized",
    "set_batched",
]

Layout: TypeAlias = Literal["features_last", "channels_first", "cell", "packed"]
Rebuild: TypeAlias = Callable[[nn.Module, int], nn.Module]
State: TypeAlias = tuple[torch.Tensor, torch.Tensor]


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
    kernel : str, callable or None
        How to compute all groups at once, see `harness.models.grouped`; None: by the type of the extractors.

    Attributes
    ----------
    batched : bool
        False computes one group after another: the reference, and what costs are counted on.
    """

    def __init__(
        self,
        extractors: Sequence[nn.Module],
        widths: Sequence[int],
        width: int,
        layout: Layout,
        options: FineGrainedOptions,
        kernel: str | Kernel | None = None,
    ) -> None:
        super().__init__()
        self.extractors = nn.ModuleList(extractors)
        self.attention = HeadAttention(len(widths), width, options)
        self.widths = list(widths)
        self.channels_first = layout == "channels_first"
        self.batched = True
        self.kernel = grouped.choose(kernel, self.extractors[0], channels_first=self.channels_first)
        # Fewer columns than h: attention is cheaper among the columns than among what linear layers make of them.
        narrow = sum(widths) + len(widths) <= width and options.qkv == "shared"
        self._by_columns = narrow and self.kernel is grouped.linear

    def forward(self, x: torch.Tensor, *extra: Any) -> torch.Tensor:
        """Map the whole modality to what the original extractor would return, in shape; `extra` goes to each copy."""
        mixed = self._mixed(x, *extra)
        return mixed.transpose(1, 2) if self.channels_first else mixed

    def _mixed(self, x: torch.Tensor, *extra: Any) -> torch.Tensor:
        if self.batched and self._by_columns:
            features, basis = grouped.coordinates(list(self.extractors), self.widths, x)
            heads = self.attention.heads(basis)
            return _with_time(features, lambda stepped: grouped.attend(stepped, heads))
        loop = grouped.each_channels_first if self.channels_first else grouped.each
        compute = self.kernel if self.batched else loop
        return _with_time(compute(list(self.extractors), self.widths, x, *extra), self.attention)


def _with_time(features: torch.Tensor, block: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Call the block, which takes (B, T, n, h), on sub-features that may have but one step, (B, n, h)."""
    if features.dim() == 3:
        return block(features.unsqueeze(1)).squeeze(1)
    return block(features)


class FineGrainedCell(nn.Module):
    """The same for an LSTMCell inside a model's own time loop: the block runs on the n h's and again on the n c's.

    With ``cell_states: combined`` every group's cell starts each step from the recombined state that the model hands
    back; with ``own`` from its own last state, and the model's is used at the first step of a forward pass alone.

    Attributes
    ----------
    batched : bool
        False computes one group after another: the reference, and what costs are counted on.
    """

    def __init__(
        self, cells: Sequence[nn.Module], widths: Sequence[int], width: int, options: FineGrainedOptions
    ) -> None:
        super().__init__()
        self.cells = nn.ModuleList(cells)
        self.attention = HeadAttention(len(widths), width, options)
        self.widths = list(widths)
        self.batched = True
        self.own_states = options.cell_states == "own"
        self._keep = False
        self._kept: dict[bool, tuple[CellWeights, Heads]] = {}
        self._states: list[State] = []

    def forward(self, x: torch.Tensor, state: State) -> State:
        """Map one step (B, d) and the state (h, c), each (B, h), to the next state.

        Raises
        ------
        RuntimeError
            If groups keep their own states and no model's forward pass says where they begin, see `bind`.
        """
        if self.own_states or not self.batched:
            return self._one_by_one(x, state)
        weights, heads = self._assembled(len(x))
        both = torch.stack(weights.step(x, state), dim=1).flatten(0, 1).unsqueeze(1)  # (2B, 1, n, h)
        hidden, memory = grouped.attend(both, heads).view(len(x), 2, -1).unbind(1)
        return hidden, memory

    def _one_by_one(self, x: torch.Tensor, state: State) -> State:
        if self.own_states and not self._keep:
            raise RuntimeError("groups with states of their own need a model's forward pass: call bind(model) first")
        parts = torch.split(x, self.widths, dim=-1)
        before = self._states or [state] * len(parts)
        states = [cell(part, old) for cell, part, old in zip(self.cells, parts, before, strict=True)]
        if self.own_states:
            self._states = states
        hidden, memory = (torch.stack(tensors, dim=1).unsqueeze(1) for tensors in zip(*states, strict=True))
        return self.attention(hidden).squeeze(1), self.attention(memory).squeeze(1)

    def bind(self, model: nn.Module) -> None:
        """Tell the forward passes of `model` apart.

        Weights assembled at the first time step serve all steps of one pass and no other; states that groups keep
        begin and end with it.
        """
        model.register_forward_pre_hook(self._open)
        model.register_forward_hook(self._close, always_call=True)

    def _assembled(self, rows: int) -> tuple[CellWeights, Heads]:
        key = torch.is_grad_enabled()
        if key in self._kept:
            return self._kept[key]
        assembled = CellWeights.of(list(self.cells), rows), self.attention.heads()
        if self._keep:
            self._kept[key] = assembled
        return assembled

    def _open(self, *_: Any) -> None:
        self._keep = True
        self._clear()

    def _close(self, *_: Any) -> None:
        self._keep = False
        self._clear()

    def _clear(self) -> None:
        self._kept.clear()
        self._states = []

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out what belongs to a pass that is under way."""
        return {**self.__dict__, "_keep": False, "_kept": {}, "_states": []}


class FineGrainedRecurrent(nn.Module):
    """The same for a one-layer LSTM or GRU that is called with a packed sequence and whose outputs and state are used.

    The block runs per time step on the n outputs, both directions side by side.

    Parameters
    ----------
    extractors : sequence of nn.Module
        One LSTM or GRU per group, in one or both directions, of the same hidden size.
    widths : sequence of int
        The groups' widths, in column order.
    width : int
        h: the hidden size times the number of directions.
    options : FineGrainedOptions
        The open choices.

    Attributes
    ----------
    batched : bool
        False computes one group after another: the reference, and what costs are counted on.
    """

    def __init__(
        self, extractors: Sequence[nn.Module], widths: Sequence[int], width: int, options: FineGrainedOptions
    ) -> None:
        super().__init__()
        self.extractors = nn.ModuleList(extractors)
        self.attention = HeadAttention(len(widths), width, options)
        self.widths = list(widths)
        self.batched = True
        first: Any = self.extractors[0]
        if not isinstance(first, (nn.LSTM, nn.GRU)) or first.num_layers != 1 or first.proj_size:
            raise TypeError(f"expected LSTMs or GRUs of one layer, got {first}")

    def forward(self, packed: PackedSequence) -> tuple[PackedSequence, Any]:
        """Map a packed modality to packed outputs (h wide) and the final state.

        The final hidden state (directions, B, H) is taken from the recombined outputs as an LSTM's is from its own:
        its forward half at each sequence's last step, its backward half at the first. An LSTM's state is a pair; the
        recombination has no cell state, so that its second part is None.
        """
        # Without its order, a packed sequence unpacks to rows from the longest to the shortest, as it is packed.
        padded, lengths = pad_packed_sequence(PackedSequence(packed.data, packed.batch_sizes))
        inside = (torch.arange(len(padded)).unsqueeze(1) < lengths).to(padded.device)  # (T, B)
        if self.batched:
            features = grouped.recurrent(list(self.extractors), self.widths, padded, lengths)[inside]
        else:
            parts = zip(self.extractors, torch.split(packed.data, self.widths, dim=-1), strict=True)
            features = torch.stack([rnn(packed._replace(data=part))[0].data for rnn, part in parts], dim=-2)
        if self.attention.over_time:
            spread = features.new_zeros(*inside.shape, *features.shape[1:])
            spread[inside] = features
            mixed = self.attention(spread.transpose(0, 1), inside.T).transpose(0, 1)[inside]
        else:
            mixed = self.attention(features.unsqueeze(1)).squeeze(1)
        return packed._replace(data=mixed), self._final(mixed, packed, lengths)

    def _final(self, mixed: torch.Tensor, packed: PackedSequence, lengths: torch.Tensor) -> Any:
        first: Any = self.extractors[0]
        starts = torch.cumsum(packed.batch_sizes, 0) - packed.batch_sizes  # of each time step in the packed rows
        rows = torch.arange(len(lengths))
        last = mixed[(starts[lengths - 1] + rows).to(mixed.device)]
        halves = [last[:, : first.hidden_size]]
        if first.bidirectional:
            halves.append(mixed[: len(lengths), first.hidden_size :])
        state = torch.stack(halves)
        if packed.unsorted_indices is not None:
            state = state[:, packed.unsorted_indices]
        return (state, None) if isinstance(first, nn.LSTM) else state


def set_batched(model: nn.Module, flag: bool) -> None:
    """Compute all groups at once, or one after another, everywhere in `model`."""
    for module in model.modules():
        if isinstance(module, (HeadAttention, FineGrainedExtractor, FineGrainedCell, FineGrainedRecurrent)):
            module.batched = flag


def resized(module: nn.Module, width: int) -> nn.Module:
    """Build a fresh copy of a standard layer with another input width.

    Raises
    ------
    TypeError
        For a layer that is not known here: its model's registry entry must then say how to rebuild it.
    """
    if isinstance(module, nn.LSTMCell):
        return nn.LSTMCell(width, module.hidden_size, bias=module.bias)
    if isinstance(module, (nn.LSTM, nn.GRU)):
        settings: dict[str, Any] = {
            "num_layers": module.num_layers,
            "bias": module.bias,
            "batch_first": module.batch_first,
            "dropout": module.dropout,
            "bidirectional": module.bidirectional,
        }
        return type(module)(width, module.hidden_size, **settings)
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
    kernel: str | Kernel | None = None,
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
    kernel : str, callable or None
        How to compute all groups at once, see `harness.models.grouped`; None: by the type of the extractor.
    """
    extractor = model.get_submodule(path)
    widths = [d for _, d in groups]
    device = next(extractor.parameters()).device
    copies = [rebuild(extractor, d) for d in widths]
    replacement: nn.Module
    if layout == "cell":
        replacement = FineGrainedCell(copies, widths, width, options)
        replacement.bind(model)
    elif layout == "packed":
        replacement = FineGrainedRecurrent(copies, widths, width, options)
    else:
        replacement = FineGrainedExtractor(copies, widths, width, layout, options, kernel)
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, replacement.to(device))
