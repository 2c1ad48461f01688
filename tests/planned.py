"""Run specs made the way users make them, from a suite, but small; and the models of such specs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from harness import models
from harness.models import text
from harness.plan import load_datasets, make_plan
from harness.spec import EncoderChoice, RunSpec, Suite, Task, Variant

__all__ = ["SMALL_HYPER", "TINY_BERT", "build_model", "planned_spec"]

TINY_BERT = EncoderChoice(
    random={
        "hidden_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "vocab_size": 2240,
        "max_position_embeddings": 64,
    }
)
"""Its vocabulary holds the tokens of synthetic sets."""
SMALL_HYPER: Mapping[str, Mapping[str, Any]] = {
    "*": {"batch_size": 16, "early_stop": 3},
    "TFN": {"hidden_dims": [16, 8, 12], "text_out": 10, "post_fusion_dim": 12},
    "MulT": {"update_epochs": 2, "dst_feature_dim_nheads": [20, 4], "nlevels": 1, "conv1d_kernel_size_l": 3},
    "MISA": {"hidden_size": 24},
    "MTFN": {"hidden_dims": [16, 8, 12], "text_out": 10, "post_fusion_dim": 12},
    "MLMF": {"hidden_dims": [16, 8, 12]},
    "Self-MM": {"update_epochs": 2},
    "TETFN": {"update_epochs": 2, "conv1d_kernel_size_a": 3},
}
"""Small networks where a default would make a test of minutes."""


def planned_spec(
    dataset: str | Mapping[str, Any],
    model: str,
    variant: Variant = "original",
    *,
    task: Task | None = None,
    sha256: str = "0" * 64,
    seed: int = 7,
    hyper: Mapping[str, Mapping[str, Any]] | None = None,
    **changes: Any,
) -> RunSpec:
    """Return the one run of a suite: a model in a variant on a data set, in the first task that it does.

    `hyper` holds a suite's sections, of which only those for all models and for this one are kept.
    """
    sections = {k: dict(v) for k, v in (hyper or {}).items() if k.partition("@")[0] in ("*", model)}
    suite = Suite(
        name="t",
        datasets=(dataset if isinstance(dataset, str) else dict(dataset),),
        tasks=(task or models.entry(model).tasks[0],),
        models=(model,),
        variants=(variant,),
        seeds=(seed,),
        hyper=sections,
        **{"text_encoder": {"*": TINY_BERT}, **changes},
    )
    return make_plan(suite, load_datasets(suite, Path()), lambda _dataset, _setting: sha256).runs[0]


def build_model(spec: RunSpec, device: str = "cpu") -> nn.Module:
    """Seed, and build the model of a run whose text encoder, if it has one, is random."""
    models.seed_everything(spec.seed)
    encoder = None
    if spec.text_encoder is not None:
        assert spec.text_encoder.sha256 is None
        encoder = text.load(spec.text_encoder, None)
    return models.build(spec, device, encoder=encoder)
