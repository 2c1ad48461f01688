"""Tables that are consistent by construction: scores of simulated predictions, rounded and averaged as MMSA does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.audit.bounds import convention_of
from harness.audit.classes import TEST_CLASSES
from harness.metrics import compute
from harness.published import Cell, Tables, load
from harness.spec import Task

__all__ = ["MODEL", "ORIGINAL", "signed", "simulate"]

MODEL = "LF-DNN"
ORIGINAL = (MODEL, "original", "reproduction")
Scores = Mapping[str, str]
Floats = NDArray[np.float32]


def simulate(seed: int, *, seeds: int = 5, defect: bool = False) -> Tables:
    """Return the paper's tables of one model, with every score and difference printed anew from simulated runs.

    With `defect` the non-0 columns of classification are MMSA's, without it those that the text defines.
    """
    rng = np.random.default_rng(seed)
    paper = load()
    cells = tuple(cell for cell in paper.cells if cell.model == MODEL and cell.source != "mmsa")
    tables = replace(
        paper,
        cells=cells,
        networks=tuple(network for network in paper.networks if network.model == MODEL),
        sub_features=tuple(replace(row, text=row.corrected or row.text) for row in paper.sub_features),
        claims=(),  # the paper's text speaks of the paper's numbers
    )
    runs: dict[tuple[str, Task, str], Scores] = {}
    for cell in cells:
        key = (cell.dataset, cell.task, cell.variant)
        if key not in runs and cell.own:
            runs[key] = _run(rng, cell.dataset, cell.task, seeds, defect=defect)
    return _print(tables, runs)


def signed(value: Decimal) -> str:
    """Print a difference as the paper does."""
    return f"{value:+f}".replace("-", "\u2212")


def _run(rng: np.random.Generator, dataset: str, task: Task, seeds: int, *, defect: bool) -> Scores:
    label = _labels(rng, dataset, task)
    noise, pull = rng.uniform(0.2, 1.5), rng.uniform(0.3, 1.2)
    measured: dict[str, list[float]] = {}
    for _ in range(seeds):
        if task == "regression":
            pred = (pull * label + noise * rng.normal(size=label.size)).astype(np.float32)
        else:
            pred = (pull * np.eye(3)[label.astype(int)] + noise * rng.normal(size=(label.size, 3))).astype(np.float32)
        for name, score in compute(task, convention_of(dataset), label, pred).items():
            measured.setdefault(name, []).append(round(score.value, 4) if score.mmsa is None else score.mmsa)
    scores = {}
    for name, values in measured.items():
        mean = float(np.mean(values))
        scores[name] = f"{mean:.3f}" if name in ("MAE", "Corr") else f"{round(mean * 100, 2):.2f}"
    if task == "classification" and not defect:
        scores |= {name: scores[f"{name}/corrected"] for name in ("Acc-2/non-0", "F1/non-0")}
    return scores


def _labels(rng: np.random.Generator, dataset: str, task: Task) -> Floats:
    classes = TEST_CLASSES[dataset]
    counts = (classes.negative, classes.neutral, classes.positive)
    if task == "classification":
        return np.repeat(np.arange(3), counts).astype(np.float32)
    # Scores are thirds on MOSEI and fifths on CH-SIMS.
    steps, width = (9, 3) if dataset == "mosei" else (5, 5)
    size = rng.integers(1, steps + 1, size=classes.total) / width
    return (np.repeat([-1, 0, 1], counts) * size).astype(np.float32)


def _print(tables: Tables, runs: Mapping[tuple[str, Task, str], Scores]) -> Tables:
    def text_of(cell: Cell) -> str:
        new = runs[cell.dataset, cell.task, cell.variant][cell.metric]
        if cell.source != "delta":
            return new
        old = runs[cell.dataset, cell.task, "original"][cell.metric]
        growth = Decimal(new) - Decimal(old)
        return signed(-growth if cell.column == "MAE" else growth)

    scored = [cell for cell in tables.cells if cell.column not in ("Params", "FLOPs")]
    tables = _reprint(tables, scored, text_of)
    ablation: dict[str, dict[Decimal, list[Cell]]] = {}
    for cell in tables.table(8):
        if cell.variant != "original" and cell.value is not None:
            ablation.setdefault(cell.metric, {}).setdefault(cell.value, []).append(cell)
    second = [
        cell
        for metric, values in ablation.items()
        if len(values) > 1
        for cell in values[sorted(values, reverse=metric != "MAE")[1]]
    ]
    return _reprint(tables, second, lambda cell: f"<u>{cell.text}</u>")


def _reprint(tables: Tables, cells: list[Cell], text_of: Callable[[Cell], str]) -> Tables:
    texts: dict[tuple[Any, ...], list[str]] = {}
    for cell in cells:
        row = (cell.model, cell.variant, cell.source)
        texts.setdefault((cell.table, row, cell.column), []).append(text_of(cell))
    for (table, row, column), parts in texts.items():
        tables = tables.reprinted(table, row, column, "/".join(parts))
    return tables
