"""Registry entries of the models that the MMSA package lacks and that are written here: TETFN, ALMT and TMT.

Nothing here imports torch before a model is built. Names of hyper-parameters follow MMSA's where it has one.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from harness.errors import InputError
from harness.models import tetfn_entry
from harness.models.entry import Blueprint, Hyper, ModelEntry, Site, Taps
from harness.spec import NonVerbal, Shapes

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["ALMT", "ENTRIES", "TMT"]

_COMMON: Mapping[str, Any] = {
    "need_data_aligned": True,
    "need_model_aligned": False,
    "need_normalized": False,
    "learning_rate": 1e-4,
    "early_stop": 32,  # epochs without a better validation loss, counted after the warm-up
    "warm_up_epochs": 20,
    "schedule_epochs": 200,  # the warm-up among them; training never goes on longer
}
"""Reference for the rates: both authors' scripts. Early stopping is the harness's."""

_ALMT: Mapping[str, Any] = {
    **_COMMON,
    "use_bert": True,
    "use_finetune": True,
    "transformers": "bert",
    "pretrained": "bert-base-uncased",
    "batch_size": 64,
    "weight_decay": 1e-4,
    "hidden_dim": 128,
    "token_count": 8,  # tokens that a modality is squeezed into, and of the hyper-modality
    "num_heads": 8,
    "head_dim": 64,
    "mlp_dim": 128,
    "embedding_depth": 1,
    "hyper_depth": 3,  # hyper-modality layers; the text guide has one block less
    "hyper_head_dim": 16,
    "fusion_depth": 4,
}
_TMT: Mapping[str, Any] = {
    **_COMMON,
    "use_bert": False,
    "batch_size": 16,
    "weight_decay": 0.0,
    "hidden_dim": 256,
    "shared_tokens": 6,
    "specific_tokens": 2,  # per modality
    "num_heads": 8,
    "head_dim": 64,
    "joint_depth": 2,
    "joint_mlp_dim": 512,
    "mutual_depth": 2,
    "mutual_mlp_dim": 256,
    "mutual_positions": 150,  # rows of the mutual encoders' tables, most of them idle
    "post_fusion_dim": 128,
    "input_dropout": 0.5,
    "embedding_dropout": 0.1,
    "block_dropout": 0.5,
    "alpha": 0.01,  # weight of the orthogonality loss
    "beta": 1.0,  # weight of the similarity loss
    "delta": 10.0,  # weight of the task loss
    "task_loss": "l1",  # or mse
    "mixup": False,
}
_COLUMNS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "ALMT": {
        "mosi": {"fusion_depth": 2},
        "mosei": {},
        "sims": {"need_data_aligned": False, "pretrained": "bert-base-chinese"},
    },
    "TMT": {"mosi": {}, "mosei": {}, "sims": {"need_data_aligned": False}},
}
"""What differs between data sets: CH-SIMS comes unaligned and in Chinese, and ALMT fuses less deeply on MOSI."""


def _defaults(name: str, common: Mapping[str, Any], column: str) -> dict[str, Any] | None:
    columns = _COLUMNS[name]
    return {**common, **columns[column]} if column in columns else None


def _build_almt(blueprint: Blueprint) -> nn.Module:
    from harness.models.almt import ALMT as Model  # noqa: N811 -- the entry has the name

    return Model(blueprint).to(blueprint.device)


def _build_tmt(blueprint: Blueprint) -> nn.Module:
    from harness.models.tmt import TMT as Model  # noqa: N811 -- the entry has the name

    return Model(blueprint).to(blueprint.device)


def _read_almt(
    _model: nn.Module, outputs: Mapping[str, Any], _captured: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Each modality's tokens on average, before the hyper-modality, and the class token."""
    means = {name: outputs[f"tokens_{name}"].mean(dim=1) for name in ("text", "audio", "vision")}
    return {**means, "fusion": outputs["fusion"]}


def _read_tmt(
    _model: nn.Module, outputs: Mapping[str, Any], _captured: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Each projected modality on average over time, before the joint encoder, and what is regressed."""
    means = {name: outputs[f"sequence_{name}"].mean(dim=1) for name in ("text", "audio", "vision")}
    return {**means, "fusion": outputs["fusion"]}


def _refuse(name: str, key: str, problem: str, hint: str) -> NoReturn:
    raise InputError(problem, where=f"hyper.{name}.{key}", hint=hint)


def _check_schedule(name: str, hyper: Hyper) -> None:
    if hyper["schedule_epochs"] <= hyper["warm_up_epochs"]:
        _refuse(
            name,
            "schedule_epochs",
            f"a schedule of {hyper['schedule_epochs']} epochs ends within its warm-up of {hyper['warm_up_epochs']}",
            "shorten warm_up_epochs, or lengthen the schedule",
        )


def _check_almt(hyper: Hyper, _shapes: Shapes, _split: tuple[NonVerbal, ...]) -> None:
    _check_schedule("ALMT", hyper)


def _check_tmt(hyper: Hyper, _shapes: Shapes, _split: tuple[NonVerbal, ...]) -> None:
    _check_schedule("TMT", hyper)
    tokens = max(hyper["shared_tokens"], 3 * hyper["specific_tokens"])
    if hyper["mutual_positions"] < tokens:
        _refuse(
            "TMT",
            "mutual_positions",
            f"{hyper['mutual_positions']} positions are too few for {tokens} tokens",
            f"set it to {tokens} or more",
        )
    if hyper["task_loss"] not in ("l1", "mse"):
        _refuse("TMT", "task_loss", f"unknown loss '{hyper['task_loss']}'", "choose l1 or mse")


def _hidden(blueprint: Blueprint) -> int:
    return int(blueprint.hyper["hidden_dim"])


_CAPPED = (
    "The first epoch runs at rate 0, as in the authors' scripts; stopping early on the validation loss, with patience "
    "counted after the warm-up, is the harness's choice: the scripts train for 200 epochs and look at the test set."
)

ALMT = ModelEntry(
    name="ALMT",
    subnets={"text": "BERT", "audio": "FNN", "vision": "FNN"},
    tasks=("regression",),
    defaults=functools.partial(_defaults, "ALMT", _ALMT),
    build=_build_almt,
    recipe="almt",
    sites={
        "audio": Site("audio_embedding.project", "features_last", _hidden),
        "vision": Site("vision_embedding.project", "features_last", _hidden),
    },
    taps=Taps(_read_almt),
    check=_check_almt,
    notes=(
        _CAPPED,
        "As in the authors' code, which they call a corrected reorganisation of what the paper used, the text tokens "
        "that enter the fusion do not reach its class token: text acts through the hyper-modality.",
    ),
)
TMT = ModelEntry(
    name="TMT",
    subnets={"text": "BERT", "audio": "MLP", "vision": "MLP"},
    tasks=("regression",),
    defaults=functools.partial(_defaults, "TMT", _TMT),
    build=_build_tmt,
    recipe="tmt",
    sites={
        "audio": Site("project_audio", "features_last", _hidden),
        "vision": Site("project_vision", "features_last", _hidden),
    },
    taps=Taps(_read_tmt),
    check=_check_tmt,
    notes=(
        _CAPPED,
        "Regression, the L1 task loss, batches of 16, no mixup and the weights of the three losses are the harness's "
        "choices: the authors' public scripts train classifiers on CH-SIMS.",
    ),
)
ENTRIES: tuple[ModelEntry, ...] = (tetfn_entry.ENTRY, ALMT, TMT)
