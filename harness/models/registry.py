"""The registry of models: names to entries, hyper-parameters resolved, a run spec to a built model."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.models import mmsa
from harness.models.entry import ModelEntry
from harness.spec import RunSpec
from harness.yamlfile import suggest

if TYPE_CHECKING:
    from torch import nn

__all__ = ["build", "entry", "names", "resolve_hyper", "seed_everything"]

_REGISTRY: dict[str, ModelEntry] = {e.name: e for e in mmsa.ENTRIES}


def names() -> tuple[str, ...]:
    """Return the models that exist, in the paper's order."""
    return tuple(_REGISTRY)


def entry(name: str) -> ModelEntry:
    """Look a model up by its name.

    Raises
    ------
    InputError
        If there is no such model.
    """
    if name not in _REGISTRY:
        raise InputError(
            f"unknown model '{name}'{suggest(name, list(_REGISTRY))}",
            where="models",
            hint=f"known models: {', '.join(_REGISTRY)}",
        )
    return _REGISTRY[name]


def resolve_hyper(name: str, column: str, overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a model's full hyper-parameters: MMSA's defaults, then the suite's ``*``, then the suite's own for it.

    A nested group such as MFN's ``NN1Config`` may be overridden in part. Keys of ``*`` apply to the models that have
    them.

    Raises
    ------
    InputError
        If an override names a key that the model does not have or changes its type.
    """
    base = entry(name).defaults(column)
    if base is None:
        raise InputError(
            f"{name} has no hyper-parameters for '{column}'", where="hyperparameters", hint="leave the model out"
        )
    resolved = {key: dict(value) if isinstance(value, dict) else value for key, value in base.items()}
    for section, strict in (("*", False), (name, True)):
        for key, value in overrides.get(section, {}).items():
            if key in resolved:
                resolved[key] = _override(resolved[key], value, f"hyper.{section}.{key}")
            elif strict:
                raise InputError(
                    f"{name} has no hyper-parameter '{key}'{suggest(key, list(resolved))}",
                    where=f"hyper.{section}.{key}",
                    hint=f"known: {', '.join(sorted(resolved))}",
                )
    return resolved


def _override(old: Any, new: Any, where: str) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        unknown = sorted(set(new) - set(old))
        if unknown:
            raise InputError(f"unknown part '{unknown[0]}'", where=where, hint=f"known: {', '.join(old)}")
        return {**old, **{key: _override(old[key], value, f"{where}.{key}") for key, value in new.items()}}
    if isinstance(old, bool) or isinstance(new, bool):
        fits = isinstance(old, bool) and isinstance(new, bool)
    elif isinstance(old, (int, float)):
        fits = isinstance(new, int) or (isinstance(new, float) and isinstance(old, float))
    elif isinstance(old, list):
        fits = isinstance(new, list) and len(new) == len(old)
    else:
        fits = isinstance(new, type(old))
    if not fits:
        raise InputError(
            f"expected something like {old!r}, got {new!r}", where=where, hint="keep the kind of value that is there"
        )
    return new


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, and ask cuDNN for repeatable kernels, as MMSA does before each run."""
    import numpy as np
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 -- MMSA's models may draw from NumPy's global generator
    random.seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def build(spec: RunSpec, device: str = "cpu") -> nn.Module:
    """Build the model of a run on `device`, with the fine-grained method applied where its variant asks for it.

    The original is built first and draws the same random numbers in every variant, so that the parts a variant
    leaves alone start from the same weights for the same seed.
    """
    from harness.models.finegrained import apply_fine_grained, resized

    known = entry(spec.model)
    if known.check is not None:
        known.check(spec.hyper, spec.data.shapes, spec.split)
    model = known.build(spec.hyper, spec.data.shapes, spec.task, device, spec.data.hyperparameters)
    for modality in spec.split:
        site = known.sites[modality]
        assert spec.finegrained is not None, "a variant that splits something carries its options"
        apply_fine_grained(
            model,
            site.path,
            spec.data.groups[modality],
            width=site.width(spec.hyper),
            layout=site.layout,
            options=spec.finegrained,
            rebuild=site.rebuild or resized,
        )
    return model
