"""All groups of a fine-grained extractor at once: the arithmetic behind `harness.models.finegrained`.

The per-group copies stay ordinary modules, so that names, parameters and random draws are those of a plain loop; a
*kernel* here reads their weights and computes what the loop would, in fewer and larger operations. Outputs, gradients
and running statistics equal the loop's up to rounding; dropout draws one mask for all groups instead of one each.

Which way is faster was measured on a CPU with one thread, see `benchmarks.finegrained`:

* small linear maps: one product with a block-diagonal weight; large ones, whose zeros would cost more than the calls
  they save: one product a group (`split_linear` decides);
* recurrent layers over whole sequences: one library call a group. A block-diagonal LSTM does n times the work, and an
  LSTM in stacked products of our own loses to the library's fused steps. What is saved is packing: sequences of unequal
  length run padded, since a packed LSTM takes its steps one by one;
* attention: products of weights are taken once (`Heads`), which halves the work, and narrow linear extractors never
  leave the coordinates of their inputs (`coordinates`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn import functional

__all__ = [
    "KERNELS",
    "CellWeights",
    "Heads",
    "Kernel",
    "attend",
    "choose",
    "coordinates",
    "each",
    "recurrent",
    "split_linear",
]

Kernel: TypeAlias = Callable[..., torch.Tensor]
"""From the copies (n of them), their input widths, the whole modality and what else the extractor is called with, to
the sub-features (B, n, h) or (B, T, n, h)."""

_DENSE_BELOW = 400_000
"""Products of rows, inputs and outputs per group below which zeros are cheaper than calls."""
_DENSE_CELL_BELOW = 4 * _DENSE_BELOW
"""The same for a cell, which assembles its block-diagonal weight once for many calls."""


# ---- linear maps -----------------------------------------------------------------------------------------------------


def split_linear(
    x: torch.Tensor, weights: Sequence[torch.Tensor], biases: Sequence[torch.Tensor | None]
) -> torch.Tensor:
    """Map each group of columns of x (..., d) by its own weight (out, d_g) and bias (out,) to (..., n, out)."""
    out, d = weights[0].shape[0], x.shape[-1]
    if x.numel() * out > _DENSE_BELOW:
        parts = torch.split(x, [w.shape[1] for w in weights], dim=-1)
        mapped = [functional.linear(part, w, b) for part, w, b in zip(parts, weights, biases, strict=True)]
        return torch.stack(mapped, dim=-2)
    assert d == sum(w.shape[1] for w in weights), "every column belongs to a group"
    flat = functional.linear(x, _block_diagonal(weights), _joined(biases))
    return flat.view(*flat.shape[:-1], len(weights), out)


def _block_diagonal(weights: Sequence[torch.Tensor]) -> torch.Tensor:
    joined: torch.Tensor = torch.block_diag(*weights)  # type: ignore[no-untyped-call]
    return joined


def _joined(biases: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    present = [b for b in biases if b is not None]
    return torch.cat(present) if present else None


def _stacked_linear(layers: Sequence[Any], x: torch.Tensor) -> torch.Tensor:
    """Map x (n, B, in) by one linear layer a group to (n, B, out)."""
    weight = torch.stack([layer.weight for layer in layers]).transpose(1, 2)
    if layers[0].bias is None:
        return torch.bmm(x, weight)
    return torch.baddbmm(torch.stack([layer.bias for layer in layers]).unsqueeze(1), x, weight)


# ---- attention -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heads:
    """The weights of the attention of `harness.models.finegrained.HeadAttention`, ready to use.

    With shared maps, scores are x_i' W_Q' W_K x_j and heads enter the result as W_O,i W_V x_j: two products of weights,
    ``score`` (h, h) and ``mix`` (out, n * h), do the work of four maps. With maps per head, ``maps`` (n, 3h, h) holds
    Q, K and V, and ``mix`` is W_O itself. For sub-features in coordinates of width D, D stands in the place of h.

    Attributes
    ----------
    score, maps : torch.Tensor or None
        One of the two. ``score`` and the queries of ``maps`` include the scale.
    mix, bias : torch.Tensor
    over_time : bool
        Whether each head attends to its own time steps.
    """

    score: torch.Tensor | None
    maps: torch.Tensor | None
    mix: torch.Tensor
    bias: torch.Tensor
    over_time: bool


def attend(x: torch.Tensor, heads: Heads, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Recombine sub-features (B, T, n, h) into (B, T, out); `mask` (B, T) is true at steps that may be attended to."""
    x = x.contiguous()  # what torch's fast attention takes
    if heads.score is not None:
        query, key, value = x @ heads.score, x, x
    else:
        assert heads.maps is not None
        query, key, value = torch.einsum("btnh,nkh->btnk", x, heads.maps).chunk(3, dim=-1)
    allowed = None
    if heads.over_time:
        query, key, value = (t.transpose(1, 2) for t in (query, key, value))
        allowed = mask[:, None, None, :] if mask is not None else None
    mixed = functional.scaled_dot_product_attention(query, key, value, allowed, scale=1.0)
    if heads.over_time:
        mixed = mixed.transpose(1, 2)
    return functional.linear(mixed.flatten(start_dim=-2), heads.mix, heads.bias)


