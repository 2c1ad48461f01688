"""Hyper-parameters: a suite's overrides laid over a model's defaults, each checked for kind and range.

A suite addresses overrides by section: ``*`` (every model that has the key), ``MODEL``, and either followed by
``@DATASET`` for one data set alone. Later sections of that order win.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from harness.errors import InputError
from harness.yamlfile import suggest

__all__ = ["Overrides", "resolve"]

Overrides = Mapping[str, Mapping[str, Any]]
_AT_LEAST_ONE = frozenset({"batch_size", "early_stop", "update_epochs", "rank", "nlevels", "memsize", "windowsize"})
_RATES = ("learning_rate", "factor_lr")
_NOT_NEGATIVE = ("weight_decay", "patience")


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
        return new
    if isinstance(new, bool) or not isinstance(new, (int, float)) or (isinstance(new, float) and isinstance(old, int)):
        _refuse(old, new, where)
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


def _check_range(key: str, value: float, where: str) -> None:
    if not math.isfinite(value):
        raise InputError(f"not a finite number: {value!r}", where=where, hint="give a finite one")
    wanted = ""
    if key in _AT_LEAST_ONE and value < 1:
        wanted = "1 or more"
    elif key in _RATES and value <= 0:
        wanted = "more than 0"
    elif key in _NOT_NEGATIVE and value < 0:
        wanted = "0 or more"
    elif ("drop" in key or key == "dropouts") and not 0 <= value <= 1:
        wanted = "between 0 and 1"
    if wanted:
        raise InputError(f"{key} must be {wanted}, got {value!r}", where=where, hint="mend the value")
