"""Hyper-parameters: a suite's overrides laid over a model's defaults, each checked for kind and range.

A suite addresses overrides by section: ``*`` (every model that has the key), ``MODEL``, and either followed by
``@DATASET`` for one data set alone. Later sections of that order win.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from harness.errors import InputError
from harness.yamlfile import suggest

__all__ = ["Overrides", "resolve"]

Overrides = Mapping[str, Mapping[str, Any]]
_AT_LEAST_ONE = frozenset({"batch_size", "early_stop", "update_epochs", "rank", "nlevels", "memsize", "windowsize"})
_SIZES = re.compile(r"(_dims?|_size|_out|_depth|_tokens|_count|_layers|heads|_positions|_epochs)$|kernel_size")
_NO_SIZES = frozenset({"warm_up_epochs"})
_LOSS_WEIGHTS = frozenset({"M", "T", "A", "V", "alpha", "beta", "delta"})
_ENCODER = "name the text encoder in the suite's text_encoder instead"
_REFERENCE = "the model's code takes it as it is: leave it out"
_FIXED: Mapping[str, str] = {
    "use_bert": _REFERENCE,
    "use_bert_finetune": _REFERENCE,
    "transformers": _ENCODER,
    "pretrained": _ENCODER,
    "need_normalized": _REFERENCE,
    "need_model_aligned": _REFERENCE,
    "use_cmd_sim": "the adversarial loss that takes its place cannot run in MMSA's trainer either: leave it out",
    "save_labels": "it changes no number and nothing reads it: leave it out",
    "a_lstm_layers": _REFERENCE,
    "v_lstm_layers": _REFERENCE,
}
"""Keys of configurations that no suite may change, and what to do instead."""


def resolve(defaults: Mapping[str, Any], name: str, overrides: Overrides, dataset: str) -> dict[str, Any]:
    """Return a model's full hyper-parameters.

    A nested group such as MFN's ``NN1Config`` may be overridden in part.

    Parameters
    ----------
    defaults : mapping
        The model's own.
    name, dataset : str
        Which sections of `overrides` apply.
    overrides : mapping of mappings
        The suite's ``hyper``.

    Raises
    ------
    InputError
        If an override names a key that the model does not have, changes its kind, or is out of range.
    """
    resolved = {key: dict(value) if isinstance(value, dict) else value for key, value in defaults.items()}
    for section, strict in _sections(name, dataset):
        for key, value in overrides.get(section, {}).items():
            where = f"hyper.{section}.{key}"
            if key in resolved:
                resolved[key] = _override(key, resolved[key], value, where)
            elif strict:
                raise InputError(
                    f"{name} has no hyper-parameter '{key}'{suggest(key, list(resolved))}",
                    where=where,
                    hint=f"known: {', '.join(sorted(resolved))}",
                )
    return resolved


def _sections(name: str, dataset: str) -> Iterator[tuple[str, bool]]:
    yield from (("*", False), (f"*@{dataset}", False), (name, True), (f"{name}@{dataset}", True))


def _override(key: str, old: Any, new: Any, where: str) -> Any:
    """Return `new` in the kind of `old`: a whole number where a fraction stands becomes one, so that 0 is 0.0."""
    if isinstance(old, dict):
        return _override_group(old, new, where)
    if isinstance(old, list):
        if not isinstance(new, list) or len(new) != len(old):
            _refuse(old, new, where)
        return [_override(key, a, b, where) for a, b in zip(old, new, strict=True)]
    if isinstance(old, bool) or not isinstance(old, (int, float)):
        if type(new) is not type(old):
            _refuse(old, new, where)
        _check_fixed(key, old, new, where)
        return new
    if isinstance(new, bool) or not isinstance(new, (int, float)) or (isinstance(new, float) and isinstance(old, int)):
        _refuse(old, new, where)
    _check_fixed(key, old, new, where)
    _check_range(key, new, where)
    return float(new) if isinstance(old, float) else new


def _override_group(old: dict[str, Any], new: Any, where: str) -> dict[str, Any]:
    if not isinstance(new, dict):
        _refuse(old, new, where)
    unknown = sorted(set(map(str, new)) - set(old))
    if unknown:
        raise InputError(
            f"unknown part '{unknown[0]}'{suggest(unknown[0], list(old))}", where=where, hint=f"known: {', '.join(old)}"
        )
    return {**old, **{part: _override(part, old[part], value, f"{where}.{part}") for part, value in new.items()}}


def _refuse(old: Any, new: Any, where: str) -> NoReturn:
    hint = "keep the kind of value that is there"
    if isinstance(new, str) and isinstance(old, float):
        hint = "YAML reads a number such as 1e-3 as text: write 0.001 or 1.0e-3"
    raise InputError(f"expected something like {old!r}, got {new!r}", where=where, hint=hint)


def _check_fixed(key: str, old: Any, new: Any, where: str) -> None:
    if key in _FIXED and new != old:
        raise InputError(f"{key} cannot be changed from {old!r} to {new!r}", where=where, hint=_FIXED[key])


def _check_range(key: str, value: float, where: str) -> None:
    if not math.isfinite(value):
        raise InputError(f"not a finite number: {value!r}", where=where, hint="give a finite one")
    if wanted := _wanted(key, value):
        raise InputError(f"{key} must be {wanted}, got {value!r}", where=where, hint="mend the value")


def _wanted(key: str, value: float) -> str:
    """Return the range that `value` is outside of, or nothing."""
    rules = (
        (key.startswith("learning_rate") or key in ("factor_lr", "H"), value > 0, "more than 0"),
        (key == "grad_clip", value > 0 or value == -1, "more than 0, or -1 for none"),
        ("drop" in key, 0 <= value <= 1, "between 0 and 1"),
        (_is_size(key), value >= 1, "1 or more"),
        (_is_weight(key), value >= 0, "0 or more"),
    )
    return next((wanted for applies, holds, wanted in rules if applies and not holds), "")


def _is_size(key: str) -> bool:
    return key in _AT_LEAST_ONE or (key not in _NO_SIZES and _SIZES.search(key) is not None)


def _is_weight(key: str) -> bool:
    named = key in _LOSS_WEIGHTS or key in ("patience", *_NO_SIZES)
    return named or "weight_decay" in key or key.endswith("_weight")
