"""Small runs of every model, small modules of every kind, and the oracles that costs are held against."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch.utils.flop_counter import FlopCounterMode

from harness import models
from harness.costs.trace import composite_attention
from harness.plan import load_datasets, make_plan
from harness.spec import RunSpec, Suite

__all__ = ["BERT", "Packing", "Scene", "by_thop", "by_torch", "single_task", "small_spec"]

BERT: Mapping[str, int] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 50}
SMALL = {
    "TFN": {"hidden_dims": [8, 6, 8], "text_out": 16},
    "MTFN": {"hidden_dims": [8, 6, 8], "text_out": 16},
}
LENGTHS = {"text": 8, "audio": 12, "vision": 10}


def single_task(model: str) -> str:
    """The task that a model's costs are given for."""
    return "regression" if "regression" in models.entry(model).tasks else "classification"


def small_spec(model: str, variant: str = "original", *, like: str = "sims", **fields: Any) -> RunSpec:
    """Return a run on short sequences of true widths, with a text encoder of two small layers."""
    data = {"name": f"synthetic-short-{like}", "synthetic": {"like": like, "lengths": LENGTHS}}
    suite = Suite.model_validate(
        {
            "name": "short",
            "datasets": [data],
            "tasks": [single_task(model)],
            "models": [model],
            "variants": [variant],
            "seeds": [1],
            "text_encoder": {"random": dict(BERT)},
            "hyper": {model: SMALL.get(model, {})},
            **fields,
        }
    )
    plan = make_plan(suite, load_datasets(suite, Path()), lambda _dataset, _setting: "0" * 64)
    (run,) = plan.runs
    return run


def by_thop(model: nn.Module, *inputs: Any) -> tuple[int, int]:
    """Multiply-accumulates and parameters as `thop.profile` reports them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "distutils Version classes are deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", "This API is being deprecated", UserWarning)  # its rule of PReLU
        import thop

        with composite_attention():
            macs, params = thop.profile(model, inputs=inputs, verbose=False)
    return int(macs), int(params)


def by_torch(call: Callable[..., Any], *inputs: torch.Tensor) -> int:
    """Multiply-accumulates of the products that torch's own counter sees in a pass; it counts each one twice."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), _plain_kernels(), counter:
        call(*inputs)
    flops = counter.get_total_flops()
    assert flops % 2 == 0
    return flops // 2


@contextmanager
def _plain_kernels() -> Iterator[None]:
    """Let attention and recurrent layers fall into products: torch's counter does not know the CPU's kernels."""
    torch._C._set_mkldnn_enabled(False)  # its public form also sets what only Intel's GPUs have, and warns
    try:
        with composite_attention(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch._C._set_mkldnn_enabled(True)


class Scene(nn.Module):
    """A module that holds others, and calls them in its own way."""

    def __init__(self, forward: Callable[..., Any], *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self._forward = forward

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self._forward(*self.parts, *inputs)


class Packing(nn.Module):
    """A recurrent module fed a packed batch, which it makes from (B, T, d)."""

    def __init__(self, recurrent: nn.Module, lengths: Sequence[int]) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.lengths = list(lengths)

    def pack(self, x: torch.Tensor) -> PackedSequence:
        return pack_padded_sequence(x, torch.tensor(self.lengths), batch_first=True, enforce_sorted=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: PackedSequence = self.recurrent(self.pack(x))[0]
        return outputs.data
