"""YAML files to validated objects, with errors that name the file, the field, and the nearest right spelling."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from harness.errors import InputError

__all__ = ["read_yaml", "suggest", "validate"]

Model = TypeVar("Model", bound=BaseModel)
_SHOWN = 8


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping with `yaml.safe_load`: no code runs.

    Raises
    ------
    InputError
        If the file is missing, not UTF-8, not YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8 text", where=str(path), hint="save it as UTF-8 YAML") from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise InputError(f"not valid YAML: {problem}", where=f"{path}{line}", hint="mend the syntax there") from error
    if not isinstance(data, dict):
        raise InputError(
            f"expected a mapping of fields, found {type(data).__name__}",
            where=str(path),
            hint="a suite or a data set is written as 'field: value' lines",
        )
    return data


def validate(model: type[Model], data: dict[str, Any], *, where: str) -> Model:
    """Build `model` from `data`; turn pydantic's complaints into one `InputError` that fits on a screen."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [_line(problem, model) for problem in error.errors(include_url=False)]
    more = f"\n  ... and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    raise InputError(
        f"{len(lines)} field(s) are wrong:\n  " + "\n  ".join(lines[:_SHOWN]) + more,
        where=where,
        hint="mend the fields named above",
    )


def suggest(word: str, known: list[str]) -> str:
    """Return `` (did you mean 'X'?)`` when something close to `word` is known, else nothing."""
    folded = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.5)
    return f" (did you mean '{folded[close[0]]}'?)" if close else ""


def _line(problem: Any, model: type[BaseModel]) -> str:
    place = ".".join(str(part) for part in problem["loc"]) or "(the whole)"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        known = list(model.model_fields) if len(problem["loc"]) == 1 else []
        return f"{place}: unknown field{suggest(str(problem['loc'][-1]), known)}"
    if problem["type"] == "missing":
        return f"{place}: required, but not given"
    shown = repr(problem["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"{place}: {message} (got {shown})"
