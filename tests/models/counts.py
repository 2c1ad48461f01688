"""Models at their published sizes, and what the published costs count in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from harness.models.entry import Blueprint, ModelEntry
from harness.models.finegrained import apply_fine_grained, resized, set_batched
from harness.spec import FineGrainedOptions, Modality, NonVerbal, Shapes

__all__ = [
    "ALIGNED",
    "BERT_MACS",
    "BERT_PARAMS",
    "BERT_TRAINABLE",
    "GROUPS",
    "SIMS",
    "UNALIGNED",
    "Lengths",
    "Words",
    "blueprint_for",
    "leaf_parameters",
    "meta_inputs",
    "multiplications",
    "on_meta",
    "shapes_of",
    "split",
    "trainable",
]

Lengths = tuple[int, int, int]

WIDTHS: dict[str, dict[Modality, int]] = {
    "mosei": {"text": 768, "audio": 74, "vision": 35},
    "sims": {"text": 768, "audio": 33, "vision": 709},
}
ALIGNED, UNALIGNED, SIMS = (50, 50, 50), (50, 500, 500), (39, 400, 55)  # text, audio, vision
GROUPS: dict[str, dict[NonVerbal, tuple[int, ...]]] = {
    "mosei": {"audio": (1,) * 8 + (2, 1, 25, 25, 13)},
    "sims": {"audio": (1, 20, 12), "vision": (8, 280, 6, 340, 40, 35)},
}
# Of a whole BERT base with pooler: leaf modules' parameters, all parameters, multiplications of one utterance.
BERT_PARAMS = 85_646_592
BERT_TRAINABLE = {"mosei": 109_482_240, "sims": 102_267_648}
BERT_MACS = {"mosei": 4_251_162_624, "sims": 3_316_036_608}
COUNTED = (nn.Linear, nn.Conv1d, nn.LSTM, nn.LayerNorm)


class Words(nn.Module):
    """Stands for a text encoder: no parameters, and states that depend on the ids."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("frequencies", torch.linspace(0.1, 2.0, width))

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        return torch.sin(text[:, 0].unsqueeze(-1) * self.get_buffer("frequencies"))


def shapes_of(dataset: str, lengths: Lengths) -> Shapes:
    return Shapes(widths=WIDTHS[dataset], lengths=dict(zip(("text", "audio", "vision"), lengths, strict=True)))


def blueprint_for(entry: ModelEntry, column: str, shapes: Shapes, **changes: Any) -> Blueprint:
    defaults = entry.defaults(column)
    assert defaults is not None
    hyper = {**defaults, **changes}
    encoder = Words(shapes.widths["text"]) if hyper["use_bert"] else None
    return Blueprint(hyper, shapes, "regression", column, "cpu", encoder)


def split(entry: ModelEntry, model: nn.Module, blueprint: Blueprint, groups: Mapping[NonVerbal, Sequence[int]]) -> None:
    """Apply the fine-grained method where the entry says."""
    for modality, widths in groups.items():
        site = entry.sites[modality]
        apply_fine_grained(
            model,
            site.path,
            [(str(i), d) for i, d in enumerate(widths)],
            width=site.width(blueprint),
            layout=site.layout,
            options=FineGrainedOptions(),
            rebuild=site.rebuild or resized,
            kernel=site.kernel,
        )


def leaf_parameters(*models: nn.Module) -> int:
    leaves = (m for model in models for m in model.modules() if isinstance(m, COUNTED))
    return sum(p.numel() for m in leaves for p in m.parameters(recurse=False))


def trainable(*models: nn.Module) -> int:
    return sum(p.numel() for model in models for p in model.parameters())


def multiplications(model: nn.Module, *inputs: torch.Tensor) -> Counter[str]:
    """Count, by the model's direct parts, what the published costs count in the layers that these models have.

    Written apart from `harness.costs`, which is held against thop.
    """
    counted: Counter[str] = Counter()

    def count(name: str, module: nn.Module, taken: tuple[torch.Tensor, ...], output: Any) -> None:
        part = name.partition(".")[0]
        if isinstance(module, nn.Linear):
            counted[part] += output.numel() * module.in_features
        elif isinstance(module, nn.Conv1d):
            counted[part] += output.numel() * module.in_channels * module.kernel_size[0]
        elif isinstance(module, nn.LayerNorm):
            counted[part] += 4 * output.numel()
        elif isinstance(module, nn.Softmax):
            n = output.shape[-1]
            counted[part] += output.numel() // n * (3 * n - 1)
        elif isinstance(module, nn.LSTM):
            d, h = module.input_size, module.hidden_size
            step = 4 * ((d + h) * h + h + 2 * h) + 4 * h
            counted[part] += taken[0].shape[0] * taken[0].shape[1] * step

    set_batched(model, False)  # the fine-grained method layer by layer, so that hooks see every layer run
    for name, module in model.named_modules():
        module.register_forward_hook(lambda m, taken, output, name=name: count(name, m, taken, output))
    model.eval()(*inputs)
    return counted


def on_meta(entry: ModelEntry, dataset: str, lengths: Lengths, *, fine: bool = False) -> nn.Module:
    """Build a model at its published size without memory or arithmetic."""
    with torch.device("meta"):
        blueprint = blueprint_for(entry, dataset, shapes_of(dataset, lengths))
        model = entry.build(Blueprint(**{**blueprint.__dict__, "device": "meta"}))
        if fine:
            split(entry, model, blueprint, GROUPS[dataset])
    return model


def meta_inputs(dataset: str, lengths: Lengths, batch: int, *, tokens: bool) -> list[torch.Tensor]:
    text, audio, vision = lengths
    widths = WIDTHS[dataset]
    first = (batch, 3, text) if tokens else (batch, text, widths["text"])
    rest = ((batch, audio, widths["audio"]), (batch, vision, widths["vision"]))
    return [torch.empty(shape, device="meta") for shape in (first, *rest)]
