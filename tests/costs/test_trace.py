"""What a trace counts, what it lists, and what it leaves as it was."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from harness.costs import count
from harness.costs.trace import Traced, composite_attention
from tests.costs.tools import Scene


def traced(model: nn.Module, *inputs: torch.Tensor) -> Traced:
    return count(model, lambda *given: model(*given), *inputs).traced


class Keeps(nn.Module):
    """Computes three things and returns one; one more part never runs, and one is not registered."""

    def __init__(self) -> None:
        super().__init__()
        self.returned, self.kept, self.idle = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(4, 2)
        self.scale = nn.Parameter(torch.ones(1))
        self.hidden = {"part": nn.Linear(4, 5)}

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        self.memory = self.kept(x)
        return {"M": self.returned(x), "more": self.hidden["part"](x), "name": "not a tensor"}


def test_what_ran_for_nothing_or_not_at_all_is_listed() -> None:
    model = Keeps()
    found = traced(model, torch.rand(2, 4))
    assert found.by_operation == {"linear": 2 * (4 * 4 + 4 * 5)}
    assert found.dropped == ("kept",)
    assert found.never_used == ("Keeps", "idle")  # the raw parameter is the model's own
    assert found.unregistered == 4 * 5 + 5
    assert all(p.requires_grad for p in model.hidden["part"].parameters())


def test_weights_that_are_used_without_a_call_are_not_called_unused() -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    found = traced(Scene(lambda attend, x: attend(x, x, x)[0], layer), torch.rand(1, 3, 8))
    assert (found.dropped, found.never_used) == ((), ())


def test_uncounted_operations_are_listed_with_how_often() -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x).clamp(0, 1).tanh() * x + (x @ x.transpose(1, 2)).softmax(-1) @ x.tanh()

    found = traced(Scene(forward), torch.rand(1, 3, 4))
    assert found.uncounted == {
        "aten::add": 1,
        "aten::clamp": 1,
        "aten::mul": 1,
        "aten::relu": 1,
        "aten::softmax": 1,
        "aten::tanh": 2,
    }


def test_arithmetic_with_sizes_is_no_operation() -> None:
    found = traced(Scene(lambda x: x.reshape(x.shape[0] * x.shape[1] // 2, -1)), torch.rand(2, 3, 4))
    assert (found.macs, found.uncounted) == (0, {})


def test_a_function_of_somebodys_own_is_listed_by_name() -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

    apply: Any = Twice.apply
    found = traced(Scene(lambda x: apply(x)), torch.rand(2, 3))
    assert found.uncounted == {"prim::PythonOp.Twice": 1}


def test_trainable_and_registered_parameters_differ_by_the_frozen_ones() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    costs = count(model, lambda x: model(x), torch.rand(1, 4))
    assert (costs.trainable, costs.registered, costs.paper.params) == (10, 30, 30)


def test_counting_happens_in_eval_mode_and_leaves_no_traces() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    before = torch.backends.mha.get_fastpath_enabled()
    found = traced(model, torch.rand(1, 4))  # a batch of one, which batch norm refuses while it learns
    assert found.by_operation == {"batch_norm": 8, "linear": 16}
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.backends.mha.get_fastpath_enabled() is before


def test_the_fast_path_of_attention_comes_back_after_an_error() -> None:
    def inside() -> None:
        with composite_attention():
            assert not torch.backends.mha.get_fastpath_enabled()
            raise KeyError

    torch.backends.mha.set_fastpath_enabled(True)
    with pytest.raises(KeyError):
        inside()
    assert torch.backends.mha.get_fastpath_enabled()


def test_shares_of_a_batch() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    one, three = (count(model, lambda x: model(x), torch.rand(n, 4)) for n in (1, 3))
    assert three.shared_by(3) == one
    with pytest.raises(ValueError, match="not 5 equal shares"):
        three.shared_by(5)


def test_neither_torch_nor_fvcore_is_imported_before_something_is_counted() -> None:
    code = "import sys, harness.cli; sys.exit('fvcore' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
