"""The paper's convention against thop itself, on small modules of every kind and on every model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness import models
from harness.costs import count
from harness.costs.paper import PaperCount, count_paper
from harness.costs.runs import StandIn, full_batch
from harness.models.finegrained import set_batched
from harness.training.recipes import make_recipe
from tests.costs.tools import Packing, Scene, by_thop, small_spec

ZOO: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(5, 7), (3, 4, 5)),
    "linear without bias": (lambda: nn.Linear(5, 7, bias=False), (3, 5)),
    "conv1d": (lambda: nn.Conv1d(6, 8, 3, stride=2, groups=2, padding=1), (3, 6, 11)),
    "conv2d": (lambda: nn.Conv2d(2, 4, (3, 2), bias=False), (3, 2, 9, 8)),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2), (2, 2, 4, 5, 6)),
    "transposed": (lambda: nn.ConvTranspose1d(4, 6, 3, stride=2, groups=2), (3, 4, 7)),
    "batch norm": (lambda: nn.BatchNorm1d(5), (3, 5, 4)),
    "batch norm without weights": (lambda: nn.BatchNorm1d(5, affine=False), (3, 5)),
    "layer norm": (lambda: nn.LayerNorm(5), (3, 4, 5)),
    "layer norm without weights": (lambda: nn.LayerNorm(5, elementwise_affine=False), (3, 5)),
    "instance norm": (lambda: nn.InstanceNorm1d(5), (3, 5, 6)),
    "instance norm with weights": (lambda: nn.InstanceNorm2d(5, affine=True), (3, 5, 6, 2)),
    "softmax": (lambda: nn.Softmax(dim=1), (3, 4, 5)),
    "prelu": (lambda: nn.PReLU(4), (3, 4, 5)),
    "average pool": (lambda: nn.AvgPool1d(3), (3, 4, 11)),
    "adaptive pool": (lambda: nn.AdaptiveAvgPool1d(3), (3, 4, 11)),
    "nearest": (lambda: nn.Upsample(scale_factor=2), (3, 4, 5)),
    "linear upsampling": (lambda: nn.Upsample(scale_factor=3, mode="linear"), (3, 4, 5)),
    "bilinear": (lambda: nn.UpsamplingBilinear2d(scale_factor=2), (3, 4, 5, 6)),
    "bicubic": (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), (3, 4, 5, 6)),
    "rnn": (lambda: nn.RNN(4, 6, 2), (7, 3, 4)),
    "gru": (lambda: nn.GRU(4, 6, 2, bidirectional=True, batch_first=True), (3, 7, 4)),
    "lstm": (lambda: nn.LSTM(4, 6, 3, bidirectional=True, batch_first=True), (3, 7, 4)),
    "lstm without bias": (lambda: nn.LSTM(4, 6, bias=False), (7, 3, 4)),
    "packed lstm": (lambda: Packing(nn.LSTM(4, 6, 2, batch_first=True), [2, 7, 5]), (3, 7, 4)),
    "packed gru": (lambda: Packing(nn.GRU(4, 6, bidirectional=True, batch_first=True), [7, 1, 7]), (3, 7, 4)),
    "rnn cell": (lambda: nn.RNNCell(4, 6), (3, 4)),
    "gru cell": (lambda: nn.GRUCell(4, 6), (3, 4)),
    "lstm cell": (lambda: nn.LSTMCell(4, 6, bias=False), (3, 4)),
    "relu and dropout": (lambda: nn.Sequential(nn.ReLU(), nn.LeakyReLU(), nn.Dropout()), (3, 4)),
    "embedding": (lambda: Scene(lambda e, x: e(x.long()), nn.Embedding(4, 3)), (3, 4)),
    "attention": (lambda: Scene(lambda a, x: a(x, x, x)[0], nn.MultiheadAttention(8, 2)), (3, 4, 8)),
    "transformer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (3, 4, 8)),
    "called twice": (lambda: Scene(lambda a, x: a(a(x)), nn.Linear(4, 4)), (3, 4)),
    "never called": (lambda: Scene(lambda a, _b, x: a(x), nn.Linear(4, 4), nn.Linear(9, 9)), (3, 4)),
    "a kind of linear": (lambda: Scene(lambda a, x: a(x), type("Own", (nn.Linear,), {})(4, 4)), (3, 4)),
}


def ours(model: nn.Module, *inputs: torch.Tensor) -> PaperCount:
    return count(model, lambda *given: model(*given), *inputs).paper


@pytest.mark.parametrize("name", ZOO)
def test_small_modules_count_as_in_thop(name: str) -> None:
    build, shape = ZOO[name]
    model, x = nn.Sequential(build()), torch.rand(shape)
    got = ours(model, x)
    assert (got.macs, got.params) == by_thop(model, x)


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from([nn.RNN, nn.GRU, nn.LSTM]),
    sizes=st.tuples(*[st.integers(1, 6)] * 5),
    flags=st.tuples(*[st.booleans()] * 3),
)
def test_recurrent_layers_of_any_make_count_as_in_thop(
    kind: Any, sizes: tuple[int, ...], flags: tuple[bool, ...]
) -> None:
    width, hidden, layers, batch, steps = sizes
    bias, both, batch_first = flags
    layer = kind(width, hidden, layers, bias=bias, bidirectional=both, batch_first=batch_first)
    x = torch.rand(batch, steps, width)
    got = ours(nn.Sequential(layer), x)
    assert (got.macs, got.params) == by_thop(nn.Sequential(layer), x)


def test_what_is_left_out_is_said_and_everything_adds_up() -> None:
    model = Scene(
        lambda a, e, _idle, n, x: n(a(x), a(x), e.weight[None])[0],
        nn.Linear(8, 8),
        nn.Embedding(3, 8),
        nn.LSTM(8, 5),
        nn.MultiheadAttention(8, 2, batch_first=True),
    )
    x = torch.rand(1, 3, 8)
    costs = count(model, lambda given: model(given), x)
    assert costs.paper.left_out == {
        "Embedding": 24,
        "LSTM": 300,
        "MultiheadAttention": 3 * 8 * 8 + 3 * 8,
        "NonDynamicallyQuantizableLinear": 8 * 8 + 8,
    }
    assert costs.paper.params + sum(costs.paper.left_out.values()) == costs.registered


def test_a_failing_pass_leaves_no_hooks_behind() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(RuntimeError, match="shapes"):
        count_paper(model, lambda: model(torch.rand(3, 5)))
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("variant", ["original", "fg"])
@pytest.mark.parametrize("name", models.names())
def test_every_model_counts_as_in_thop(name: str, variant: str) -> None:
    """Fed as the counter feeds them; two utterances, which every model takes."""
    spec = small_spec(name, variant)
    model = models.build(spec, encoder=StandIn(spec.text_encoder.width) if spec.text_encoder else None)
    set_batched(model, False)
    recipe = make_recipe(models.entry(name).recipe, model, spec.hyper, spec.task)
    batch = full_batch(spec, 2)
    with torch.no_grad():
        model.eval()
        got = count_paper(model, lambda: recipe.forward(batch))
    scene = Scene(lambda _model: recipe.forward(batch), model)
    assert (got.macs, got.params) == by_thop(scene)
    registered = sum(p.numel() for p in model.parameters())
    assert got.params + sum(got.left_out.values()) == registered
