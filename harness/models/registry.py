"""The registry of models: names to entries, hyper-parameters resolved, a run spec to a built model."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.models import mmsa, own, plugins
from harness.models.entry import Blueprint, ModelEntry
from harness.models.hyper import Overrides, resolve
from harness.spec import Plugin, RunSpec, Shapes
from harness.yamlfile import suggest

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "add_plugin",
    "blueprint_of",
    "build",
    "entry",
    "names",
    "plugin_of",
    "resolve_hyper",
    "seed_everything",
]

_REGISTRY: dict[str, ModelEntry] = {e.name: e for e in (*mmsa.ENTRIES, *own.ENTRIES)}
_FROM: dict[str, plugins.Loaded] = {}
"""By model: the plug-in that it comes from."""


def names() -> tuple[str, ...]:
    """Return the models that exist, in the paper's order, then those of plug-ins."""
    return (*_REGISTRY, *_FROM)


def add_plugin(path: Path) -> Plugin:
    """Make the models of a plug-in known by their names; one that was added before is replaced.

    Raises
    ------
    InputError
        If it cannot be used, or one of its names is taken.
    """
    loaded = plugins.load(path)
    for known in loaded.entries:
        other = _FROM.get(known.name)
        if known.name in _REGISTRY or (other is not None and other.path != loaded.path):
            whose = "a built-in model" if other is None else f"the plug-in {other.plugin.name}"
            raise InputError(
                f"the name {known.name!r} is that of {whose}", where=str(path), hint="give the model another name"
            )
    for name in [name for name, other in _FROM.items() if other.path == loaded.path]:
        del _FROM[name]
    _FROM.update(dict.fromkeys((known.name for known in loaded.entries), loaded))
    return loaded.plugin


def plugin_of(name: str) -> Plugin | None:
    """Return the plug-in that a known model comes from; None for a built-in one."""
    return _FROM[name].plugin if name in _FROM else None


def entry(name: str) -> ModelEntry:
    """Look a model up by its name.

    Raises
    ------
    InputError
        If there is no such model.
    """
    if name in _REGISTRY:
        return _REGISTRY[name]
    if name not in _FROM and (found := plugins.announced(name)) is not None:
        _FROM[name] = found
    if name not in _FROM:
        raise InputError(
            f"unknown model '{name}'{suggest(name, list(names()))}",
            where="models",
            hint=f"known models: {', '.join(names())}; a file of yours is named under 'plugins' in the suite",
        )
    return next(known for known in _FROM[name].entries if known.name == name)


def resolve_hyper(name: str, column: str, overrides: Overrides, *, dataset: str = "") -> dict[str, Any]:
    """Return a model's full hyper-parameters: its defaults for a data set column with a suite's overrides laid over.

    Raises
    ------
    InputError
        If the model has no defaults for the column, or an override does not fit.
    """
    defaults = entry(name).defaults(column)
    if defaults is None:
        raise InputError(
            f"{name} has no hyper-parameters for '{column}'", where="hyperparameters", hint="leave the model out"
        )
    return resolve(defaults, name, overrides, dataset)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, and ask cuDNN for repeatable kernels, as MMSA does before each run."""
    import numpy as np
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 -- MMSA's models may draw from NumPy's global generator
    random.seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def build(spec: RunSpec, device: str = "cpu", *, encoder: nn.Module | None = None) -> nn.Module:
    """Build the model of a run on `device`, with the fine-grained method applied where its variant asks for it.

    The original is built first and draws the same random numbers in every variant, so that the parts a variant
    leaves alone start from the same weights for the same seed.

    Parameters
    ----------
    spec : RunSpec
        The run.
    device : str
        ``cpu`` or ``cuda``, as torch names it.
    encoder : nn.Module or None
        The text encoder of a run that has one, from `harness.models.text.load`.
    """
    from harness.models.finegrained import apply_fine_grained, resized

    if (encoder is None) != (spec.text_encoder is None):
        raise ValueError(f"{spec.label}: a text encoder is {'missing' if encoder is None else 'not wanted'}")
    known = entry(spec.model)
    blueprint = blueprint_of(spec, device, encoder)
    if known.check is not None:
        known.check(spec.hyper, blueprint.shapes, spec.split)
    model = known.build(blueprint)
    for modality in spec.split:
        site = known.sites[modality]
        assert spec.finegrained is not None, "a variant that splits something carries its options"
        apply_fine_grained(
            model,
            site.path,
            spec.data.groups[modality],
            width=site.width(blueprint),
            layout=site.layout,
            options=spec.finegrained,
            rebuild=site.rebuild or resized,
            kernel=site.kernel,
        )
    return model


def blueprint_of(spec: RunSpec, device: str = "cpu", encoder: nn.Module | None = None) -> Blueprint:
    """Say what the original model of a run is built from."""
    shapes = spec.data.shapes
    if spec.text_encoder is not None:
        shapes = Shapes(widths={**shapes.widths, "text": spec.text_encoder.width}, lengths=shapes.lengths)
    return Blueprint(spec.hyper, shapes, spec.task, spec.data.hyperparameters, device, encoder)
