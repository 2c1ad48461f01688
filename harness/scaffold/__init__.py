"""Templates of what users bring: a model, a data set, a suite, each with a test that it passes as it is written."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import IO

from harness import models as registry
from harness import suites
from harness.data import load_definition
from harness.data import shipped as shipped_datasets
from harness.disk import replace_file
from harness.errors import InputError, StoreError
from harness.metrics import metrics_for
from harness.models import plugins as plugin_files

__all__ = ["new_dataset", "new_model", "new_suite"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_FIRST_METRICS = ("Acc-2", "Acc-2/has-0", "F1", "F1/has-0", "MAE", "Corr")


def new_model(name: str, folder: Path) -> list[Path]:
    """Write a model's plug-in and its test; return the files.

    Raises
    ------
    InputError
        If the name cannot be one or is taken by what ships with the harness, or a file is there already.
    StoreError
        If the folder cannot be written.
    """
    module = _module(name)
    _free(name, registry.names(), "model")
    if module in sys.stdlib_module_names or module in metadata.packages_distributions():
        raise InputError(
            f"a file {module}.py would stand in the way of the Python package {module}",
            where="NAME",
            hint="choose another name",
        )
    kind = "".join(part[:1].upper() + part[1:] for part in re.split(r"[._-]+", name) if part)
    test = f"test_model_{module}.py"
    known = {"CLASS": kind, "FILE": f"{module}.py", "TEST": test}
    return _write(name, folder, {f"{module}.py": "model.py.txt", test: "test_model.py.txt"}, known)


def new_dataset(name: str, folder: Path) -> list[Path]:
    """Write a data set's definition and its test; raises as `new_model`."""
    file, test = f"{name}.yaml", f"test_dataset_{_module(name)}.py"
    _free(name, shipped_datasets(), "data set")
    return _write(name, folder, {file: "dataset.yaml.txt", test: "test_dataset.py.txt"}, {"FILE": file})


def new_suite(
    name: str,
    folder: Path,
    *,
    models: Sequence[str] = ("LF-DNN", "MulT"),
    datasets: Sequence[str] = ("synthetic",),
    plugins: Sequence[Path] = (),
) -> list[Path]:
    """Write a suite and its test; it names data sets and plug-ins as seen from its folder.

    Raises as `new_model`, and where a model is neither built in nor in a plug-in.
    """
    file, test = f"{name}.yaml", f"test_suite_{_module(name)}.py"
    _free(name, suites.shipped(), "suite")
    brought = {entry.name for path in plugins for entry in plugin_files.load(path).entries}
    for model in models:
        if model not in brought:
            registry.entry(model)
    told = [one if one in shipped_datasets() else _from(folder, Path(one)) for one in datasets]
    named = ", ".join(_from(folder, path) for path in plugins)
    known = {
        "FILE": file,
        "DATASETS": f"[{', '.join(told)}]",
        "MODELS": f"[{', '.join(models)}]",
        "PLUGINS": f"plugins: [{named}]" + " " * max(1, 26 - len(named)) + "# files that models of yours are in\n"
        if plugins
        else "",
        "METRICS": f"[{', '.join(_metrics(datasets))}]",
    }
    return _write(name, folder, {file: "suite.yaml.txt", test: "test_suite.py.txt"}, known)


def _put(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def _metrics(datasets: Sequence[str]) -> list[str]:
    """Name the metrics that the gate may watch, as far as all data sets have them."""
    there = []
    for one in datasets:
        convention = load_definition(one).convention
        there.append({metric.name for metric in metrics_for("regression", convention)})
    return [name for name in _FIRST_METRICS if all(name in names for names in there)]


def _from(folder: Path, path: Path) -> str:
    if not path.exists():
        raise InputError("there is no such file", where=str(path), hint="write it first, or mend the path")
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def _free(name: str, taken: Sequence[str], what: str) -> None:
    if name in taken:
        raise InputError(
            f"a {what} of the name {name!r} ships with the harness", where="NAME", hint="choose another name"
        )


def _module(name: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > 40:
        raise InputError(
            f"{name!r} cannot be a name",
            where="NAME",
            hint="letters, digits, - _ . after a letter, 40 at most",
        )
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").replace(".", "_")


def _write(name: str, folder: Path, files: Mapping[str, str], known: Mapping[str, str]) -> list[Path]:
    values = {"NAME": name, "MODULE": _module(name), **known}
    texts = {}
    for file, template in files.items():
        path = folder / file
        if path.exists():
            raise InputError("the file is there already", where=str(path), hint="choose another name or another --out")
        text = (resources.files(__name__) / "templates" / template).read_text(encoding="utf-8")
        texts[path] = re.sub(r"__([A-Z]+)__", lambda found: values[found[1]], text)
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, functools.partial(_put, text.encode()))
        except OSError as error:
            what = f"cannot write the file: {error.strerror or error}"
            raise StoreError(what, where=str(path), hint="name another folder with --out") from error
    return list(texts)
