"""The paper's convention: the multiply-accumulates and parameters that `thop.profile` reports, counted afresh.

thop looks at modules, not at operations. A module counts if its very type has a rule and it was called in a forward
pass in eval mode; its parameters then count whole. Everything else is left out: embeddings, raw parameters such as
LMF's factors, products written in a forward function, the maps inside `nn.MultiheadAttention`. What is left out is said
by `PaperCount.left_out`. The rules are thop's (0.1.1), odd ones included; they were read there as facts, and
``tests/costs/test_paper.py`` holds the counts against thop itself.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

__all__ = ["PaperCount", "count_paper"]

Rule: TypeAlias = Callable[[Any, Any, Any], int]
"""From a module, its first input and its output to multiply-accumulates."""


@dataclass(frozen=True)
class PaperCount:
    """Costs of one forward pass as thop has them.

    Attributes
    ----------
    macs : int
        Multiply-accumulates of the pass.
    params : int
        Parameters of the modules that count.
    left_out : mapping
        All other parameters, by the type of the module that holds them.
    """

    macs: int
    params: int
    left_out: Mapping[str, int]


def count_paper(model: nn.Module, run: Callable[[], object]) -> PaperCount:
    """Count what happens in `model`, which is in eval mode, while `run` calls it once."""
    macs: Counter[nn.Module] = Counter()
    called: set[nn.Module] = set()

    def hook(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        called.add(module)
        macs[module] += _RULES[type(module)](module, next(iter((*inputs, *named.values()))), output)

    ruled = [module for module in model.modules() if type(module) in _RULES]
    handles = [module.register_forward_hook(hook, with_kwargs=True) for module in ruled]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    left_out: Counter[str] = Counter()
    for module in model.modules():
        if module not in called:
            left_out[type(module).__name__] += _own_parameters(module)
    params = sum(_own_parameters(module) for module in called)
    return PaperCount(macs.total(), params, {name: count for name, count in sorted(left_out.items()) if count})


def _own_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))


def _linear(module: nn.Linear, _x: torch.Tensor, y: torch.Tensor) -> int:
    return module.in_features * y.numel()


def _convolution(module: Any, x: torch.Tensor, y: torch.Tensor) -> int:
    """A transposed convolution counts like a plain one."""
    kernel: tuple[int, ...] = module.kernel_size
    return y.numel() * (x.shape[1] // int(module.groups)) * math.prod(kernel)


def _normalisation(module: Any, x: torch.Tensor, _y: torch.Tensor) -> int:
    """Two for each element, four with weights; batch norm is not taken as folded in."""
    affine = getattr(module, "affine", False) or getattr(module, "elementwise_affine", False)
    return (4 if affine else 2) * x.numel()


def _softmax(module: nn.Softmax, x: torch.Tensor, _y: torch.Tensor) -> int:
    """For n numbers n exponentials, n - 1 additions and n divisions; the functional form does not count."""
    assert module.dim is not None, "thop cannot count a softmax without a dimension"
    n = x.shape[module.dim]
    return x.numel() // n * (3 * n - 1)


def _prelu(_module: nn.PReLU, x: torch.Tensor, _y: torch.Tensor) -> int:
    return x.numel()


def _pooled(_module: nn.Module, _x: torch.Tensor, y: torch.Tensor) -> int:
    return y.numel()


def _pooled_adaptively(_module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> int:
    window = math.prod(x.shape[2:]) / math.prod(y.shape[2:])
    return int((window + 1) * y.numel())


_PER_UPSAMPLED = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259}


def _upsampled(module: nn.Upsample, _x: torch.Tensor, y: torch.Tensor) -> int:
    return _PER_UPSAMPLED.get(module.mode, 0) * y.numel()


def _gates(inputs: int, hidden: int, gates: int, bias: bool) -> int:
    """Products of the gates, one addition for each sum of the two, and two more with biases."""
    return gates * ((inputs + hidden) * hidden + hidden + (2 * hidden if bias else 0))


_CELLS: Mapping[type[nn.Module], tuple[int, int]] = {
    nn.RNNCell: (1, 0),
    nn.RNN: (1, 0),
    nn.GRUCell: (3, 4),
    nn.GRU: (3, 4),
    nn.LSTMCell: (4, 4),
    nn.LSTM: (4, 4),
}
"""Gates of a cell, and elementwise steps for each hidden unit."""


def _cell(module: Any, inputs: int) -> int:
    gates, steps = _CELLS[type(module)]
    return _gates(inputs, module.hidden_size, gates, module.bias) + steps * int(module.hidden_size)


def _step(module: Any, x: torch.Tensor, _y: Any) -> int:
    return x.shape[0] * _cell(module, module.input_size)


def _sequence(module: Any, x: torch.Tensor | PackedSequence, _y: Any) -> int:
    """Every utterance of a packed batch counts as long as the longest."""
    rows, steps = (int(x.batch_sizes[0]), len(x.batch_sizes)) if isinstance(x, PackedSequence) else x.shape[:2]
    directions = 2 if module.bidirectional else 1
    above = int(module.num_layers - 1) * _cell(module, directions * module.hidden_size)
    return rows * steps * directions * (_cell(module, module.input_size) + above)


_RULES: Mapping[type[nn.Module], Rule] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _convolution),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.LayerNorm), _normalisation),
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), _normalisation),
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _pooled),
    **dict.fromkeys((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), _pooled_adaptively),
    **dict.fromkeys((nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d), _upsampled),
    **dict.fromkeys((nn.RNNCell, nn.GRUCell, nn.LSTMCell), _step),
    **dict.fromkeys((nn.RNN, nn.GRU, nn.LSTM), _sequence),
    nn.Linear: _linear,
    nn.Softmax: _softmax,
    nn.PReLU: _prelu,
}
"""The types that count. thop has rules for some more whose value is nothing and that hold no parameters."""
