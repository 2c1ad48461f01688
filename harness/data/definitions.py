"""Data set definitions: the shipped ones, and a user's own YAML on the same footing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from harness.errors import DataError
from harness.spec import DatasetSpec, DataSetting, SyntheticSpec
from harness.yamlfile import read_yaml, suggest, validate

__all__ = ["load_definition", "setting_of", "shipped"]

_SHIPPED = ("mosei", "sims", "mosi", "mosi-utterance", "synthetic")
_FROM_LIKE = (
    "language",
    "convention",
    "hyperparameters",
    "label_range",
    "widths",
    "groups",
    "unimodal_labels",
)


def shipped() -> tuple[str, ...]:
    """Return the names of the definitions that come with the harness."""
    return _SHIPPED


def load_definition(ref: str | Path | Mapping[str, Any], *, base: Path | None = None) -> DatasetSpec:
    """Load a data set definition.

    Parameters
    ----------
    ref : str, Path or mapping
        A shipped name, the path of a YAML file, or the fields themselves. A file or mapping may name a shipped
        definition under ``base`` and then give only what differs: mappings are merged field by field, ``null``
        removes a field, and the groups of a modality are replaced as a whole. With a ``synthetic`` block, what
        describes the layout (widths, groups, language, convention, label range, hyper-parameters, unimodal labels)
        comes from the shipped definition that ``synthetic.like`` names unless it is given, and settings and samples
        from the block.
    base : Path, optional
        The folder that a relative path starts from (a suite's folder); the current folder otherwise.

    Raises
    ------
    DataError
        If the name is not known or the file is not there.
    InputError
        If the file is not YAML, or a field is wrong; the message names the field.
    """
    if isinstance(ref, Mapping):
        where = f"data set {ref.get('name', '(without a name)')}"
        return _build(dict(ref), where)
    if isinstance(ref, str) and ref in _SHIPPED:
        return _build(_read_shipped(ref), f"definition {ref}")
    path = Path(ref) if base is None else base / ref
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.is_file():
            raise DataError("there is no such data set definition", where=str(path), hint=_known())
        return _build(read_yaml(path), str(path))
    raise DataError(f"unknown data set '{ref}'{suggest(str(ref), list(_SHIPPED))}", hint=_known())


def setting_of(definition: DatasetSpec, setting: str) -> DataSetting:
    """Return one setting of a data set.

    Raises
    ------
    DataError
        If it has no such setting.
    """
    for name, value in definition.settings.items():
        if name == setting:
            return value
    raise DataError(
        f"data set {definition.name} has no {setting} setting",
        where=f"definition of {definition.name}",
        hint=f"it has: {', '.join(definition.settings)}",
    )


def _known() -> str:
    return f"name one of {', '.join(_SHIPPED)}, or the path of a YAML definition"


def _read_shipped(name: str) -> dict[str, Any]:
    text = resources.files("harness.data").joinpath("definitions", f"{name}.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    assert isinstance(data, dict)
    return data


def _build(data: dict[str, Any], where: str) -> DatasetSpec:
    if "base" in data:
        data = _merge(
            _read_shipped(_shipped_name(data["base"], f"{where}, base")),
            {field: value for field, value in data.items() if field != "base"},
        )
    if isinstance(data.get("synthetic"), Mapping):
        data = _like(data, dict(data["synthetic"]), where)
    return validate(DatasetSpec, data, where=where)


def _like(data: dict[str, Any], block: dict[str, Any], where: str) -> dict[str, Any]:
    """Fill in what a synthetic set takes from its block and from the definition whose layout it copies."""
    plain = SyntheticSpec()
    for field, defaults in (("samples", plain.samples), ("lengths", plain.lengths)):
        if isinstance(block.get(field, {}), Mapping):
            block[field] = {**defaults, **block.get(field, {})}
    spec = validate(SyntheticSpec, block, where=f"{where}, synthetic")
    like = load_definition(_shipped_name(spec.like, f"{where}, synthetic.like"))
    filled = {field: getattr(like, field) for field in _FROM_LIKE}
    filled |= {"name": "synthetic", "title": f"Synthetic ({like.title} layout)"} | data
    filled |= {"settings": {"unaligned": {"lengths": spec.lengths}}, "samples": spec.samples, "synthetic": spec}
    if "synthetic" not in str(filled["name"]).lower():
        raise DataError(
            f"a synthetic set must say so in its name, and '{filled['name']}' does not",
            where=where,
            hint=f"call it 'synthetic-{filled['name']}', so that no table takes it for real data",
        )
    if "synthetic" not in str(filled["title"]).lower():
        filled["title"] = f"{filled['title']} (synthetic)"
    return filled


def _shipped_name(value: Any, where: str) -> str:
    if value in _SHIPPED:
        return str(value)
    raise DataError(
        f"'{value}' is not a shipped data set{suggest(str(value), list(_SHIPPED))}",
        where=where,
        hint=f"name one of {', '.join(_SHIPPED)}",
    )


def _merge(below: Mapping[str, Any], above: Mapping[str, Any], *, depth: int = 0) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            if depth == 0 and key == "groups":
                # Half of somebody else's groups never adds up: a modality's groups are replaced as a whole.
                merged[key] = {m: g for m, g in {**merged[key], **value}.items() if g is not None}
            else:
                merged[key] = _merge(merged[key], value, depth=depth + 1)
        else:
            merged[key] = value
    return merged
