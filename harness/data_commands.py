"""``harness data``: check, describe and synthesize feature files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import yaml

from harness.data import (
    check,
    fingerprint,
    generate,
    load_definition,
    locate,
    open_features,
    read_pickle,
    shipped,
    table1,
    table2,
    write_pickle,
)
from harness.data.cache import Features
from harness.display import Format, err, print_rows
from harness.errors import DataError, InputError
from harness.spec import SPLITS, DatasetSpec, SettingName
from harness.workflow import Folders

__all__ = ["app"]

app = typer.Typer(help="Check, describe and synthesize feature files.", no_args_is_help=True)
FormatOption = Annotated[Format, typer.Option("--format", help="How listings are printed.")]
DatasetOption = Annotated[
    str | None, typer.Option("--dataset", help="Definition to check against: a shipped name or a YAML file.")
]


@app.command("check")
def _check(
    file: Annotated[Path, typer.Argument(help="An MMSA-format feature pickle.")],
    dataset: DatasetOption = None,
    setting: Annotated[str | None, typer.Option(help="aligned or unaligned.")] = None,
    how: FormatOption = Format.table,
) -> None:
    """Check a feature file; nothing in it is run. Exit code 2 if it cannot be used.

    Without --dataset it is held against the definition of the same name beside it (FILE.yaml), or else against the
    shipped one that its widths fit best.
    """
    raw = read_pickle(file)
    if dataset is None and file.with_suffix(".yaml").is_file():
        dataset = str(file.with_suffix(".yaml"))
    definition, chosen, guessed = _definition_for(raw, dataset, setting)
    report = check(raw, definition, chosen, file=str(file))
    print_rows(report.as_rows(), how, title=f"{file} as {definition.title}, {chosen}")
    if guessed:
        err.print(f"checked as '{definition.name}', picked by its widths; name another with --dataset", soft_wrap=True)
    report.raise_if_bad()
    err.print("the file can be used", soft_wrap=True)


def _definition_for(
    raw: dict[str, object], dataset: str | None, setting: str | None
) -> tuple[DatasetSpec, SettingName, bool]:
    """Pick the definition to check against: the one named, or the shipped one with the file's widths and lengths."""
    if dataset is not None:
        definition = load_definition(dataset)
        return definition, _setting(definition, raw, setting), False
    found = _shapes(raw)
    ranked = []
    for name in shipped():
        candidate = load_definition(name)
        chosen = _setting(candidate, raw, setting if setting in candidate.settings else None)
        lengths = candidate.settings[chosen].lengths
        same_widths = sum(found.get(m, (0, 0))[1] == w for m, w in candidate.widths.items())
        same_lengths = sum(found.get(m, (0, 0))[0] == n for m, n in lengths.items())
        ranked.append((same_widths, same_lengths, candidate.synthetic is None, name))
    best = load_definition(max(ranked)[3])
    return best, _setting(best, raw, setting), True


def _shapes(raw: dict[str, object]) -> dict[str, tuple[int, int]]:
    """Sequence length and width per modality of the first split that has them."""
    shapes: dict[str, tuple[int, int]] = {}
    shape: tuple[int, ...]
    for split in SPLITS:
        content = raw.get(split)
        for modality in ("text", "audio", "vision"):
            shape = getattr(content.get(modality), "shape", ()) if isinstance(content, dict) else ()
            if len(shape) == 3:
                shapes.setdefault(modality, (shape[1], shape[2]))
    return shapes


def _setting(definition: DatasetSpec, raw: dict[str, object], asked: str | None) -> SettingName:
    if asked is not None:
        for name in definition.settings:
            if name == asked:
                return name
        raise InputError(
            f"{definition.title} has no '{asked}' setting",
            where="--setting",
            hint=f"it has: {', '.join(definition.settings)}",
        )
    found = _shapes(raw)

    def fit(name: SettingName) -> int:
        return sum(found.get(m, (0, 0))[0] == n for m, n in definition.settings[name].lengths.items())

    return max(definition.settings, key=fit)


@app.command("describe")
def _describe(
    datasets: Annotated[list[str] | None, typer.Option("--datasets", help="Names or YAML files.")] = None,
    table: Annotated[int | None, typer.Option(min=1, max=2, help="1 data distribution, 2 sub-features [both].")] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Count in the files found here.")] = None,
    cache_dir: Annotated[Path | None, typer.Option("--cache-dir", help="Folder of converted arrays.")] = None,
    how: FormatOption = Format.table,
) -> None:
    """Print the paper's Table 1 (data distribution) and Table 2 (sub-feature groups)."""
    folders = Folders.resolve(data_dir, None, None, cache_dir)
    names = [part for value in datasets or ["mosei,sims"] for part in value.split(",") if part]
    definitions = [load_definition(name) for name in names]
    tables = []
    if table in (None, 1):
        tables.append(("Table 1: data distribution", table1(definitions, _available(definitions, folders))))
    if table in (None, 2):
        tables.append(("Table 2: sub-feature groups", table2(definitions)))
    if how is Format.table:
        for title, rows in tables:
            print_rows(rows, how, title=title)
    else:
        print_rows([{"table": title[:7], **row} for title, rows in tables for row in rows], how)


def _available(definitions: list[DatasetSpec], folders: Folders) -> dict[str, Features]:
    """Open the feature files that are there; a definition's own counts stand in for the others."""
    opened: dict[str, Features] = {}
    for definition in definitions:
        for setting in definition.settings:
            try:
                path = locate(definition, setting, folders.data, folders.cache)
            except DataError:
                continue
            sha256 = fingerprint(path, folders.cache)
            opened[definition.name] = open_features(path, definition, setting, folders.cache, sha256=sha256)
            break
    return opened


@app.command("synthesize")
def _synthesize(
    out: Annotated[Path, typer.Argument(help="The pickle to write.")],
    like: Annotated[str, typer.Option(help="Whose widths, groups and labels to copy.")] = "sims",
    train: Annotated[int, typer.Option(min=1)] = 240,
    valid: Annotated[int, typer.Option(min=1)] = 96,
    test: Annotated[int, typer.Option(min=1)] = 160,
    text_length: Annotated[int, typer.Option(min=1)] = 8,
    audio_length: Annotated[int, typer.Option(min=1)] = 12,
    vision_length: Annotated[int, typer.Option(min=1)] = 10,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    noise: Annotated[float, typer.Option(min=0)] = 1.0,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a synthetic data set in MMSA's file format, and its definition beside it, for suites and checks."""
    if out.is_dir():
        raise InputError("that is a folder", where=str(out), hint="name the file to write")
    beside = out.with_suffix(".yaml")
    for path in (out, beside):
        if path.exists() and not force:
            raise InputError("the file exists already", where=str(path), hint="name another, or add --force")
    described = {
        "name": f"synthetic-{like}",
        "title": f"Synthetic (layout of {like})",
        "synthetic": {
            "like": like,
            "samples": {"train": train, "valid": valid, "test": test},
            "lengths": {"text": text_length, "audio": audio_length, "vision": vision_length},
            "seed": seed,
            "noise": noise,
        },
    }
    write_pickle(generate(load_definition(described)), out)
    beside.write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
    err.print(f"wrote {out}: synthetic data, {train} + {valid} + {test} utterances", soft_wrap=True)
    err.print(f"wrote {beside}: its definition, for a suite's datasets and for --dataset", soft_wrap=True)
