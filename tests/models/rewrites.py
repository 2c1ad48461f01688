"""Parts of models written again against torch's functions alone, on a state dict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional

__all__ = ["State", "attend", "block", "linear", "norm", "shake"]

State = Mapping[str, torch.Tensor]
Model = TypeVar("Model", bound=nn.Module)


def norm(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def linear(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return functional.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
    """Torch's own attention, one head after the other: head is the slow index of the inner width."""
    chunks = zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True)
    return torch.cat([functional.scaled_dot_product_attention(a, b, c) for a, b, c in chunks], dim=-1)


def block(state: State, name: str, source: torch.Tensor, target: torch.Tensor, heads: int) -> torch.Tensor:
    """One pre-norm block, written against torch's functions alone; self-attention where source is target."""
    q = linear(state, f"{name}.attention.query", norm(state, f"{name}.norm_query", target))
    k = linear(state, f"{name}.attention.key", norm(state, f"{name}.norm_key", source))
    v = linear(state, f"{name}.attention.value", norm(state, f"{name}.norm_value", source))
    target = target + linear(state, f"{name}.attention.out", attend(q, k, v, heads))
    hidden = linear(state, f"{name}.mlp.0", norm(state, f"{name}.norm_mlp", target))
    return target + linear(state, f"{name}.mlp.3", functional.gelu(hidden))


def shake(model: Model, seed: int = 3, strength: float = 0.3) -> Model:
    """Move every parameter off its initial value, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    model.double()
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data.add_(strength * noise)
    return model
