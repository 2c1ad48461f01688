"""The adapter to the MMSA package: the only room that knows its names, switches and quirks.

MMSA's models and default hyper-parameters are used as they are. Nothing here imports MMSA before a model is built:
defaults are read from the package's JSON file, so that planning a suite costs no import of torch.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.models.entry import Hyper, ModelEntry, Site, Taps
from harness.spec import NonVerbal, Shapes, Task

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["ENTRIES", "arguments", "defaults"]

_NUM_CLASSES = 3


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


def arguments(key: str, hyper: Hyper, shapes: Shapes, task: Task, device: str, column: str) -> Any:
    """Assemble the attribute dictionary that MMSA's models and trainers read everything from."""
    import torch
    from easydict import EasyDict

    time_steps = {m: 1 if hyper.get("need_normalized") and m != "text" else shapes.lengths[m] for m in shapes.lengths}
    return EasyDict(
        {
            **json.loads(json.dumps(dict(hyper))),
            "model_name": key,
            "dataset_name": column,
            "feature_dims": [shapes.widths[m] for m in ("text", "audio", "vision")],
            "seq_lens": [time_steps[m] for m in ("text", "audio", "vision")],
            "num_classes": _NUM_CLASSES,
            "train_mode": task,
            "device": torch.device(device),
        }
    )


def _builder(key: str) -> Callable[[Hyper, Shapes, Task, str, str], nn.Module]:
    def build(hyper: Hyper, shapes: Shapes, task: Task, device: str, column: str) -> nn.Module:
        from MMSA.models import AMIO

        model: nn.Module = AMIO(arguments(key, hyper, shapes, task, device, column))
        return model.to(device)

    return build


def _rebuild_subnet(module: nn.Module, width: int) -> nn.Module:
    """Build a fresh MMSA SubNet (batch norm and three linear layers) for another input width."""
    original: Any = module
    fresh: nn.Module = type(module)(width, original.linear_3.out_features, original.drop.p)
    return fresh


def _hidden(position: int) -> Callable[[Hyper], int]:
    return lambda hyper: int(hyper["hidden_dims"][position])


_MLP_SITES: Mapping[NonVerbal, Site] = {
    "audio": Site("Model.audio_subnet", "features_last", _hidden(1), _rebuild_subnet),
    "vision": Site("Model.video_subnet", "features_last", _hidden(2), _rebuild_subnet),
}
_CELL_SITES: Mapping[NonVerbal, Site] = {
    "audio": Site("Model.lstm_a", "cell", _hidden(1)),
    "vision": Site("Model.lstm_v", "cell", _hidden(2)),
}
_CONV_SITES: Mapping[NonVerbal, Site] = {
    "audio": Site("Model.proj_a", "channels_first", lambda hyper: int(hyper["dst_feature_dim_nheads"][0])),
    "vision": Site("Model.proj_v", "channels_first", lambda hyper: int(hyper["dst_feature_dim_nheads"][0])),
}
_FEATURES = {"text": "Feature_t", "audio": "Feature_a", "vision": "Feature_v", "fusion": "Feature_f"}


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


def _check_mult(hyper: Hyper, shapes: Shapes, split: tuple[NonVerbal, ...]) -> None:
    for letter, modality in (("l", "text"), ("a", "audio"), ("v", "vision")):
        kernel, length = hyper[f"conv1d_kernel_size_{letter}"], shapes.lengths[modality]  # type: ignore[index]
        if kernel > length:
            raise InputError(
                f"MulT's convolution over {modality} is {kernel} steps wide, but the data has {length} step(s)",
                where=f"hyper.MulT.conv1d_kernel_size_{letter}",
                hint=f"set it to {length} or less in the suite",
            )
    width = hyper["dst_feature_dim_nheads"][0]
    for site in split:
        if shapes.widths[site] == width:
            raise InputError(
                f"MulT skips the projection of {site} when its width is {width} already: there is nothing to split",
                where="hyper.MulT.dst_feature_dim_nheads",
                hint="choose another projection width in the suite",
            )


_BOTH: tuple[Task, ...] = ("regression", "classification")
_LSTM_MLP = {"text": "LSTM", "audio": "MLP", "vision": "MLP"}
_LSTM = {"text": "LSTM", "audio": "LSTM", "vision": "LSTM"}
_CNN = {"text": "CNN", "audio": "CNN", "vision": "CNN"}


def _entry(name: str, key: str, **settings: Any) -> ModelEntry:
    return ModelEntry(
        name=name,
        tasks=_BOTH,
        defaults=functools.partial(defaults, key),
        build=_builder(key),
        **settings,
    )


ENTRIES: tuple[ModelEntry, ...] = (
    _entry(
        "LF-DNN",
        "lf_dnn",
        subnets=_LSTM_MLP,
        prefers="unaligned",
        recipe="plain",
        sites=_MLP_SITES,
        batch_norm=True,
        taps=Taps(_read_features),
    ),
    _entry(
        "TFN",
        "tfn",
        subnets=_LSTM_MLP,
        prefers="unaligned",
        recipe="tfn",
        sites=_MLP_SITES,
        batch_norm=True,
        taps=Taps(_read_features, captured=("Model.post_fusion_layer_3",)),
        notes=("Learned fusion features are the last hidden layer; the fusion tensor itself is too large to keep.",),
    ),
    _entry(
        "LMF",
        "lmf",
        subnets=_LSTM_MLP,
        prefers="unaligned",
        recipe="lmf",
        sites=_MLP_SITES,
        batch_norm=True,
        taps=Taps(_read_features),
        notes=("As in MMSA, the rank weights and the bias of the fusion are never trained.",),
    ),
    _entry(
        "MFN",
        "mfn",
        subnets=_LSTM,
        prefers="aligned",
        recipe="plain",
        sites=_CELL_SITES,
        taps=Taps(_read_memory),
        notes=("As in MMSA, audio and vision are averaged over time and repeated to the text length.",),
    ),
    _entry(
        "Graph-MFN",
        "graph_mfn",
        subnets=_LSTM,
        prefers="aligned",
        recipe="plain",
        sites=_CELL_SITES,
        taps=Taps(_read_memory),
        notes=(
            "As in MMSA, four sub-networks of the graph are never registered, so they are never trained.",
            "As in MMSA, unaligned frames are pooled by averaging frames that stand a target length apart.",
        ),
    ),
    _entry(
        "MulT",
        "mult",
        subnets=_CNN,
        prefers="unaligned",
        recipe="mult",
        sites=_CONV_SITES,
        taps=Taps(_read_features),
        check=_check_mult,
    ),
)
