"""``harness new model|dataset|suite``: templates that pass their own tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness import scaffold
from harness.display import err
from harness.options import Listed, split

__all__ = ["app"]

app = typer.Typer(help="Write a commented template of your own model, data set or suite.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="What it is called.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="In which folder.")]


@app.command("model")
def _model(name: Name, out: Out = Path()) -> None:
    """Write a model's Python file and its test."""
    _told(scaffold.new_model(name, out))


@app.command("dataset")
def _dataset(name: Name, out: Out = Path()) -> None:
    """Write a data set's YAML file and its test."""
    _told(scaffold.new_dataset(name, out))


@app.command("suite")
def _suite(
    name: Name,
    models: Annotated[Listed | None, typer.Option("--models", help="Which models [LF-DNN, MulT].")] = None,
    datasets: Annotated[
        Listed | None, typer.Option("--datasets", help="Which data sets, by name or YAML file [synthetic].")
    ] = None,
    plugins: Annotated[Listed | None, typer.Option("--plugins", help="Files that models of yours are in.")] = None,
    out: Out = Path(),
) -> None:
    """Write a suite's YAML file and its test."""
    files = scaffold.new_suite(
        name,
        out,
        models=split(models, "--models") or ("LF-DNN", "MulT"),
        datasets=split(datasets, "--datasets") or ("synthetic",),
        plugins=[Path(one) for one in split(plugins, "--plugins")],
    )
    _told(files)


def _told(files: list[Path]) -> None:
    for path in files:
        err.print(f"written: {path}", soft_wrap=True)
    test = next(path for path in files if path.name.startswith("test_"))
    err.print(f"its test: python -m pytest {test}", soft_wrap=True)
