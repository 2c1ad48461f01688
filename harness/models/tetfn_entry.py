"""Registry entry of TETFN. Nothing here imports torch before a model is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from harness.errors import InputError
from harness.models.entry import Blueprint, Hyper, ModelEntry, Site, Taps
from harness.spec import NonVerbal, Shapes

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["ENTRY"]

_COMMON: Mapping[str, Any] = {
    "need_data_aligned": True,
    "need_model_aligned": False,  # the model pools frames itself
    "need_normalized": False,
    "use_bert": True,
    "use_finetune": True,
    "transformers": "bert",
    "excludeZero": True,
    "early_stop": 8,
    "update_epochs": 4,
    "dst_feature_dims": 50,
    "nheads": 5,
    "relu_dropout": 0.1,
    "res_dropout": 0.0,
    "post_fusion_dim": 64,
    "post_text_dim": 64,
    "learning_rate_bert": 3e-5,
    "weight_decay_bert": 1e-3,
    "weight_decay_audio": 0.0,
    "H": 3.0,  # on CH-SIMS too, whose scores lie in [-1, 1]
}
_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "mosei": {
        "pretrained": "bert-base-uncased",
        "batch_size": 32,
        "learning_rate_audio": 1e-3,
        "learning_rate_video": 5e-3,
        "learning_rate_other": 1e-4,
        "weight_decay_video": 1e-3,
        "weight_decay_other": 1e-2,
        "a_lstm_hidden_size": 32,
        "v_lstm_hidden_size": 32,
        "conv1d_kernel_size_l": 1,
        "conv1d_kernel_size_a": 1,  # of vision too
        "attn_dropout": 0.1,
        "attn_dropout_a": 0.0,
        "attn_dropout_v": 0.1,
        "embed_dropout": 0.1,
        "post_audio_dim": 32,
        "post_video_dim": 16,
        "post_fusion_dropout": 0.0,
        "post_text_dropout": 0.1,
        "post_audio_dropout": 0.0,
        "post_video_dropout": 0.1,
    },
    "sims": {
        "pretrained": "bert-base-chinese",
        "batch_size": 64,
        "learning_rate_audio": 3e-3,
        "learning_rate_video": 5e-4,
        "learning_rate_other": 3e-3,
        "weight_decay_video": 1e-2,
        "weight_decay_other": 1e-3,
        "a_lstm_hidden_size": 16,
        "v_lstm_hidden_size": 64,
        "conv1d_kernel_size_l": 3,
        "conv1d_kernel_size_a": 5,
        "attn_dropout": 0.0,
        "attn_dropout_a": 0.1,
        "attn_dropout_v": 0.0,
        "embed_dropout": 0.0,
        "post_audio_dim": 16,
        "post_video_dim": 32,
        "post_fusion_dropout": 0.1,
        "post_text_dropout": 0.0,
        "post_audio_dropout": 0.0,
        "post_video_dropout": 0.0,
    },
}


def _defaults(column: str) -> dict[str, Any] | None:
    return {**_COMMON, **_COLUMNS[column]} if column in _COLUMNS else None


def _build(blueprint: Blueprint) -> nn.Module:
    from harness.models.tetfn import TETFN

    return TETFN(blueprint).to(blueprint.device)


def _rebuild(module: nn.Module, width: int) -> nn.Module:
    from harness.models.tetfn import rebuild_front_end

    return rebuild_front_end(module, width)


def _read(
    _model: nn.Module, outputs: Mapping[str, Any], _captured: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The features that the pseudo-labels are made from."""
    return {name: outputs[f"Feature_{name[0]}"] for name in ("text", "audio", "vision", "fusion")}


def _refuse(key: str, problem: str, hint: str) -> NoReturn:
    raise InputError(problem, where=f"hyper.TETFN.{key}", hint=hint)


def _check(hyper: Hyper, shapes: Shapes, _split: tuple[NonVerbal, ...]) -> None:
    _check_width(hyper["dst_feature_dims"], hyper["nheads"])
    # Audio and vision have as many steps as text once they are pooled.
    steps = shapes.lengths["text"]
    for key, read in (("conv1d_kernel_size_l", "text"), ("conv1d_kernel_size_a", "pooled audio and vision")):
        if hyper[key] > steps:
            _refuse(
                key,
                f"TETFN's convolution over {read} is {hyper[key]} steps wide, but there are {steps}",
                f"set it to {steps} or less in the suite",
            )


def _check_width(width: int, heads: int) -> None:
    if width % heads:
        _refuse("nheads", f"{heads} attention heads do not divide a width of {width}", "choose a divisor")
    if width % 2 or width < 4:
        _refuse(
            "dst_feature_dims",
            f"half the channels are sines and half cosines: a width of {width} cannot be",
            "choose an even width of 4 or more",
        )


def _width(blueprint: Blueprint) -> int:
    return int(blueprint.hyper["dst_feature_dims"])


ENTRY = ModelEntry(
    name="TETFN",
    subnets={"text": "BERT", "audio": "L-C", "vision": "L-C"},
    tasks=("regression",),
    defaults=_defaults,
    build=_build,
    recipe="tetfn",
    sites={
        "audio": Site("audio_model", "features_last", _width, _rebuild, kernel="lstm_conv"),
        "vision": Site("video_model", "features_last", _width, _rebuild, kernel="lstm_conv"),
    },
    taps=Taps(_read),
    check=_check,
    notes=(
        "Follows the port in MMSA's repository, which takes the usual visual features where the paper trains a vision "
        "Transformer, and gives the convolution over vision the kernel size of audio.",
        "Unaligned frames are pooled by averaging consecutive ones, as in that repository; the release of MMSA that "
        "runs the other models averages frames that stand a target length apart.",
    ),
)
