"""TETFN at its published size, inputs for it, and its forward pass written again."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from harness.models.tetfn import TETFN
from harness.models.tetfn_entry import ENTRY
from harness.spec import Modality, Shapes
from tests.models import counts
from tests.models.counts import ALIGNED, GROUPS, SIMS, shapes_of, split
from tests.models.rewrites import State

__all__ = ["SHAPES", "Rewrite", "blueprint_for", "full_size", "inputs_for", "pooled_by_hand"]

SHAPES = {"mosei": shapes_of("mosei", ALIGNED), "sims": shapes_of("sims", SIMS)}
blueprint_for = functools.partial(counts.blueprint_for, ENTRY)


def full_size(column: str, *, fine: bool = False) -> TETFN:
    torch.manual_seed(0)
    blueprint = blueprint_for(column, SHAPES[column])
    model = ENTRY.build(blueprint)
    assert isinstance(model, TETFN)
    if fine:
        split(ENTRY, model, blueprint, GROUPS[column])
    return model


def inputs_for(shapes: Shapes, batch: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)

    def of(modality: Modality) -> torch.Tensor:
        return torch.randn(batch, shapes.lengths[modality], shapes.widths[modality], generator=draw)

    ids = torch.randint(0, 50, (batch, 3, shapes.lengths["text"]), generator=draw).float()
    return ids, of("audio"), of("vision")


class Rewrite:
    """The forward pass, evaluation mode, batch first, on a state dict and torch's functions alone."""

    def __init__(self, state: State, heads: int) -> None:
        self.state, self.heads = state, heads

    def linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def lstm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        hidden = self.state[f"{name}.weight_hh_l0"].shape[1]
        h = c = x.new_zeros(len(x), hidden)
        outputs = []
        for step in x.unbind(1):
            gates = functional.linear(step, self.state[f"{name}.weight_ih_l0"], self.state[f"{name}.bias_ih_l0"])
            gates = gates + functional.linear(h, self.state[f"{name}.weight_hh_l0"], self.state[f"{name}.bias_hh_l0"])
            i, f, g, o = gates.chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        return torch.stack(outputs, dim=1)

    def conv(self, name: str, x: torch.Tensor) -> torch.Tensor:
        kernel = self.state[f"{name}.weight"]
        windows = x.unfold(1, kernel.shape[2], 1)
        return torch.einsum("btck,ock->bto", windows, kernel)

    def positions(self, x: torch.Tensor) -> torch.Tensor:
        width = x.shape[-1]
        table = torch.zeros_like(x)
        for b, t, k in np.ndindex(len(x), x.shape[1], width // 2):
            if x[b, t, 0] != 0:
                angle = (t + 1) * 10000.0 ** (-k / (width / 2 - 1))
                table[b, t, k], table[b, t, width // 2 + k] = np.sin(angle), np.cos(angle)
        return table

    def embed(self, x: torch.Tensor, positions: bool) -> torch.Tensor:
        scaled = float(np.sqrt(x.shape[-1])) * x
        return scaled + self.positions(x) if positions else scaled

    def encoder(
        self, name: str, query: torch.Tensor, source: torch.Tensor | None = None, *, depth: int = 2, pos: bool = False
    ) -> torch.Tensor:
        assert f"{name}.layers.{depth}.fc1.weight" not in self.state
        x = self.embed(query, pos)
        read = None if source is None else self.embed(source, pos)
        for i in range(depth):
            layer = f"{name}.layers.{i}"
            kv = x if read is None else read
            x = x + self.attention(
                f"{layer}.self_attn", self.norm(f"{layer}.layer_norms.0", x), self.norm(f"{layer}.layer_norms.0", kv)
            )
            inner = functional.relu(self.linear(f"{layer}.fc1", self.norm(f"{layer}.layer_norms.1", x)))
            x = x + self.linear(f"{layer}.fc2", inner)
        return self.norm(f"{name}.layer_norm", x)

    def attention(self, name: str, query: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        matrices = zip(
            self.state[f"{name}.in_proj_weight"].chunk(3), self.state[f"{name}.in_proj_bias"].chunk(3), strict=True
        )
        q, k, v = (functional.linear(x, w, b) for x, (w, b) in zip((query, source, source), matrices, strict=True))
        behind = abs(k.shape[1] - q.shape[1])
        seen = torch.tensor([[j <= i + behind for j in range(k.shape[1])] for i in range(q.shape[1])])
        mixed = [
            functional.scaled_dot_product_attention(*parts, attn_mask=seen)
            for parts in zip(q.chunk(self.heads, -1), k.chunk(self.heads, -1), v.chunk(self.heads, -1), strict=True)
        ]
        return self.linear(f"{name}.out_proj", torch.cat(mixed, dim=-1))

    def enhanced(self, name: str, source: torch.Tensor, target: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        informed = self.encoder(f"{name}.lower", source, text, depth=1, pos=True)
        return self.encoder(f"{name}.upper", target, informed, pos=True)

    def head(self, name: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        feature = functional.relu(self.linear(f"{name}.layer_1", x))
        return self.linear(f"{name}.layer_3", functional.relu(self.linear(f"{name}.layer_2", feature))), feature

    def __call__(self, words: torch.Tensor, audio: torch.Tensor, vision: torch.Tensor) -> dict[str, torch.Tensor]:
        steps = words.shape[1]
        text = self.conv("project_text", words)
        sound = self.conv("audio_model.conv", self.lstm("audio_model.lstm", pooled_by_hand(audio, steps)))
        sight = self.conv("video_model.conv", self.lstm("video_model.lstm", pooled_by_hand(vision, steps)))
        read = {
            "text": [self.encoder("text_from_audio", text, sound), self.encoder("text_from_vision", text, sight)],
            "audio": [
                self.encoder("audio_from_text", sound, text),
                self.enhanced("audio_from_vision", sight, sound, text),
            ],
            "vision": [
                self.encoder("vision_from_text", sight, text),
                self.enhanced("vision_from_audio", sound, sight, text),
            ],
        }
        last = [self.encoder(f"memory_{name}", torch.cat(parts, dim=-1))[:, -1] for name, parts in read.items()]
        heads = {"M": self.head("fusion_head", torch.cat(last, dim=-1))}
        for letter, name, x in (("T", "text", text), ("A", "audio", sound), ("V", "vision", sight)):
            heads[letter] = self.head(f"{name}_head", x.amax(dim=1))
        features = {"Feature_f": "M", "Feature_t": "T", "Feature_a": "A", "Feature_v": "V"}
        return {k: v[0] for k, v in heads.items()} | {f: heads[letter][1] for f, letter in features.items()}


def pooled_by_hand(x: torch.Tensor, steps: int) -> torch.Tensor:
    """Pool by loops over frames, as the rule is written."""
    array: NDArray[Any] = x.numpy()
    length = array.shape[1]
    if length == steps:
        return x
    if length % steps:
        size = length // steps + 1
        frames = [array[:, t] for t in range(length)] + [array[:, -1]] * (steps - length % steps)
    else:
        size = length // steps
        frames = [array[:, t] for t in range(length)]
    assert len(frames) == steps * size
    return torch.from_numpy(np.stack([np.mean(frames[j * size : (j + 1) * size], axis=0) for j in range(steps)], 1))
