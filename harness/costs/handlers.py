"""Multiply-accumulates of operations that fvcore leaves at zero, or gets wrong, from the shapes in a trace.

Each handler takes the inputs and outputs of one node of a torch trace, as fvcore's handlers do. Only products count,
one multiply-accumulate for each: biases, gates, softmax and scaling are elementwise and stay uncounted, as in fvcore.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

__all__ = ["HANDLERS", "Handler"]

Handler: TypeAlias = Callable[[Sequence[Any], Sequence[Any]], int]


def _shape(value: Any) -> tuple[int, ...]:
    assert value.isCompleteTensor(), f"a trace knows the shape of every tensor, but not of {value}"
    return tuple(value.type().sizes())


def _size(value: Any) -> int:
    return math.prod(_shape(value))


def _is_list(value: Any) -> bool:
    return bool(value.node().kind() == "prim::ListConstruct")


def _items(value: Any) -> list[Any]:
    return list(value.node().inputs())


def _recurrent(inputs: Sequence[Any], _outputs: Sequence[Any]) -> int:
    """Count `nn.LSTM`, `nn.GRU` and `nn.RNN`: any depth, one or both directions, with or without projection.

    Each weight matrix meets each time step of each utterance once. A packed batch holds its true steps in the rows of
    one matrix, with the sizes of its steps as a second input, so that padding does not count.
    """
    packed = _is_list(inputs[3])
    steps = _shape(inputs[0])
    cells = steps[0] if packed else math.prod(steps[:-1])
    weights = [_shape(parameter) for parameter in _items(inputs[3] if packed else inputs[2])]
    return cells * sum(math.prod(shape) for shape in weights if len(shape) > 1)


def _cell(inputs: Sequence[Any], _outputs: Sequence[Any]) -> int:
    """Count a recurrent cell where it is one operation; a trace on a CPU has its two products instead."""
    return math.prod(_shape(inputs[0])[:-1]) * (_size(inputs[2]) + _size(inputs[3]))


def _attention(inputs: Sequence[Any], _outputs: Sequence[Any]) -> int:
    """Count scores (..., T, S) from queries (..., T, d) and keys (..., S, d), and their product with the values."""
    query, value = _shape(inputs[0]), _shape(inputs[2])
    scores = math.prod(query[:-1]) * value[-2]
    return scores * (query[-1] + value[-1])


def _product(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count matmul and its kin by what each element of the result takes.

    fvcore goes by the size of the first factor, which is too little where the second one has more batches, as the
    low-rank factors of LMF do, and fails on vectors.
    """
    return _size(outputs[0]) * _shape(inputs[0])[-1]


def _added_product(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    return _product(inputs[1:], outputs)


def _summed_product(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count addbmm, which adds the products of all batches."""
    return _shape(inputs[1])[0] * _added_product(inputs, outputs)


def _tensordot(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """With free sizes A and B and a contracted size C the tensors have AC, BC and AB elements, and ABC is wanted."""
    return math.isqrt(_size(inputs[0]) * _size(inputs[1]) * _size(outputs[0]))


def _einsum(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count the whole index space of one or two factors; fvcore's number, a rounded one, serves for more."""
    equation = str(inputs[0].toIValue()).replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    if len(terms) > 2 or "." in equation:
        from fvcore.nn.jit_handles import einsum_flop_jit

        return int(einsum_flop_jit(list(inputs), list(outputs)))
    shapes = [_shape(item) for item in _items(inputs[1])]
    sizes = {index: n for term, shape in zip(terms, shapes, strict=True) for index, n in zip(term, shape, strict=True)}
    return math.prod(sizes.values())


def _convolution(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count a convolution whose padding is given by name."""
    out = _shape(outputs[0])
    return out[0] * _size(inputs[1]) * math.prod(out[2:])


HANDLERS: Mapping[str, Handler] = {
    **dict.fromkeys(("aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"), _recurrent),
    **dict.fromkeys(("aten::lstm_cell", "aten::gru_cell", "aten::rnn_tanh_cell", "aten::rnn_relu_cell"), _cell),
    **dict.fromkeys(("aten::matmul", "aten::mm", "aten::bmm", "aten::mv", "aten::dot", "aten::inner"), _product),
    **dict.fromkeys(("aten::addmm", "aten::baddbmm", "aten::addmv"), _added_product),
    "aten::addbmm": _summed_product,
    "aten::scaled_dot_product_attention": _attention,
    "aten::tensordot": _tensordot,
    "aten::einsum": _einsum,
    "aten::_convolution_mode": _convolution,
}
"""Handlers by operation, laid over fvcore's own."""
