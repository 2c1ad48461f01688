"""Suites: the shipped ones by name, or a user's YAML file by path."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from harness.errors import InputError
from harness.spec import Suite
from harness.yamlfile import read_yaml, suggest, validate

__all__ = ["load_suite", "shipped"]


def shipped() -> tuple[str, ...]:
    """Return the names of the shipped suites."""
    folder = resources.files(__name__)
    return tuple(sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml")))


def load_suite(ref: str) -> tuple[Suite, Path]:
    """Load a suite by shipped name or by the path of a YAML file.

    Parameters
    ----------
    ref : str
        A shipped name such as ``quick``, or a path of a YAML file.

    Returns
    -------
    Suite
        The validated suite.
    Path
        The folder that relative paths in it start from.

    Raises
    ------
    InputError
        If there is no such suite or a field is wrong.
    """
    path, names = Path(ref), shipped()
    if ref not in names and (path.suffix.lower() in {".yaml", ".yml"} or len(path.parts) > 1 or path.is_file()):
        return validate(Suite, read_yaml(path), where=str(path)), path.resolve().parent
    if ref not in names:
        raise InputError(
            f"unknown suite '{ref}'{suggest(ref, list(names))}",
            where="--suite",
            hint=f"name a shipped suite ({', '.join(names)}) or the path of a YAML file",
        )
    with resources.as_file(resources.files(__name__) / f"{ref}.yaml") as shipped_path:
        return validate(Suite, read_yaml(shipped_path), where=f"shipped suite '{ref}'"), shipped_path.parent