def coordinates(copies: Sequence[Any], widths: Sequence[int], x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Write the outputs of linear extractors as basis times coordinates, without computing them.

    Sub-feature i is a linear map of few columns and of the constant 1; so its coordinates are those, and zeros for all
    other groups.

    Returns
    -------
    coordinates : torch.Tensor
        (..., n, d), or (..., n, d + n) with biases.
    basis : torch.Tensor
        (h, d) or (h, d + n): weights and biases side by side.
    """
    n = len(widths)
    owner = torch.repeat_interleave(torch.arange(n), torch.tensor(widths))
    basis = [copy.weight for copy in copies]
    if copies[0].bias is not None:
        owner = torch.cat([owner, torch.arange(n)])
        basis += [copy.bias.unsqueeze(1) for copy in copies]
        x = functional.pad(x, (0, n), value=1.0)
    own = (owner == torch.arange(n).unsqueeze(1)).to(x)
    return x.unsqueeze(-2) * own, torch.cat(basis, dim=1)


# ---- kernels ---------------------------------------------------------------------------------------------------------


def each(copies: Sequence[nn.Module], widths: Sequence[int], x: torch.Tensor, *extra: Any) -> torch.Tensor:
    """Call one copy after another, features last: the plain loop."""
    parts = zip(copies, torch.split(x, list(widths), dim=-1), strict=True)
    return torch.stack([copy(part, *extra) for copy, part in parts], dim=-2)


def each_channels_first(copies: Sequence[nn.Module], widths: Sequence[int], x: torch.Tensor) -> torch.Tensor:
    """The plain loop over x (B, d, T)."""
    parts = zip(copies, torch.split(x, list(widths), dim=1), strict=True)
    return torch.stack([copy(part) for copy, part in parts], dim=1).permute(0, 3, 1, 2)


def linear(copies: Sequence[Any], _widths: Sequence[int], x: torch.Tensor) -> torch.Tensor:
    """One linear layer a group."""
    return split_linear(x, [copy.weight for copy in copies], [copy.bias for copy in copies])


def conv(copies: Sequence[Any], widths: Sequence[int], x: torch.Tensor) -> torch.Tensor:
    """One Conv1d a group over x (B, d, T), as one convolution."""
    first: nn.Conv1d = copies[0]
    # Columns (group, channel, tap) of the block-diagonal matrix are those of a convolution over all channels.
    weight = _block_diagonal([copy.weight.flatten(1) for copy in copies])
    weight = weight.view(len(weight), sum(widths), -1)
    bias = _joined([copy.bias for copy in copies])
    padding: Any = first.padding
    y = functional.conv1d(x, weight, bias, first.stride, padding, first.dilation)
    return y.view(len(y), len(copies), -1, y.shape[-1]).permute(0, 3, 1, 2)


def subnet(copies: Sequence[Any], widths: Sequence[int], x: torch.Tensor) -> torch.Tensor:
    """The SubNet of TFN and its kin over x (B, d): batch norm, dropout, and three linear layers with ReLU."""
    y = _batch_norm([copy.norm for copy in copies], widths, x)
    first = copies[0]
    y = functional.dropout(y, first.drop.p, first.drop.training)
    y = linear([copy.linear_1 for copy in copies], widths, y).relu().transpose(0, 1)
    y = _stacked_linear([copy.linear_2 for copy in copies], y).relu()
    y = _stacked_linear([copy.linear_3 for copy in copies], y).relu()
    return y.transpose(0, 1)


def _batch_norm(norms: Sequence[Any], widths: Sequence[int], x: torch.Tensor) -> torch.Tensor:
    first: nn.BatchNorm1d = norms[0]
    mean = torch.cat([norm.running_mean for norm in norms])
    variance = torch.cat([norm.running_var for norm in norms])
    weight = torch.cat([norm.weight for norm in norms])
    bias = torch.cat([norm.bias for norm in norms])
    assert first.momentum is not None, "checked when the kernel was chosen"
    y = functional.batch_norm(x, mean, variance, weight, bias, first.training, first.momentum, first.eps)
    if first.training:
        with torch.no_grad():
            parts = (torch.split(statistic, list(widths)) for statistic in (mean, variance))
            for norm, m, v in zip(norms, *parts, strict=True):
                norm.running_mean.copy_(m)
                norm.running_var.copy_(v)
                norm.num_batches_tracked.add_(1)
    return y


def lstm_last(copies: Sequence[Any], widths: Sequence[int], x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The AuViSubNet of Self-MM over x (B, T, d): an LSTM's state at its sequence's last step, dropout, a linear layer.

    Padding after the last step cannot reach the state before it, so that nothing needs packing.
    """
    last = lengths.to(x.device, torch.int64) - 1
    rows = torch.arange(len(x), device=x.device)
    parts = torch.split(x[:, : int(lengths.max())], list(widths), dim=-1)
    states = [copy.rnn(part)[0][rows, last] for copy, part in zip(copies, parts, strict=True)]
    first = copies[0]
    y = functional.dropout(torch.stack(states), first.dropout.p, first.dropout.training)
    return _stacked_linear([copy.linear_1 for copy in copies], y).transpose(0, 1)


def lstm_conv(copies: Sequence[Any], widths: Sequence[int], x: torch.Tensor) -> torch.Tensor:
    """The front end of TETFN over x (B, T, d): all outputs of an LSTM, then a Conv1d over time."""
    parts = torch.split(x, list(widths), dim=-1)
    outputs = torch.cat([copy.lstm(part)[0] for copy, part in zip(copies, parts, strict=True)], dim=-1)
    convs = [copy.conv for copy in copies]
    weight, bias = torch.cat([c.weight for c in convs]), _joined([c.bias for c in convs])
    first: nn.Conv1d = convs[0]
    padding: Any = first.padding
    y = functional.conv1d(
        outputs.transpose(1, 2), weight, bias, first.stride, padding, first.dilation, groups=len(copies)
    )
    return y.view(len(y), len(copies), -1, y.shape[-1]).permute(0, 3, 1, 2)


def recurrent(copies: Sequence[Any], widths: Sequence[int], x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """One-layer LSTMs or GRUs, one or both directions, over padded x (T, B, d): outputs (T, B, n, h).

    Outputs at padding are of no meaning. The backward direction is a forward pass over sequences that were reversed
    each within its own length, which is its own inverse.
    """
    steps, size = x.shape[:2]
    time = torch.arange(steps, device=x.device).unsqueeze(1)
    inside = time < lengths.to(x.device)
    turned = torch.where(inside, lengths.to(x.device) - 1 - time, time), torch.arange(size, device=x.device)

    def run(copy: Any, part: torch.Tensor) -> torch.Tensor:
        forward = _one_direction(copy, part, "")
        if not copy.bidirectional:
            return forward
        return torch.cat([forward, _one_direction(copy, part[turned], "_reverse")[turned]], dim=-1)

    return torch.stack([run(c, p) for c, p in zip(copies, torch.split(x, list(widths), dim=-1), strict=True)], dim=-2)


def _one_direction(rnn: Any, x: torch.Tensor, suffix: str) -> torch.Tensor:
    names = ("weight_ih_l0", "weight_hh_l0", *(("bias_ih_l0", "bias_hh_l0") if rnn.bias else ()))
    weights = [getattr(rnn, name + suffix) for name in names]
    start = x.new_zeros(1, x.shape[1], rnn.hidden_size)
    settings: tuple[Any, ...] = (weights, rnn.bias, 1, 0.0, rnn.training, False, False)
    outputs: torch.Tensor
    if isinstance(rnn, nn.LSTM):
        outputs = torch.lstm(x, (start, start), *settings)[0]
    else:
        outputs = torch.gru(x, start, *settings)[0]
    return outputs


# ---- a cell in a model's own time loop -------------------------------------------------------------------------------


@dataclass(frozen=True)
class CellWeights:
    """The weights of n LSTMCells that share their state, assembled once a pass.

    Attributes
    ----------
    inputs : tuple of (weight, bias)
        One pair for all columns, or one for each group's. Biases hold both of torch's.
    state : torch.Tensor
        (H, 4 * n * H). The gates stand in the order input, forget, output, candidate: three of them take one sigmoid.
    n, hidden : int
    """

    inputs: tuple[tuple[torch.Tensor, torch.Tensor | None], ...]
    state: torch.Tensor
    n: int
    hidden: int

    @classmethod
    def of(cls, cells: Sequence[Any], rows: int) -> CellWeights:
        """Assemble for `rows` samples at a time."""
        n, hidden = len(cells), int(cells[0].hidden_size)
        state = _gates_first(torch.cat([cell.weight_hh for cell in cells]), n).T
        if rows * sum(cell.input_size for cell in cells) * 4 * hidden > _DENSE_CELL_BELOW:
            pairs = tuple((_gates_first(cell.weight_ih, 1), _cell_bias([cell])) for cell in cells)
            return cls(pairs, state, n, hidden)
        weight = _gates_first(_block_diagonal([cell.weight_ih for cell in cells]), n)
        return cls(((weight, _cell_bias(cells)),), state, n, hidden)

    def step(self, x: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Map one step (B, d) and the state that all cells share, h and c (B, H), to the cells' (B, n, H) each."""
        h, c = state
        gates = torch.addmm(self._from_inputs(x), h, self.state).view(-1, 4, self.n, self.hidden)
        opened, candidate = torch.split(gates, [3, 1], dim=1)
        i, f, o = opened.sigmoid().unbind(1)
        memory = torch.addcmul(f * c.unsqueeze(1), i, candidate.squeeze(1).tanh())
        return o * memory.tanh(), memory

    def _from_inputs(self, x: torch.Tensor) -> torch.Tensor:
        """Map x (B, d) to what it adds to the gates, (B, 4 * n * H)."""
        if len(self.inputs) == 1:
            return functional.linear(x, *self.inputs[0])
        parts = torch.split(x, [weight.shape[1] for weight, _ in self.inputs], dim=-1)
        mapped = [functional.linear(part, *pair) for part, pair in zip(parts, self.inputs, strict=True)]
        return torch.stack([y.view(-1, 4, self.hidden) for y in mapped], dim=2).flatten(1)


def _gates_first(stacked: torch.Tensor, n: int) -> torch.Tensor:
    """Reorder the rows of n cells, (n, 4, H) with torch's order of gates, to (4, n, H) with ours."""
    gates = stacked.view(n, 4, -1, *stacked.shape[1:]).transpose(0, 1)
    return torch.cat([gates[:2], gates[3:], gates[2:3]]).flatten(0, 2)


def _cell_bias(cells: Sequence[Any]) -> torch.Tensor | None:
    if not cells[0].bias:
        return None
    # A plain sum of the two would hand both the very same gradient, and adding to one would change the other.
    both = torch.cat([cell.bias_ih for cell in cells] + [cell.bias_hh for cell in cells])
    return _gates_first(both.view(2, -1).sum(dim=0), len(cells))


# ---- choice ----------------------------------------------------------------------------------------------------------


def _plain_recurrent(layer: Any) -> bool:
    simple = isinstance(layer, (nn.LSTM, nn.GRU)) and layer.num_layers == 1
    return simple and not getattr(layer, "proj_size", 0)


def _plain_lstm(layer: Any) -> bool:
    return isinstance(layer, nn.LSTM) and _plain_recurrent(layer) and not layer.bidirectional and layer.batch_first


def _plain_conv(layer: Any) -> bool:
    return isinstance(layer, nn.Conv1d) and layer.groups == 1 and layer.padding_mode == "zeros"


KERNELS: Mapping[str, tuple[Kernel, Callable[[Any], bool]]] = {
    "linear": (linear, lambda copy: type(copy) is nn.Linear),
    "conv": (conv, lambda copy: type(copy) is nn.Conv1d and _plain_conv(copy)),
    "subnet": (subnet, lambda copy: copy.norm.momentum is not None and copy.norm.track_running_stats),
    "lstm_last": (lstm_last, lambda copy: _plain_lstm(copy.rnn)),
    "lstm_conv": (lstm_conv, lambda copy: _plain_lstm(copy.lstm) and _plain_conv(copy.conv)),
}
"""Kernels by name, each with the extractors that it can stand for."""


def choose(wanted: str | Kernel | None, copy: nn.Module, *, channels_first: bool) -> Kernel:
    """Return the kernel that a site asks for, or that a standard layer has, or else the plain loop."""
    if callable(wanted):
        return wanted
    if wanted is None:
        wanted = {nn.Linear: "linear", nn.Conv1d: "conv"}.get(type(copy))
    if wanted is not None and channels_first == (wanted == "conv"):
        kernel, fits = KERNELS[wanted]
        if fits(copy):
            return kernel
    return each_channels_first if channels_first else each
