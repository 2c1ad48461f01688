"""Operations against closed forms, and against torch's own counter where that counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from harness.costs import count
from harness.costs.handlers import HANDLERS
from harness.costs.trace import Traced
from harness.models import text
from harness.spec import EncoderChoice
from tests.costs.tools import BERT, Packing, Scene, by_torch

NORMS = ("layer_norm", "batch_norm", "group_norm", "instance_norm")


def traced(model: nn.Module, *inputs: torch.Tensor) -> Traced:
    return count(model, lambda *given: model(*given), *inputs).traced


def of(function: Callable[..., Any], *shapes: tuple[int, ...]) -> Traced:
    return traced(Scene(function), *(torch.rand(shape) for shape in shapes))


def products(found: Traced) -> int:
    return sum(macs for name, macs in found.by_operation.items() if name not in NORMS)


def recurrent_macs(width: int, hidden: int, *, gates: int, layers: int, directions: int, cells: int) -> int:
    """Input and recurrent products of every layer, direction and cell."""
    total = 0
    for layer in range(layers):
        inputs = width if layer == 0 else directions * hidden
        total += directions * gates * hidden * (inputs + hidden)
    return cells * total


SIZES = st.tuples(*[st.integers(1, 5)] * 5)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from([(nn.LSTM, 4, "lstm"), (nn.GRU, 3, "gru"), (nn.RNN, 1, "rnn_tanh")]),
    sizes=SIZES,
    flags=st.tuples(*[st.booleans()] * 3),
)
def test_recurrent_layers(kind: Any, sizes: tuple[int, ...], flags: tuple[bool, ...]) -> None:
    layer, gates, name = kind
    width, hidden, layers, batch, steps = sizes
    bias, both, batch_first = flags
    model = layer(width, hidden, layers, bias=bias, bidirectional=both, batch_first=batch_first)
    shape = (batch, steps, width) if batch_first else (steps, batch, width)
    expected = recurrent_macs(width, hidden, gates=gates, layers=layers, directions=1 + both, cells=batch * steps)
    assert traced(model, torch.rand(shape)).by_operation == {name: expected}


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from([(nn.LSTM, 4, "lstm"), (nn.GRU, 3, "gru"), (nn.RNN, 1, "rnn_tanh")]),
    sizes=st.tuples(*[st.integers(1, 4)] * 3),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    both=st.booleans(),
)
def test_packed_recurrent_layers_count_true_steps(
    kind: Any, sizes: tuple[int, ...], lengths: list[int], both: bool
) -> None:
    layer, gates, name = kind
    width, hidden, layers = sizes
    model = Packing(layer(width, hidden, layers, bidirectional=both, batch_first=True), lengths)
    x = torch.rand(len(lengths), max(lengths), width)
    expected = recurrent_macs(width, hidden, gates=gates, layers=layers, directions=1 + both, cells=sum(lengths))
    assert traced(model, x).by_operation[name] == expected


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
def test_a_projected_lstm_counts_its_projection() -> None:
    model = nn.LSTM(5, 8, proj_size=3)
    assert traced(model, torch.rand(7, 2, 5)).macs == 7 * 2 * (4 * 8 * (5 + 3) + 3 * 8)


@pytest.mark.parametrize(("cell", "gates"), [(nn.LSTMCell, 4), (nn.GRUCell, 3), (nn.RNNCell, 1)])
def test_a_loop_over_a_cell(cell: Any, gates: int) -> None:
    def loop(step: nn.Module, x: torch.Tensor) -> torch.Tensor:
        state: Any = None
        for t in range(x.shape[1]):
            state = step(x[:, t], state)
        hidden: torch.Tensor = state[0] if isinstance(state, tuple) else state
        return hidden

    model, x = Scene(loop, cell(5, 6)), torch.rand(3, 9, 5)
    expected = 3 * 9 * gates * 6 * (5 + 6)
    assert traced(model, x).macs == expected
    assert by_torch(model, x) == expected


@pytest.mark.parametrize("kind", ["aten::lstm_cell", "aten::gru_cell", "aten::rnn_tanh_cell", "aten::rnn_relu_cell"])
def test_a_cell_that_is_one_operation(kind: str) -> None:
    """As on a GPU; a trace on the CPU never shows one."""
    gates = {"aten::lstm_cell": 4, "aten::gru_cell": 3}.get(kind, 1)
    x, hidden, forward, back = (
        f"Float({n}, {m}, strides=[{m}, 1], device=cpu)" for n, m in ((3, 5), (3, 6), (6 * gates, 5), (6 * gates, 6))
    )
    state = "Tensor[]" if kind == "aten::lstm_cell" else hidden
    graph = torch._C.parse_ir(
        f"""graph(%x : {x}, %h : {state}, %i : {forward}, %r : {back}):
  %n : NoneType = prim::Constant()
  %y : {hidden} = {kind}(%x, %h, %i, %r, %n, %n)
  return (%y)"""
    )
    (node,) = (node for node in graph.nodes() if node.kind() == kind)
    assert HANDLERS[kind](list(node.inputs()), list(node.outputs())) == 3 * gates * 6 * (5 + 6)


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(1, 5)] * 6))
def test_attention(sizes: tuple[int, ...]) -> None:
    batch, heads, queries, keys, width, value = sizes
    found = of(
        functional.scaled_dot_product_attention,
        (batch, heads, queries, width),
        (batch, heads, keys, width),
        (batch, heads, keys, value),
    )
    assert found.by_operation == {"scaled_dot_product_attention": batch * heads * queries * keys * (width + value)}


@pytest.mark.parametrize("weights", [True, False])
def test_attention_layers_count_alike_with_and_without_their_weights(weights: bool) -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    model = Scene(lambda attend, x: attend(x, x, x, need_weights=weights)[0], layer)
    assert traced(model, torch.rand(3, 5, 8)).macs == 3 * 5 * 4 * 8 * 8 + 2 * 3 * 5 * 5 * 8


def test_a_transformer_layer_is_looked_into() -> None:
    """In eval mode torch would run it as one operation."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model, x = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False), torch.rand(4, 5, 8)
    found = traced(model, x)
    one = 4 * 5 * (4 * 8 * 8 + 2 * 8 * 16) + 2 * 4 * 5 * 5 * 8
    assert products(found) == 3 * one == by_torch(model, x)
    assert found.by_operation["layer_norm"] == 3 * 2 * 5 * (4 * 5 * 8)


