"""The adapter to the MMSA package: the only room that knows its names, switches and quirks.

MMSA's models and default hyper-parameters are used as they are. Nothing here imports MMSA before a model is built:
defaults are read from the package's JSON file, so that planning a suite costs no import of torch.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.models.entry import Blueprint, Hyper, ModelEntry, Site, Taps
from harness.spec import NonVerbal, Shapes, Task

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["ENTRIES", "arguments", "defaults"]

_NUM_CLASSES = 3
_READS_TOKENS = {"misa": "singleTask.MISA", "self_mm": "multiTask.SELF_MM"}
"""Modules whose models have a text encoder."""


@functools.cache
def _configuration() -> dict[str, Any]:
    """MMSA's table of default hyper-parameters, read as data."""
    found = importlib.util.find_spec("MMSA")
    if found is None or found.origin is None:
        raise InputError("the MMSA package is not installed", hint="pip install -c constraints.txt MMSA")
    path = Path(found.origin).parent / "config" / "config_regression.json"
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table


def defaults(key: str, column: str) -> dict[str, Any] | None:
    """Return MMSA's hyper-parameters of a model for a data set column, or None where MMSA has none.

    Parameters
    ----------
    key : str
        MMSA's name of the model, such as ``lf_dnn``.
    column : {"mosi", "mosei", "sims"}
        Whose hyper-parameters.
    """
    entry = _configuration()[key]
    if column not in entry["datasetParams"]:
        return None
    return {**entry["commonParams"], **entry["datasetParams"][column]}


def arguments(key: str, blueprint: Blueprint) -> Any:
    """Assemble the attribute dictionary that MMSA's models and trainers read everything from."""
    import torch
    from easydict import EasyDict

    hyper, shapes = blueprint.hyper, blueprint.shapes
    time_steps = {m: 1 if hyper.get("need_normalized") and m != "text" else shapes.lengths[m] for m in shapes.lengths}
    return EasyDict(
        {
            **json.loads(json.dumps(dict(hyper))),
            "model_name": key,
            "dataset_name": blueprint.column,
            "feature_dims": [shapes.widths[m] for m in ("text", "audio", "vision")],
            "seq_lens": [time_steps[m] for m in ("text", "audio", "vision")],
            "num_classes": _NUM_CLASSES,
            "train_mode": blueprint.task,
            "device": torch.device(blueprint.device),
        }
    )


def _build(key: str, blueprint: Blueprint) -> nn.Module:
    from MMSA.models import AMIO

    from harness.models.dropout import use_block_draws

    with _encoder_in_place(key, blueprint.encoder), warnings.catch_warnings():
        # MISA's transformer layer takes time first: torch says that it will not use nested tensors then.
        warnings.filterwarnings("ignore", "enable_nested_tensor is True", UserWarning)
        model: nn.Module = AMIO(arguments(key, blueprint))
    use_block_draws(model)
    return model.to(blueprint.device)


def _build_misa(blueprint: Blueprint) -> nn.Module:
    """MISA fixes the width of its text projection at 768: let it take the encoder's."""
    from torch import nn

    model = _build("misa", blueprint)
    width = blueprint.shapes.widths["text"]
    projection: Any = model.get_submodule("Model.project_t.project_t")
    if projection.in_features != width:
        fitting = nn.Linear(width, projection.out_features).to(blueprint.device)
        setattr(model.get_submodule("Model.project_t"), "project_t", fitting)  # noqa: B010 -- a module has no such field
    return model


@contextlib.contextmanager
def _encoder_in_place(key: str, encoder: nn.Module | None) -> Iterator[None]:
    """While a model is built, give it this text encoder where it would load one by name, tokenizer and all."""
    if encoder is None:
        if key in _READS_TOKENS:
            raise ValueError(f"{key} needs a text encoder: MMSA would ask the model hub for one")
        yield
        return
    module: Any = importlib.import_module(f"MMSA.models.{_READS_TOKENS[key]}")
    original = module.BertTextEncoder
    module.BertTextEncoder = lambda **_settings: encoder
    try:
        yield
    finally:
        module.BertTextEncoder = original


def _rebuild_subnet(module: nn.Module, width: int) -> nn.Module:
    """Build a fresh MMSA SubNet (batch norm and three linear layers) for another input width."""
    original: Any = module
    fresh: nn.Module = type(module)(width, original.linear_3.out_features, original.drop.p)
    return fresh


def _hidden(position: int) -> Callable[[Blueprint], int]:
    return lambda blueprint: int(blueprint.hyper["hidden_dims"][position])


