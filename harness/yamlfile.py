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


class _Loader(yaml.SafeLoader):
    """`yaml.SafeLoader`, but a field given twice is an error: it would keep the last one and say nothing."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if name in seen:
                raise yaml.MarkedYAMLError(problem=f"'{key.value}' is given twice", problem_mark=key.start_mark)
            if name is not None:
                seen.add(name)
        return node


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping as `yaml.safe_load` does: no code runs.

    Raises
    ------
    InputError
        If the file is missing, not UTF-8, not YAML, names a field twice, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot read the file: {error.strerror or error}", where=str(path), hint="check the path and permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8 text", where=str(path), hint="save it as UTF-8 YAML") from error
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    # Impossible dates, endless numbers and bottomless nesting are not the YAML library's own errors.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).split("\n", maxsplit=1)[0]
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
        problems = error.errors(include_url=False)
    # Where items of a list are wrong, pydantic adds that it is too short without them.
    inner = {problem["loc"][:depth] for problem in problems for depth in range(len(problem["loc"]))}
    lines = [_line(p, model) for p in problems if not (p["type"] == "too_short" and p["loc"] in inner)]
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
    place = ".".join(str(part) for part in problem["loc"])
    message = str(problem["msg"]).removeprefix("Value error, ").replace("Tuple", "List").replace("tuple", "list")
    if not place:  # it concerns several fields, and names them
        return message
    if problem["type"] == "extra_forbidden":
        known = list(model.model_fields) if len(problem["loc"]) == 1 else []
        return f"{place}: unknown field{suggest(str(problem['loc'][-1]), known)}"
    if problem["type"] == "missing":
        return f"{place}: required, but not given"
    shown = repr(problem["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"{place}: {message} (got {shown})"
