"""All groups at once against the plain loop: outputs, gradients, running statistics, caches, packed sequences."""

from __future__ import annotations

import copy
import io
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from harness.models import grouped
from harness.models.finegrained import (
    FineGrainedCell,
    FineGrainedExtractor,
    FineGrainedRecurrent,
    Layout,
    apply_fine_grained,
    set_batched,
)
from harness.spec import FineGrainedOptions

OPTIONS = [
    FineGrainedOptions.model_validate({"qkv": qkv, "attention": attention, "scale": scale})
    for qkv, attention, scale in itertools.product(("shared", "per_head"), ("groups", "time"), ("sqrt_h", "none"))
]
OPTION_NAMES = ["-".join((o.qkv, o.attention, o.scale)) for o in OPTIONS]
WIDTHS = [1, 5, 2]
DROPOUT = 0.0  # two ways of drawing masks cannot agree


class SubNet(nn.Module):
    """MMSA's SubNet by its attributes."""

    def __init__(self, width: int, hidden: int = 4) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.drop = nn.Dropout(DROPOUT)
        self.linear_1 = nn.Linear(width, hidden)
        self.linear_2 = nn.Linear(hidden, hidden)
        self.linear_3 = nn.Linear(hidden, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear_1(self.drop(self.norm(x))).relu()
        out: torch.Tensor = self.linear_3(self.linear_2(y).relu()).relu()
        return out


class LastState(nn.Module):
    """MMSA's AuViSubNet by its attributes."""

    def __init__(self, width: int, layers: int = 1) -> None:
        super().__init__()
        self.rnn = nn.LSTM(width, 3, num_layers=layers, batch_first=True)
        self.dropout = nn.Dropout(DROPOUT)
        self.linear_1 = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        state = self.rnn(packed)[1][0][-1]
        out: torch.Tensor = self.linear_1(self.dropout(state))
        return out


class FrontEnd(nn.Module):
    """TETFN's front end by its attributes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, 3, batch_first=True)
        self.conv = nn.Conv1d(3, 4, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(self.lstm(x)[0].transpose(1, 2)).transpose(1, 2)
        return out


LENGTHS = torch.tensor([3, 6, 1, 6, 4])
# Name: how to build a copy, layout, kernel asked for, the kernel expected, x for a total width, further arguments.
Case = tuple[Callable[[int], nn.Module], Layout, Any, Any, Callable[[int], torch.Tensor], tuple[Any, ...]]


def one_step(d: int) -> torch.Tensor:
    return torch.randn(5, d)


def stepped(d: int) -> torch.Tensor:
    return torch.randn(5, 7, d)


def channels(d: int) -> torch.Tensor:
    return torch.randn(5, d, 9)


def strided(d: int) -> nn.Module:
    return nn.Conv1d(d, 4, 3, stride=2, padding=1, dilation=2)


CASES: dict[str, Case] = {
    "linear": (lambda d: nn.Linear(d, 4), "features_last", None, grouped.linear, stepped, ()),
    "linear, no bias": (lambda d: nn.Linear(d, 4, bias=False), "features_last", None, grouped.linear, stepped, ()),
    "linear, one step": (lambda d: nn.Linear(d, 4), "features_last", None, grouped.linear, one_step, ()),
    "linear by columns": (lambda d: nn.Linear(d, 24), "features_last", None, grouped.linear, stepped, ()),
    "columns, no bias": (lambda d: nn.Linear(d, 24, bias=False), "features_last", None, grouped.linear, stepped, ()),
    "columns, one step": (lambda d: nn.Linear(d, 24), "features_last", None, grouped.linear, one_step, ()),
    "conv": (strided, "channels_first", None, grouped.conv, channels, ()),
    "conv, no bias": (lambda d: nn.Conv1d(d, 4, 1, bias=False), "channels_first", None, grouped.conv, channels, ()),
    "subnet": (SubNet, "features_last", "subnet", grouped.subnet, one_step, ()),
    "last state": (LastState, "features_last", "lstm_last", grouped.lstm_last, stepped, (LENGTHS,)),
    "front end": (FrontEnd, "features_last", "lstm_conv", grouped.lstm_conv, stepped, ()),
}


def fine(case: str, widths: list[int], options: FineGrainedOptions) -> FineGrainedExtractor:
    build, layout, kernel, expected, _, _ = CASES[case]
    copies = [build(d) for d in widths]
    h = 24 if "columns" in case else 4
    module = FineGrainedExtractor(copies, widths, h, layout, options, kernel)
    assert module.kernel is expected
    return module


def flattened(outputs: Any) -> list[torch.Tensor]:
    if isinstance(outputs, PackedSequence):
        return [outputs.data]
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [tensor for part in outputs if part is not None for tensor in flattened(part)]


def assert_same(module: nn.Module, call: Callable[[nn.Module, torch.Tensor], Any], x: torch.Tensor) -> None:
    """Outputs, gradients by input and parameters, and buffers of two training steps and an evaluation."""
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 2e-5)):
        results: list[dict[str, torch.Tensor]] = []
        for flag in (True, False):
            net = copy.deepcopy(module).to(dtype)
            set_batched(net, flag)
            found: dict[str, torch.Tensor] = {}
            for step, training in enumerate((True, True, False)):
                net.train(training)
                given = (x + step).to(dtype).requires_grad_()
                outputs = flattened(call(net, given))
                weight = torch.linspace(-1, 1, outputs[0].numel(), dtype=dtype).view_as(outputs[0])
                losses = [(o * weight).sum() if o.shape == weight.shape else o.sum() for o in outputs]
                torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
                found |= {f"output {step} {i}": o.detach() for i, o in enumerate(outputs)}
                assert given.grad is not None
                found[f"input gradient {step}"] = given.grad
            found |= {f"gradient {n}": p.grad for n, p in net.named_parameters() if p.grad is not None}
            found |= {f"buffer {n}": b.detach() for n, b in net.named_buffers()}
            results.append(found)
        assert results[0].keys() == results[1].keys()
        for name, value in results[0].items():
            reference = results[1][name]
            scale = max(1.0, float(reference.abs().max()))
            torch.testing.assert_close(
                value / scale,
                reference / scale,
                rtol=tolerance,
                atol=tolerance,
                msg=f"{name} in {dtype}",
            )


@pytest.mark.parametrize("options", OPTIONS, ids=OPTION_NAMES)
@pytest.mark.parametrize("case", CASES)
def test_extractors_equal_the_loop(case: str, options: FineGrainedOptions) -> None:
    torch.manual_seed(1)
    extra = CASES[case][-1]
    assert_same(fine(case, WIDTHS, options), lambda net, x: net(x, *extra), CASES[case][-2](sum(WIDTHS)))


@settings(max_examples=12, deadline=None)
@given(
    case=st.sampled_from(sorted(CASES)),
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    options=st.sampled_from(OPTIONS),
    dense=st.booleans(),
)
def test_extractors_equal_the_loop_at_any_widths(
    case: str, widths: list[int], options: FineGrainedOptions, dense: bool
) -> None:
    extra = CASES[case][-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouped, "_DENSE_BELOW", 10**9 if dense else 0)
        assert_same(fine(case, widths, options), lambda net, x: net(x, *extra), CASES[case][-2](sum(widths)))


def test_columns_are_used_where_they_are_fewer_than_h() -> None:
    shared, per_head = FineGrainedOptions(), FineGrainedOptions(qkv="per_head")
    assert fine("linear by columns", [1, 5, 2], shared)._by_columns
    assert not fine("linear by columns", [1, 5, 2], per_head)._by_columns
    assert not fine("linear by columns", [1, 19, 2], shared)._by_columns  # 22 columns, 3 biases, h = 24


def test_what_a_kernel_cannot_do_is_left_to_the_loop() -> None:
    deep = FineGrainedExtractor(
        [LastState(d, layers=2) for d in WIDTHS], WIDTHS, 4, "features_last", FineGrainedOptions(), "lstm_last"
    )
    assert deep.kernel is grouped.each
    assert_same(deep, lambda net, x: net(x, LENGTHS), torch.randn(5, 7, 8))
    circular = nn.Conv1d(2, 4, 3, padding=1, padding_mode="circular")
    assert grouped.choose(None, circular, channels_first=True) is grouped.each_channels_first
    assert grouped.choose("conv", nn.Conv1d(2, 4, 1), channels_first=False) is grouped.each
    cumulative = SubNet(3)
    cumulative.norm = nn.BatchNorm1d(3, momentum=None)
    assert grouped.choose("subnet", cumulative, channels_first=False) is grouped.each


def test_a_kernel_of_ones_own() -> None:
    def doubled(copies: Any, widths: Any, x: torch.Tensor) -> torch.Tensor:
        return 2 * grouped.each(copies, widths, x)

    net = FineGrainedExtractor(
        [nn.Linear(d, 4) for d in WIDTHS], WIDTHS, 4, "features_last", FineGrainedOptions(), doubled
    )
    x = torch.randn(5, 8)
    once = grouped.each(list(net.extractors), WIDTHS, x)
    torch.testing.assert_close(net(x), net.attention(2 * once.unsqueeze(1)).squeeze(1))


def test_dropout_is_drawn_for_all_columns() -> None:
    net = fine("subnet", WIDTHS, FineGrainedOptions())
    for copied in net.extractors:
        assert isinstance(copied, SubNet)
        copied.drop.p = 0.5
    x = torch.randn(6, 8)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


class Loop(nn.Module):
    """A model with an LSTMCell in its own time loop."""

    def __init__(self, width: int, hidden: int = 4, bias: bool = True) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(width, hidden, bias=bias)
        self.hidden = hidden

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = c = x.new_zeros(len(x), self.hidden)
        seen = []
        for step in x.unbind(1):
            h, c = self.cell(step, (h, c))
            seen.append(h + 0.5 * c)
        return torch.stack(seen, 1)


def looped(widths: list[int], options: FineGrainedOptions | None = None, *, bias: bool = True) -> Loop:
    model = Loop(sum(widths), bias=bias)
    groups = [(f"g{i}", d) for i, d in enumerate(widths)]
    apply_fine_grained(model, "cell", groups, width=4, layout="cell", options=options or FineGrainedOptions())
    return model


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("options", [o for o in OPTIONS if o.scale == "sqrt_h"], ids=lambda o: f"{o.qkv}-{o.attention}")
def test_cells_equal_the_loop(
    options: FineGrainedOptions, dense: bool, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouped, "_DENSE_CELL_BELOW", 10**9 if dense else 0)
    torch.manual_seed(2)
    assert_same(looped(WIDTHS, options, bias=bias), lambda net, x: net(x), torch.randn(5, 6, 8))


@settings(max_examples=10, deadline=None)
@given(widths=st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_cells_equal_the_loop_at_any_widths(widths: list[int]) -> None:
    assert_same(looped(widths), lambda net, x: net(x), torch.randn(3, 4, sum(widths)))


class TestKeptWeights:
    """A cell's assembled weights serve one pass and never another."""

    @staticmethod
    def cell(model: Loop) -> FineGrainedCell:
        assert isinstance(model.cell, FineGrainedCell)
        return model.cell

    @staticmethod
    def reference(model: Loop, x: torch.Tensor) -> torch.Tensor:
        other = copy.deepcopy(model)
        set_batched(other, False)
        out: torch.Tensor = other(x)
        return out

    def test_assembled_once_a_pass(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[int] = []
        assemble = grouped.CellWeights.of

        def counted(cells: Any, rows: int) -> grouped.CellWeights:
            calls.append(rows)
            return assemble(cells, rows)

        monkeypatch.setattr(grouped.CellWeights, "of", counted)
        model, x = looped(WIDTHS), torch.randn(5, 6, 8)
        model(x)
        assert calls == [5]
        model(x)
        assert calls == [5, 5]
        self.cell(model)(x[:, 0], (x[:, 0, :4], x[:, 1, :4]))
        self.cell(model)(x[:, 0], (x[:, 0, :4], x[:, 1, :4]))
        assert calls == [5] * 4, "outside the model's pass nothing is kept"
        assert not self.cell(model)._kept

    def test_a_pass_sees_the_weights_of_its_time(self) -> None:
        model, x = looped(WIDTHS), torch.randn(5, 6, 8)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
        for _ in range(2):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
            torch.testing.assert_close(model(x), self.reference(model, x))
        with torch.no_grad():
            torch.testing.assert_close(model(x), self.reference(model, x))
        model.load_state_dict(looped(WIDTHS).state_dict())
        torch.testing.assert_close(model(x), self.reference(model, x))
        assert model(x).requires_grad

    def test_gradients_within_a_pass_that_began_without(self) -> None:
        class Mixed(Loop):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                h = c = x.new_zeros(len(x), self.hidden)
                with torch.no_grad():
                    h, c = self.cell(x[:, 0], (h, c))
                out: torch.Tensor = self.cell(x[:, 1], (h, c))[0]
                return out

        model = Mixed(8)
        groups = [("a", 3), ("b", 5)]
        apply_fine_grained(model, "cell", groups, width=4, layout="cell", options=FineGrainedOptions())
        model(torch.randn(5, 2, 8)).sum().backward()
        assert all(p.grad is not None for n, p in model.named_parameters() if "cells" in n)

    def test_nothing_is_kept_after_an_error(self) -> None:
        model = looped(WIDTHS)
        with pytest.raises(RuntimeError):
            model(torch.cat([torch.randn(5, 2, 8), torch.randn(5, 2, 8)], dim=0).view(5, 2, 16))
        assert not self.cell(model)._kept
        assert not self.cell(model)._keep

    def test_copies_and_pickles(self) -> None:
        model, x = looped(WIDTHS), torch.randn(5, 6, 8)
        taken: list[nn.Module] = []
        handle = self.cell(model).register_forward_hook(lambda *_: taken.append(copy.deepcopy(model)))
        expected = model(x)
        handle.remove()
        buffer = io.BytesIO()
        torch.save(model, buffer)
        buffer.seek(0)
        loaded = torch.load(buffer, weights_only=False)
        for other in (taken[-1], copy.deepcopy(model), loaded):
            assert isinstance(other, Loop)
            assert not self.cell(other)._kept
            assert not self.cell(other)._keep
            torch.testing.assert_close(other(x), expected)
            with torch.no_grad():
                self.cell(other).cells[0].get_parameter("weight_ih").add_(1.0)
            torch.testing.assert_close(other(x), self.reference(other, x))
            assert not torch.allclose(other(x), expected)
        torch.testing.assert_close(model(x), expected)


def recurrent(
    kind: type[nn.Module], *, both: bool, options: FineGrainedOptions, bias: bool = True
) -> FineGrainedRecurrent:
    hidden = 3
    copies = [kind(d, hidden, bidirectional=both, bias=bias) for d in WIDTHS]
    return FineGrainedRecurrent(copies, WIDTHS, hidden * (1 + both), options)


def packed(x: torch.Tensor, lengths: torch.Tensor) -> PackedSequence:
    return pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)


@pytest.mark.parametrize("options", [o for o in OPTIONS if o.scale == "sqrt_h"], ids=lambda o: f"{o.qkv}-{o.attention}")
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize(("kind", "bias"), [(nn.LSTM, True), (nn.GRU, True), (nn.LSTM, False)])
def test_recurrent_layers_equal_the_loop(
    kind: type[nn.Module], bias: bool, both: bool, options: FineGrainedOptions
) -> None:
    torch.manual_seed(3)
    net = recurrent(kind, both=both, options=options, bias=bias)
    assert_same(net, lambda module, x: module(packed(x, LENGTHS)), torch.randn(5, 7, 8))


@pytest.mark.parametrize("dense", [True, False])
def test_split_linear_is_the_same_either_way(dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouped, "_DENSE_BELOW", 10**9 if dense else 0)
    layers = [nn.Linear(d, 4) for d in WIDTHS]
    x = torch.randn(2, 3, 8)
    expected = torch.stack([layer(p) for layer, p in zip(layers, torch.split(x, WIDTHS, -1), strict=True)], dim=-2)
    torch.testing.assert_close(grouped.split_linear(x, [m.weight for m in layers], [m.bias for m in layers]), expected)