def _rebuild_auvi(module: nn.Module, width: int) -> nn.Module:
    """Build a fresh MMSA AuViSubNet (LSTM over packed steps, dropout, linear layer) for another input width."""
    original: Any = module
    fresh: nn.Module = type(module)(
        width,
        original.rnn.hidden_size,
        original.linear_1.out_features,
        num_layers=original.rnn.num_layers,
        dropout=original.dropout.p,
        bidirectional=original.rnn.bidirectional,
    )
    return fresh


_MLP_SITES: Mapping[NonVerbal, Site] = {
    "audio": Site("Model.audio_subnet", "features_last", _hidden(1), _rebuild_subnet, "subnet"),
    "vision": Site("Model.video_subnet", "features_last", _hidden(2), _rebuild_subnet, "subnet"),
}
_CELL_SITES: Mapping[NonVerbal, Site] = {
    "audio": Site("Model.lstm_a", "cell", _hidden(1)),
    "vision": Site("Model.lstm_v", "cell", _hidden(2)),
}


def _projection(blueprint: Blueprint) -> int:
    return int(blueprint.hyper["dst_feature_dim_nheads"][0])


_CONV_SITES: Mapping[NonVerbal, Site] = {
    "audio": Site("Model.proj_a", "channels_first", _projection),
    "vision": Site("Model.proj_v", "channels_first", _projection),
}
_FEATURES = {"text": "Feature_t", "audio": "Feature_a", "vision": "Feature_v", "fusion": "Feature_f"}


def _auvi_site(path: str, width: str) -> Site:
    return Site(path, "features_last", lambda blueprint: int(blueprint.hyper[width]), _rebuild_auvi, "lstm_last")


