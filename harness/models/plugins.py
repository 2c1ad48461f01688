"""Models of others: a Python file or package that a suite names, or one that an installed package announces.

A plug-in is a Python file, or a folder with ``__init__.py``, with a list ``MODELS`` of `ModelEntry`. An installed
package announces a model by an entry point of the group ``msa_harness.models``: its name is the model's, its object the
`ModelEntry`. What a run was made with is kept as a fingerprint of the sources: of the file or folder, or of the
package that the entry point lies in. What a file imports beside itself is not seen; a folder is.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType

from harness.errors import InputError
from harness.models.entry import ModelEntry
from harness.sources import fingerprint_of
from harness.spec import MODALITIES, Plugin

__all__ = ["ENTRY_POINTS", "Loaded", "announced", "load"]

ENTRY_POINTS = "msa_harness.models"
_TASKS = frozenset({"regression", "classification"})
_LAST_LINES = 6


@dataclass(frozen=True)
class Loaded:
    """A plug-in: what it is, where it lies (None for an installed package), and its models."""

    plugin: Plugin
    path: Path | None
    entries: tuple[ModelEntry, ...]


def load(path: Path) -> Loaded:
    """Import a plug-in, once for the same sources.

    Raises
    ------
    InputError
        If it is not there, cannot be imported, or holds no sound list of models.
    """
    path = path.resolve()
    file = path / "__init__.py" if path.is_dir() else path
    if not file.is_file():
        what = "is a folder without __init__.py" if path.is_dir() else "is not there"
        raise InputError(
            f"the plug-in {what}", where=str(path), hint="name a Python file, or a folder with __init__.py"
        )
    if file.suffix != ".py":
        raise InputError("a plug-in is a Python file", where=str(path), hint="name a .py file or a package folder")
    return _load(path, file, _fingerprint(path.rglob("*.py") if path.is_dir() else [path], path.parent, str(path)))


def announced(name: str) -> Loaded | None:
    """Return the model that an installed package announces under a name, or None.

    Raises
    ------
    InputError
        If the package cannot be imported, or two packages announce the name.
    """
    points = sorted(metadata.entry_points(group=ENTRY_POINTS, name=name), key=lambda point: point.value)
    if not points:
        return None
    if len({point.value for point in points}) > 1:
        packages = ", ".join(point.dist.name if point.dist else point.value for point in points)
        raise InputError(f"two installed packages announce a model {name}: {packages}", hint="uninstall one of them")
    return _announced(name, points[0].value)


@functools.cache
def _announced(name: str, value: str) -> Loaded:
    module, _, attribute = value.partition(":")
    found = _imported(lambda: importlib.import_module(module), value)
    held = getattr(found, attribute, None)
    if not isinstance(held, ModelEntry) or held.name != name:
        raise InputError(
            f"the entry point {name} = {value} is no ModelEntry of that name",
            where=ENTRY_POINTS,
            hint="let it name a harness.plugin.ModelEntry whose name is the entry point's",
        )
    top = sys.modules[module.partition(".")[0]]
    file = Path(top.__file__ or "")
    sources = file.parent.rglob("*.py") if file.name == "__init__.py" else [file]
    root = file.parent.parent if file.name == "__init__.py" else file.parent
    sha256 = _fingerprint(sources, root, value)
    return Loaded(Plugin(name=value, sha256=sha256), None, _checked([held], value))


@functools.lru_cache(maxsize=64)
def _load(path: Path, file: Path, sha256: str) -> Loaded:
    # Two plug-ins of one name, or two versions of one, are two modules.
    name = f"harness_plugin_{path.stem}_{sha256}"

    def run() -> ModuleType:
        folders = [str(path)] if path.is_dir() else None
        found = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folders)
        if found is None or found.loader is None:
            raise ImportError(f"Python has no loader for {file.name}")
        module = importlib.util.module_from_spec(found)
        sys.modules[name] = module
        try:
            found.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    module = _imported(run, str(path))
    held = getattr(module, "MODELS", None)
    if not isinstance(held, (list, tuple)) or not held:
        raise InputError(
            "the plug-in has no list MODELS",
            where=str(path),
            hint="MODELS = [ModelEntry(...)], see 'harness new model'",
        )
    return Loaded(Plugin(name=path.name, sha256=sha256), path, _checked(held, str(path)))


def _imported(run: Callable[[], ModuleType], where: str) -> ModuleType:
    try:
        return run()
    except Exception as error:
        lines = traceback.format_exception(error)[-_LAST_LINES:]
        said = "".join(lines).rstrip()
        raise InputError(
            f"the plug-in cannot be imported: {type(error).__name__}: {error}\n{said}",
            where=where,
            hint="mend it; importing it in a Python of your own shows the same",
        ) from error


def _checked(held: Iterable[object], where: str) -> tuple[ModelEntry, ...]:
    """Find what would fail only in the middle of a run."""
    entries = []
    for entry in held:
        if not isinstance(entry, ModelEntry):
            raise InputError(
                f"MODELS holds a {type(entry).__name__}", where=where, hint="it may hold ModelEntry objects only"
            )
        problem = _problem(entry)
        if problem:
            raise InputError(f"the model {entry.name!r} {problem}", where=where, hint="see 'harness new model'")
        entries.append(entry)
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two models are named {name!r}", where=where, hint="give one of them another name")
    return tuple(entries)


def _problem(entry: ModelEntry) -> str:
    letters = entry.name.replace("-", "").replace("_", "").replace(".", "")
    if not (letters.isalnum() and letters.isascii()) or len(entry.name) > 40:
        return "needs a name of letters, digits, - _ . alone, 40 at most"
    if not entry.tasks or not set(entry.tasks) <= _TASKS:
        return f"has tasks {entry.tasks}, which may be regression and classification"
    if lacking := [modality for modality in ("audio", "vision") if modality not in entry.sites]:
        return f"says nothing of where its extractor of {lacking[0]} sits (sites)"
    if lacking := [modality for modality in MODALITIES if modality not in entry.subnets]:
        return f"says nothing of what reads {lacking[0]} first (subnets)"
    return ""


def _fingerprint(sources: Iterable[Path], root: Path, where: str) -> str:
    try:
        return fingerprint_of([path for path in sources if "__pycache__" not in path.parts], root)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"the plug-in cannot be read: {error}", where=where, hint="mend it") from error
