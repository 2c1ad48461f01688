"""The tables that describe: data sets (1), sub-features (2), sub-networks (3), the case study (9), and all captions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.published.files import choice, corrected, read_csv, whole
from harness.published.numbers import Printed, parse

__all__ = [
    "Case",
    "DatasetSize",
    "Network",
    "Prediction",
    "SubFeatures",
    "read_captions",
    "read_cases",
    "read_networks",
    "read_sizes",
    "read_sub_features",
]

_DATASETS = {"mosei": "mosei", "sims": "sims"}
_MODALITIES = {"audio": "audio", "vision": "vision"}
_TICKS = {"\u2713": True, "\u2013": False}
_COLUMNS = {name: name for name in ("Example", "L(Ori)", "L(Fg)", "GT")}
_ROWS = {name: name for name in ("T", "A", "V")}
_DELTA = re.compile(r"\$\\Delta (?P<number>[^$]+)\$")


@dataclass(frozen=True)
class DatasetSize:
    """A row of Table 1: how many utterances each split of a data set has."""

    row: str
    dataset: str
    train: Printed
    valid: Printed
    test: Printed
    total: Printed


@dataclass(frozen=True)
class SubFeatures:
    """A row of Table 2: the sub-features of a modality and its width.

    Attributes
    ----------
    row : str
        The printed label; empty where the row goes on with the data set above.
    dataset : str
    modality : {"audio", "vision"}
    text : str
        The list as printed.
    names : tuple of str
        The names, corrected; empty where the modality is not split.
    dimension : Printed
        Columns of the modality.
    corrected, reason : str
        What the list must mean, and why, where it is not what is printed; else empty.
    """

    row: str
    dataset: str
    modality: str
    text: str
    names: tuple[str, ...]
    dimension: Printed
    corrected: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Network:
    """A row of Table 3: the sub-networks of a model, and the tasks it is tried on.

    Attributes
    ----------
    row : str
        The model as printed.
    model : str
        The model as the harness spells it.
    text, acoustics, vision : str
        Kinds of network; ``L-C`` is LSTM with CNN.
    regression, classification : bool
    """

    row: str
    model: str
    text: str
    acoustics: str
    vision: str
    regression: bool
    classification: bool


@dataclass(frozen=True)
class Prediction:
    """What a model made of an example of Table 9: its score, and the distance to the truth as printed."""

    value: Printed
    error: Printed


@dataclass(frozen=True)
class Case:
    """An example of Table 9, from CH-SIMS, scored by MulT.

    Attributes
    ----------
    number : int
        From 1.
    text : str
        What is said, and its translation in parentheses.
    acoustic, visual : str
        How it is said, and how it looks.
    original, fg : Prediction
        By the original model and with the fine-grained method.
    truth : Printed
    printed : mapping
        Every cell as it stands in the paper's text, by (``T``, ``A`` or ``V``, column).
    reasons : tuple of str
        Why the texts differ from what stands there.
    """

    number: int
    text: str
    acoustic: str
    visual: str
    original: Prediction
    fg: Prediction
    truth: Printed
    printed: Mapping[tuple[str, str], str]
    reasons: tuple[str, ...]


def read_captions(folder: Path | None = None) -> Mapping[int, str]:
    """Read the captions by table number."""
    return dict(
        read_csv("captions.csv", ("table", "caption"), lambda line: (whole(line["table"]), line["caption"]), folder)
    )


def read_sizes(folder: Path | None = None) -> tuple[DatasetSize, ...]:
    """Read Table 1."""

    def build(line: Mapping[str, str]) -> DatasetSize:
        counts = [_number(line[name]) for name in ("Train", "Valid", "Test", "Total")]
        return DatasetSize(line["row"], choice(line["dataset"], _DATASETS), *counts)

    return read_csv("table1.csv", ("row", "dataset", "Train", "Valid", "Test", "Total"), build, folder)


def read_sub_features(folder: Path | None = None) -> tuple[SubFeatures, ...]:
    """Read Table 2."""
    header = ("row", "dataset", "modality", "Modality", "Fine-grained features", "Dimension", "corrected", "reason")

    def build(line: Mapping[str, str]) -> SubFeatures:
        text = line["Fine-grained features"]
        names = corrected(line, text)
        return SubFeatures(
            row=line["row"],
            dataset=choice(line["dataset"], _DATASETS),
            modality=choice(line["modality"], _MODALITIES),
            text=text,
            names=() if names == "\u2013" else tuple(names.split(", ")),
            dimension=_number(line["Dimension"]),
            corrected=line["corrected"],
            reason=line["reason"],
        )

    return read_csv("table2.csv", header, build, folder)


def read_networks(folder: Path | None = None) -> tuple[Network, ...]:
    """Read Table 3."""
    header = ("Model", "model", "Text", "Acoustics", "Vision", "Regression", "Classification")

    def build(line: Mapping[str, str]) -> Network:
        regression, classification = (choice(line[name], _TICKS) for name in ("Regression", "Classification"))
        networks = (line["Text"], line["Acoustics"], line["Vision"])
        return Network(line["Model"], line["model"], *networks, regression, classification)

    return read_csv("table3.csv", header, build, folder)


def read_cases(folder: Path | None = None) -> tuple[Case, ...]:
    """Read Table 9.

    Raises
    ------
    InputError
        If the file cannot be read, a line makes no sense, or a cell is missing.
    """
    printed: dict[int, dict[tuple[str, str], str]] = {}
    meant: dict[tuple[int, str], str] = {}
    numbers: dict[tuple[int, str, str], Printed] = {}
    reasons: dict[int, list[str]] = {}

    def build(line: Mapping[str, str]) -> None:
        number = whole(line["example"])
        key = (choice(line["modality"], _ROWS), choice(line["column"], _COLUMNS))
        if key in printed.setdefault(number, {}):
            raise ValueError(f"example {number} has two cells {' '.join(key)}")
        text = corrected(line, line["printed"])
        printed[number][key] = line["printed"]
        if line["reason"]:
            reasons.setdefault(number, []).append(line["reason"])
        if key[1] == "Example":
            meant[number, key[0]] = text
        else:
            delta = _DELTA.fullmatch(text) if key[0] == "A" else None
            numbers[(number, *key)] = _number(delta["number"] if delta else text)

    read_csv("table9.csv", ("example", "modality", "column", "printed", "corrected", "reason"), build, folder)
    try:
        return tuple(
            Case(
                number=number,
                text=meant[number, "T"],
                acoustic=meant[number, "A"],
                visual=meant[number, "V"],
                original=Prediction(numbers[number, "T", "L(Ori)"], numbers[number, "A", "L(Ori)"]),
                fg=Prediction(numbers[number, "T", "L(Fg)"], numbers[number, "A", "L(Fg)"]),
                truth=numbers[number, "T", "GT"],
                printed=cells,
                reasons=tuple(reasons.get(number, ())),
            )
            for number, cells in printed.items()
        )
    except KeyError as missing:
        where = str(folder / "table9.csv") if folder else "table9.csv"
        raise InputError(f"a cell of the case study is missing: {missing}", where=where) from missing


def _number(text: str) -> Printed:
    number = parse(text)
    if number is None:
        raise ValueError("a dash where a number belongs")
    return number
