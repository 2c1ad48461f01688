"""Which cells are compared with which: variants of the same model, or models with each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import pandas as pd

from harness.errors import InputError
from harness.results import CELL
from harness.spec import Variant

__all__ = ["CellRuns", "Contrast", "Pair", "Side", "cell_name", "cells_of", "pairs", "parse_side"]

_VARIANTS: tuple[Variant, ...] = get_args(Variant)


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a variant of every model (``model`` is None), or one model in one variant."""

    variant: Variant
    model: str | None = None

    def __str__(self) -> str:
        return self.variant if self.model is None else cell_name(self.model, self.variant)


@dataclass(frozen=True)
class Contrast:
    """What is compared with what: `b` minus `a`, seed by seed, on the same test utterances.

    Attributes
    ----------
    a : Side
        What is compared with. A variant: each model in its other variants is compared with itself in this one. A
        model: each other model (in the same variant) is compared with it.
    b : Side or None
        Only this, if given; a variant where `a` is one, a model where `a` is one.
    """

    a: Side = Side("original")
    b: Side | None = None

    def __post_init__(self) -> None:
        if self.b is not None and (self.b.model is None) != (self.a.model is None):
            raise ValueError(
                f"a variant can be compared with a variant, a model with a model, not {self.a} with {self.b}"
            )
        if self.a == self.b:
            raise ValueError(f"{self.a} cannot be compared with itself")


@dataclass(frozen=True, eq=False)
class CellRuns:
    """A cell of a table with its values: ``names`` as in `CELL`, metric to values by seed, and run ids by seed.

    ``runs`` go by the number of their seed, so that nothing drawn for them depends on the order of a suite's list.
    """

    names: Mapping[str, Any]
    values: Mapping[str, pd.Series[float]]
    higher_is_better: Mapping[str, bool]
    runs: Mapping[int, str]

    @property
    def key(self) -> tuple[Any, ...]:
        """Data set, setting, task, model and variant."""
        return tuple(self.names[name] for name in CELL[:5])

    def within(self, pair: CellRuns | None) -> bool:
        """Whether all runs are runs of another cell too."""
        return pair is not None and bool(self.runs) and set(self.runs.values()) <= set(pair.runs.values())


@dataclass(frozen=True, eq=False)
class Pair:
    """One comparison: `other` minus `base`; ``base`` is None where that cell has no finished run.

    ``contrast`` names the question, the same for all members of a family; ``duplicate`` says that the pair repeats
    another one under a second name.
    """

    base: CellRuns | None
    other: CellRuns
    contrast: str
    base_name: tuple[str, Variant]
    duplicate: bool = False

    @property
    def same(self) -> bool:
        """Whether the two are the same runs under two names."""
        return self.other.within(self.base)


def cell_name(model: str, variant: str) -> str:
    """Return a model in a variant as the paper writes it: ``LMF``, ``LMF-fg``."""
    return model if variant == "original" else f"{model}-{variant}"


def parse_side(text: str, models: Iterable[str], *, option: str) -> Side:
    """Read a side of a comparison: a variant (``fg``), a model (``ALMT``) or a model in a variant (``ALMT-fg``).

    Raises
    ------
    InputError
        If it is none of them among `models`; says which option and what could be written.
    """
    if text in _VARIANTS:
        return Side(text)
    names = {cell_name(model, variant): Side(variant, model) for model in models for variant in _VARIANTS}
    if text not in names:
        known = ", ".join(dict.fromkeys(models))
        raise InputError(
            f"'{text}' is neither a variant nor a model of this suite",
            where=option,
            hint=f"name a variant ({', '.join(_VARIANTS)}), a model ({known}), or a model in a variant (LMF-fg)",
        )
    return names[text]


def cells_of(values: pd.DataFrame) -> list[CellRuns]:
    """Return the cells of `harness.results.Results.values`, in its order."""
    # By hand, not by groupby: one pass over the rows of a large suite instead of a small frame per cell and metric.
    found: dict[tuple[Any, ...], dict[str, _Column]] = {}
    columns = (values[name].tolist() for name in (*CELL, "metric", "higher_is_better", "seed", "run_id", "value"))
    for *names, metric, better, seed, run_id, value in zip(*columns, strict=True):
        column = found.setdefault(tuple(names), {}).setdefault(metric, _Column(better))
        column.seeds.append(int(seed))
        column.run_ids.append(run_id)
        column.values.append(value)
    return [
        CellRuns(
            names=dict(zip(CELL, names, strict=True)),
            values={metric: column.series() for metric, column in by_metric.items()},
            higher_is_better={metric: column.better for metric, column in by_metric.items()},
            runs=dict(sorted(pair for column in by_metric.values() for pair in column.runs)),
        )
        for names, by_metric in found.items()
    ]


@dataclass(frozen=True, eq=False)
class _Column:
    """One metric of a cell, run by run."""

    better: bool
    seeds: list[int] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    @property
    def runs(self) -> Iterator[tuple[int, str]]:
        return zip(self.seeds, self.run_ids, strict=True)

    def series(self) -> pd.Series[float]:
        return pd.Series(self.values, index=pd.Index(self.seeds, name="seed"), name="value", dtype="float64")


def pairs(cells: Sequence[CellRuns], asked: Contrast) -> list[Pair]:
    """Return every comparison that a question asks for; a cell is never paired across data sets or tasks."""
    found = list(_variant_pairs(cells, asked) if asked.a.model is None else _model_pairs(cells, asked))
    present = {pair.other.key for pair in found}
    return [
        Pair(pair.base, pair.other, pair.contrast, pair.base_name, duplicate=_repeats(pair.other, present))
        for pair in found
    ]


def _repeats(cell: CellRuns, present: set[tuple[Any, ...]]) -> bool:
    alias = cell.names["alias_of"]
    return bool(alias) and (*cell.key[:4], alias) in present


def _variant_pairs(cells: Sequence[CellRuns], asked: Contrast) -> Iterator[Pair]:
    by_key = {cell.key: cell for cell in cells}
    for cell in cells:
        variant = cell.names["variant"]
        if variant != asked.a.variant and (asked.b is None or variant == asked.b.variant):
            base = by_key.get((*cell.key[:4], asked.a.variant))
            contrast = f"{variant} against {asked.a.variant}"
            yield Pair(base, cell, contrast, (cell.names["model"], asked.a.variant))


def _model_pairs(cells: Sequence[CellRuns], asked: Contrast) -> Iterator[Pair]:
    a = asked.a
    assert a.model is not None
    bases = {
        (cell.names["dataset"], cell.names["task"]): cell
        for cell in reversed(cells)  # the first one wins where a model has several settings
        if (cell.names["model"], cell.names["variant"]) == (a.model, a.variant)
    }
    for cell in cells:
        this = Side(cell.names["variant"], cell.names["model"])
        wanted = this.model != a.model and this.variant == a.variant if asked.b is None else this == asked.b
        if wanted:
            base = bases.get((cell.names["dataset"], cell.names["task"]))
            contrast = f"models against {a}" if asked.b is None else f"{asked.b} against {a}"
            yield Pair(base, cell, contrast, (a.model, a.variant))