def _read_features(
    _model: nn.Module, outputs: Mapping[str, Any], captured: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """MMSA's own feature outputs; a captured input stands in for a fusion tensor that is too large to keep."""
    size = outputs["M"].shape[0]
    features = {name: outputs[key].reshape(size, -1) for name, key in _FEATURES.items() if key in outputs}
    for tensor in captured.values():
        features["fusion"] = tensor.reshape(size, -1)
    return features


def _read_memory(
    model: nn.Module, _outputs: Mapping[str, Any], _captured: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The last hidden states and memory that MFN and Graph-MFN keep as attributes and do not return."""
    import torch

    core: Any = model.get_submodule("Model")
    last = {"text": core.h_l, "audio": core.h_a, "vision": core.h_v}
    return {**last, "fusion": torch.cat([*last.values(), core.mem], dim=1)}


def _read_misa(
    model: nn.Module, outputs: Mapping[str, Any], captured: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Each modality's private and shared part in sum, as MISA keeps it, and what goes into its last layers."""
    core: Any = model.get_submodule("Model")
    size = outputs["M"].shape[0]
    named = {"text": core.utt_t, "audio": core.utt_a, "vision": core.utt_v}
    return {**named, "fusion": captured["Model.fusion"].reshape(size, -1)}


def _check_mult(hyper: Hyper, shapes: Shapes, split: tuple[NonVerbal, ...]) -> None:
    for letter, modality in (("l", "text"), ("a", "audio"), ("v", "vision")):
        kernel, length = hyper[f"conv1d_kernel_size_{letter}"], shapes.lengths[modality]  # type: ignore[index]
        if kernel > length:
            raise InputError(
                f"MulT's convolution over {modality} is {kernel} steps wide, but the data has {length} step(s)",
                where=f"hyper.MulT.conv1d_kernel_size_{letter}",
                hint=f"set it to {length} or less in the suite",
            )
    width, heads = hyper["dst_feature_dim_nheads"]
    if width % heads:
        raise InputError(
            f"{heads} attention heads do not divide a width of {width}",
            where="hyper.MulT.dst_feature_dim_nheads",
            hint="choose a number of heads that divides the width",
        )
    for site in split:
        if shapes.widths[site] == width:
            raise InputError(
                f"MulT skips the projection of {site} when its width is {width} already: there is nothing to split",
                where="hyper.MulT.dst_feature_dim_nheads",
                hint="choose another projection width in the suite",
            )


def _check_misa(hyper: Hyper, _shapes: Shapes, _split: tuple[NonVerbal, ...]) -> None:
    if hyper["hidden_size"] % 2:
        raise InputError(
            f"MISA's transformer has two heads, which do not divide a width of {hyper['hidden_size']}",
            where="hyper.MISA.hidden_size",
            hint="choose an even width",
        )
    if hyper["rnncell"] not in ("lstm", "gru"):
        raise InputError(
            f"unknown recurrent cell '{hyper['rnncell']}'", where="hyper.MISA.rnncell", hint="choose lstm or gru"
        )


def _check_self_mm(hyper: Hyper, shapes: Shapes, _split: tuple[NonVerbal, ...]) -> None:
    lengths = shapes.lengths
    if hyper["need_data_aligned"] and len(set(lengths.values())) > 1:
        raise InputError(
            "Self-MM would pack audio and vision by the text lengths, and they are not aligned: "
            f"{lengths['text']}, {lengths['audio']} and {lengths['vision']} steps",
            where="hyper.Self-MM.need_data_aligned",
            hint="leave it false where the data set has no aligned file",
        )


_BOTH: tuple[Task, ...] = ("regression", "classification")
_LSTM_MLP = {"text": "LSTM", "audio": "MLP", "vision": "MLP"}
_LSTM = {"text": "LSTM", "audio": "LSTM", "vision": "LSTM"}
_BERT_LSTM = {"text": "BERT", "audio": "LSTM", "vision": "LSTM"}
_CNN = {"text": "CNN", "audio": "CNN", "vision": "CNN"}
_BIG_FUSION = "Learned fusion features are the last hidden layer; the fusion tensor itself is too large to keep."
_NORMALISES = "normalises over the batch"
_UNTRAINED_FUSION = "As in MMSA, the rank weights and the bias of the fusion are never trained."


def _entry(name: str, key: str, **settings: Any) -> ModelEntry:
    given: dict[str, Any] = {"tasks": _BOTH, "build": functools.partial(_build, key), **settings}
    return ModelEntry(name=name, defaults=functools.partial(defaults, key), **given)


def _mlp_entry(name: str, key: str, recipe: str, **settings: Any) -> ModelEntry:
    given: dict[str, Any] = {"taps": Taps(_read_features), **settings}
    return _entry(name, key, subnets=_LSTM_MLP, recipe=recipe, sites=_MLP_SITES, no_lone_sample=_NORMALISES, **given)


def _multi_task_entry(name: str, key: str, **settings: Any) -> ModelEntry:
    return _mlp_entry(
        name, key, key, tasks=("classification",), unimodal_labels=True, lone_evaluation=False, **settings
    )


ENTRIES: tuple[ModelEntry, ...] = (
    _mlp_entry("LF-DNN", "lf_dnn", "plain"),
    _mlp_entry(
        "TFN", "tfn", "tfn", taps=Taps(_read_features, captured=("Model.post_fusion_layer_3",)), notes=(_BIG_FUSION,)
    ),
    _mlp_entry("LMF", "lmf", "lmf", notes=(_UNTRAINED_FUSION,)),
    _entry(
        "MFN",
        "mfn",
        subnets=_LSTM,
        recipe="plain",
        sites=_CELL_SITES,
        taps=Taps(_read_memory),
        notes=("As in MMSA, audio and vision are averaged over time and repeated to the text length.",),
    ),
    _entry(
        "Graph-MFN",
        "graph_mfn",
        subnets=_LSTM,
        recipe="plain",
        sites=_CELL_SITES,
        taps=Taps(_read_memory),
        notes=(
            "As in MMSA, four sub-networks of the graph are never registered, so they are never trained.",
            "As in MMSA, unaligned frames are pooled by averaging frames that stand a target length apart.",
        ),
    ),
    _entry(
        "MulT", "mult", subnets=_CNN, recipe="mult", sites=_CONV_SITES, taps=Taps(_read_features), check=_check_mult
    ),
    _entry(
        "MISA",
        "misa",
        build=_build_misa,
        subnets=_BERT_LSTM,
        recipe="misa",
        packs_by=lambda _hyper: "text",
        no_lone_sample="compares moments over the batch",
        sites={
            "audio": Site("Model.arnn1", "packed", lambda blueprint: 2 * blueprint.shapes.widths["audio"]),
            "vision": Site("Model.vrnn1", "packed", lambda blueprint: 2 * blueprint.shapes.widths["vision"]),
        },
        taps=Taps(_read_misa, captured=("Model.fusion",)),
        check=_check_misa,
        notes=("As in MMSA, audio and vision are cut to the text length before the first recurrent layer.",),
    ),
    _multi_task_entry("MLF-DNN", "mlf_dnn"),
    _multi_task_entry(
        "MTFN", "mtfn", taps=Taps(_read_features, captured=("Model.post_fusion_layer_3",)), notes=(_BIG_FUSION,)
    ),
    _multi_task_entry("MLMF", "mlmf", notes=(_UNTRAINED_FUSION,)),
    _entry(
        "Self-MM",
        "self_mm",
        tasks=("regression",),
        subnets=_BERT_LSTM,
        recipe="self_mm",
        encoder_width="text_out",
        packs_by=lambda hyper: "text" if hyper["need_data_aligned"] else "lengths",
        sites={
            "audio": _auvi_site("Model.audio_model", "audio_out"),
            "vision": _auvi_site("Model.video_model", "video_out"),
        },
        taps=Taps(_read_features),
        check=_check_self_mm,
    ),
)
