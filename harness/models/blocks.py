"""Attention blocks that ALMT and TMT share: pre-norm Transformer blocks with heads of a width of their own.

They follow Vaswani et al. (NeurIPS 2017) with the normalisation in front, except that queries, keys and values are
normalised by three separate layers, in self-attention too, and that no normalisation closes a stack of blocks. The
softmax is a module, not a function call, because the published costs count it.
"""

from __future__ import annotations

import math

import torch
from torch import nn

__all__ = ["Attention", "CrossBlock", "MultiHead", "SelfBlock"]


class Attention(nn.Module):
    """Scaled dot-product attention over several heads, without weights of its own.

    Parameters
    ----------
    heads : int
        Number of heads.
    head_width : int
        Width of one head; scores are divided by its square root.
    """

    def __init__(self, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = 1.0 / math.sqrt(head_width)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Map query (B, T, inner), key and value (B, S, inner) to (B, T, inner); inner holds head after head."""
        query, key, value = (t.reshape(*t.shape[:2], self.heads, -1).transpose(1, 2) for t in (query, key, value))
        weights = self.softmax(query @ key.transpose(-1, -2) * self.scale)
        heads: torch.Tensor = weights @ value
        return heads.transpose(1, 2).flatten(start_dim=-2)


class MultiHead(nn.Module):
    """Multi-head attention whose heads need not divide the model's width among them.

    Parameters
    ----------
    width : int
        Width of what comes in and goes out.
    heads, head_width : int
        Together they are the inner width.
    dropout : float
        Probability of dropping an output element; attention weights are never dropped.
    """

    def __init__(self, width: int, heads: int, head_width: int, dropout: float = 0.0) -> None:
        super().__init__()
        inner = heads * head_width
        self.query = nn.Linear(width, inner, bias=False)
        self.key = nn.Linear(width, inner, bias=False)
        self.value = nn.Linear(width, inner, bias=False)
        self.attention = Attention(heads, head_width)
        self.out = nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Map query (B, T, width), key and value (B, S, width) to (B, T, width)."""
        mixed = self.attention(self.query(query), self.key(key), self.value(value))
        result: torch.Tensor = self.dropout(self.out(mixed))
        return result


class _Block(nn.Module):
    """Attention and a feed-forward part, each behind normalisation and inside a residual."""

    def __init__(self, width: int, heads: int, head_width: int, mlp_width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm_query = nn.LayerNorm(width)
        self.norm_key = nn.LayerNorm(width)
        self.norm_value = nn.LayerNorm(width)
        self.attention = MultiHead(width, heads, head_width, dropout)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp_width, width),
            nn.Dropout(dropout),
        )

    def _update(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        read = self.attention(self.norm_query(target), self.norm_key(source), self.norm_value(source))
        attended = target + read
        updated: torch.Tensor = attended + self.mlp(self.norm_mlp(attended))
        return updated


class SelfBlock(_Block):
    """A Transformer block in which a sequence attends to itself.

    Parameters
    ----------
    width : int
        Width of the sequence.
    heads, head_width : int
        Of the attention.
    mlp_width : int
        Hidden width of the feed-forward part, whose activation is the exact GELU.
    dropout : float
        Probability after the attention, after the activation and after the feed-forward part.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, width) to (B, T, width)."""
        return self._update(x, x)


class CrossBlock(_Block):
    """A Transformer block in which a target sequence reads a source; parameters as in `SelfBlock`.

    Every position of the target reads the source by itself: positions of the target do not see each other.
    """

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Map source (B, S, width) and target (B, T, width) to the new target (B, T, width)."""
        return self._update(source, target)
