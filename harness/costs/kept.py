"""What the cells of a plan cost, counted once and kept: a report can show it without waiting for torch.

One small file per distinct model, ``<cache>/costs/<hash>.json``. The hash covers what can change a count: the parts of
a run that shape its model and its inputs, the sources of models and training (``RunSpec.sources``) and of this room,
and the versions of the packages that models are built from and counted with. Seeds, epochs and the content of feature
files are not among them.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TypeAlias

from pydantic import TypeAdapter

from harness.data.storage import write_atomically
from harness.errors import HarnessError, StoreError
from harness.plan import Plan
from harness.sources import fingerprint_of
from harness.spec import RunSpec

__all__ = ["CellCosts", "CellKey", "plan_costs"]

CellKey: TypeAlias = tuple[str, str, str, str, str]
"""Data set, setting, task, model, variant."""

_PACKAGES = ("torch", "fvcore", "MMSA", "transformers")


@dataclass(frozen=True)
class CellCosts:
    """What the model of a cell costs.

    Attributes
    ----------
    params : int
        All trainable parameters.
    macs : int
        Multiply-accumulates of one utterance of full length, in fvcore's convention with our handlers.
    params_paper, macs_paper : int
        The paper's convention, which is thop's: parameters of the modules that it knows, and the multiply-accumulates
        of one full batch of full length.
    batch_size : int
        Utterances in a full batch.
    """

    params: int
    macs: int
    params_paper: int
    macs_paper: int
    batch_size: int


_FORM = TypeAdapter(CellCosts)


def _unheard(_cell: CellKey, _reason: str) -> None:
    """Take no notice."""


def plan_costs(
    plan: Plan,
    cache: Path,
    *,
    progress: Callable[[Sequence[RunSpec]], Iterable[RunSpec]] = iter,
    refused: Callable[[CellKey, str], object] = _unheard,
) -> dict[CellKey, CellCosts]:
    """Return what every cell of a plan costs; aliases are in it under their own variant.

    Models are built and counted only where nothing is kept of them, each distinct one once.

    Parameters
    ----------
    plan : Plan
        The expanded suite.
    cache : Path
        The cache folder. Where it cannot be written, nothing is kept, and the next call counts again.
    progress : callable
        Gets the runs whose models have to be counted and yields them one by one; not called where there are none.
    refused : callable
        Told which cells are left out because their models cannot be counted, and why; for a dictionary of reasons,
        its ``__setitem__``.
    """
    asked = {
        (cell.dataset.name, cell.setting, cell.task, cell.model, cell.variant): cell.runs[0]
        for cell in plan.cells
        if cell.runs
    }
    distinct = {_key(run): run for run in asked.values()}
    found: dict[str, CellCosts | str] = {}
    for key in distinct:
        if kept := _read(_path(cache, key)):
            found[key] = kept
    if missing := [run for key, run in distinct.items() if key not in found]:
        for key, counted in _count(progress(missing)):
            found[key] = counted
            if isinstance(counted, CellCosts):
                _keep(_path(cache, key), counted)
    costs: dict[CellKey, CellCosts] = {}
    for cell, run in asked.items():
        told = found[_key(run)]
        if isinstance(told, CellCosts):
            costs[cell] = told
        else:
            refused(cell, told)
    return costs


def _count(runs: Iterable[RunSpec]) -> Iterator[tuple[str, CellCosts | str]]:
    """Yield the key of each run, and what its model costs or why nobody knows."""
    # These import torch, which takes seconds that a report with everything kept need not wait for.
    from harness.costs.runs import RunCounter
    from harness.costs.table import CostCell, cost_row

    counter = RunCounter()
    for run in runs:
        try:
            row = cost_row(CostCell(run, run.variant, alias_of=None), counter)
            costs = row.costs
            counted = CellCosts(
                params=costs.trainable,
                macs=costs.traced.macs,
                params_paper=costs.paper.params,
                macs_paper=row.macs_paper,
                batch_size=row.batch_size,
            )
        except HarnessError as error:
            yield _key(run), error.what
        except Exception as error:  # noqa: BLE001 - whatever a model's code raises, the rest of a report stands
            yield _key(run), f"{type(error).__name__}: {error}"
        else:
            yield _key(run), counted


def _path(cache: Path, key: str) -> Path:
    return cache / "costs" / f"{key}.json"


def _key(run: RunSpec) -> str:
    """Hash all that can change the costs of a run."""
    asked = run.model_dump(mode="json", include={"model", "task", "plugin", "hyper", "finegrained", "sources"})
    data, encoder = run.data, run.text_encoder
    asked |= {
        "column": data.hyperparameters,
        "shapes": data.shapes.model_dump(),
        "groups": {modality: data.groups[modality] for modality in run.split},
        "encoder": encoder.config if encoder else None,
        "counted by": _counted_by(),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


@functools.cache
def _counted_by() -> tuple[str, ...]:
    room = Path(__file__).parent
    return (fingerprint_of(room.glob("*.py"), room), *map(metadata.version, _PACKAGES))


def _read(path: Path) -> CellCosts | None:
    """Return what is kept; nothing where the file is missing, unreadable or broken."""
    with suppress(OSError, ValueError):
        return _FORM.validate_json(path.read_bytes(), strict=True)
    return None


def _keep(path: Path, costs: CellCosts) -> None:
    # Without room for a file of a hundred bytes a report still has its numbers.
    with suppress(StoreError):
        write_atomically(path, lambda file: file.write(_FORM.dump_json(costs)))