PRODUCTS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...], int]] = {
    "matrix": (torch.matmul, ((3, 4), (4, 5)), 60),
    "vector": (torch.matmul, ((3, 4), (4,)), 12),
    "vectors": (torch.matmul, ((4,), (4,)), 4),
    "a factor with more batches": (torch.matmul, ((3, 4), (6, 4, 5)), 6 * 60),
    "batches that broadcast": (torch.matmul, ((2, 1, 3, 4), (6, 4, 5)), 2 * 6 * 60),
    "mm": (torch.mm, ((3, 4), (4, 5)), 60),
    "mv": (torch.mv, ((3, 4), (4,)), 12),
    "dot": (torch.dot, ((4,), (4,)), 4),
    "inner": (torch.inner, ((3, 4), (5, 4)), 60),
    "bmm": (torch.bmm, ((6, 3, 4), (6, 4, 5)), 6 * 60),
    "addmm": (torch.addmm, ((3, 5), (3, 4), (4, 5)), 60),
    "addmv": (torch.addmv, ((3,), (3, 4), (4,)), 12),
    "baddbmm": (torch.baddbmm, ((6, 3, 5), (6, 3, 4), (6, 4, 5)), 6 * 60),
    "addbmm": (torch.addbmm, ((3, 5), (6, 3, 4), (6, 4, 5)), 6 * 60),
    "tensordot": (lambda a, b: torch.tensordot(a, b, dims=2), ((3, 4, 5), (4, 5, 6)), 3 * 4 * 5 * 6),
    "einsum of one": (lambda a: torch.einsum("ij->i", a), ((3, 4),), 12),
    "einsum of two": (lambda a, b: torch.einsum("bij, bjk -> bik", a, b), ((2, 3, 4), (2, 4, 5)), 120),
    "einsum that sums all": (lambda a, b: torch.einsum("ij,ij", a, b), ((3, 4), (3, 4)), 12),
    "linear": (functional.linear, ((2, 3, 4), (5, 4)), 120),
    "conv1d": (functional.conv1d, ((2, 4, 9), (6, 4, 3)), 2 * 6 * 7 * 4 * 3),
    "conv2d": (functional.conv2d, ((2, 4, 5, 6), (3, 4, 2, 2)), 2 * 3 * 4 * 5 * 4 * 4),
    "conv1d of the same length": (
        lambda x, w: functional.conv1d(x, w, padding="same"),
        ((2, 4, 9), (6, 4, 3)),
        2 * 6 * 9 * 4 * 3,
    ),
    "grouped conv1d": (lambda x, w: functional.conv1d(x, w, groups=2), ((2, 4, 9), (6, 2, 3)), 2 * 6 * 7 * 2 * 3),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name: str) -> None:
    function, shapes, expected = PRODUCTS[name]
    found = of(function, *shapes)
    assert found.macs == expected
    assert not found.uncounted


COUNTED_BY_TORCH = sorted(set(PRODUCTS) - {"mv", "dot", "vector", "vectors", "addmv", "addbmm"} - {"einsum of one"})


@pytest.mark.parametrize("name", COUNTED_BY_TORCH)
def test_products_as_torch_counts_them(name: str) -> None:
    function, shapes, expected = PRODUCTS[name]
    assert by_torch(function, *(torch.rand(shape) for shape in shapes)) == expected


def test_three_factors_of_einsum_are_left_to_fvcore() -> None:
    assert of(lambda a, b, c: torch.einsum("ij,jk,kl->il", a, b, c), (10, 10), (10, 10), (10, 10)).macs == 2000


def test_bert() -> None:
    """Four maps and two products of attention, two maps of the feed-forward part; the pooler's map is dropped."""
    encoder = text.load(text.describe(EncoderChoice(random=dict(BERT))), None)
    length, width, layers, inner = 7, 32, 2, 128
    tokens = torch.zeros(1, 3, length)
    tokens[:, 1] = 1.0
    found = traced(encoder, tokens)
    attention, feed_forward = 4 * width * width + 2 * length * width, 2 * width * inner
    assert products(found) == layers * length * (attention + feed_forward)
    assert found.by_operation["layer_norm"] == (1 + 2 * layers) * 5 * length * width
    assert found.dropped == ("model.pooler.dense",)
    assert found.never_used == ()
    # torch's counter sees what runs, the pooler's map of the first token included.
    assert by_torch(encoder, tokens) == products(found) + width * width
