"""The baseline file: what a suite's numbers were, for others to be held against; made to be read in a diff."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness import __version__
from harness.costs import CellCosts, CellKey
from harness.disk import replace_file
from harness.errors import InputError, StoreError
from harness.metrics import metrics_for
from harness.plan import Cell, Plan
from harness.results import Results

__all__ = [
    "COSTS",
    "PREDICTIONS_DIGITS",
    "SCHEMA",
    "Baseline",
    "CellBaseline",
    "MetricBaseline",
    "cell_key",
    "make_baseline",
    "read",
    "write",
]

SCHEMA = 1
PREDICTIONS_DIGITS = 16
"""How much of the SHA-256 of predictions a baseline holds."""
COSTS = ("params", "macs", "params_paper", "macs_paper")
"""The parts of `CellCosts` that a baseline holds."""
_KEYS = ["dataset", "setting", "task", "model", "variant"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class MetricBaseline(_Strict):
    """One metric of a cell: accuracies and F1 as fractions; ``values`` by seed, null where it is not defined."""

    signature: str
    higher_is_better: bool
    values: dict[str, float | None]
    mean: float | None
    sd: float | None


class CellBaseline(_Strict):
    """A model in one variant on one data set and task.

    ``costs`` are those of `CellCosts`, null where the model could not be counted; by seed, ``environments`` is the
    environment's key and ``predictions`` the beginning of the SHA-256 of the file of predictions; ``threads`` are those
    of a run.
    """

    costs: dict[str, int] | None
    environments: dict[str, str]
    predictions: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]] = {}
    threads: Annotated[int, Field(ge=1)]
    metrics: Annotated[dict[str, MetricBaseline], Field(min_length=1)]


class DataBaseline(_Strict):
    """A feature file in one setting: its SHA-256, its test utterances, and whether it is synthetic."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    test: Annotated[int, Field(ge=1)]
    synthetic: bool


class Baseline(_Strict):
    """All of a suite's numbers.

    Attributes
    ----------
    suite : str
        Its name.
    harness : dict
        Version and, where the harness ran from a checkout, its commit and whether that was clean.
    seeds : tuple of int
    data : dict
        By ``data set/setting``.
    environments : dict
        What stands behind the keys of the cells.
    cells : dict
        By ``data set/setting/task/model/variant``; aliases are left out.
    """

    schema_version: Literal[1] = 1
    suite: str
    harness: dict[str, Any]
    seeds: tuple[int, ...]
    data: dict[str, DataBaseline]
    environments: dict[str, dict[str, Any]]
    cells: Annotated[dict[str, CellBaseline], Field(min_length=1)]


def cell_key(parts: Iterable[str]) -> str:
    """Return the name of a cell in the file, from data set, setting, task, model and variant."""
    return "/".join(parts)


def make_baseline(
    plan: Plan, results: Results, costs: Mapping[CellKey, CellCosts], provenance: Mapping[str, Any]
) -> Baseline:
    """Take down the numbers of a suite of which every run is done.

    Raises
    ------
    InputError
        If runs are missing or have failed, or there is nothing to take down.
    """
    undone = results.runs[results.runs["status"] != "done"]
    if len(undone):
        shown = "; ".join(f"{row.label}: {row.status}" for row in undone.head(3).itertuples())
        raise InputError(
            f"{len(undone)} of {len(results.runs)} runs are not done, and a baseline has no holes ({shown})",
            where=f"suite {plan.suite.name}",
            hint="run the suite first (harness run), or take models, variants or data sets out",
        )
    counted = results.values[~results.values["duplicate"].astype(bool)]
    if counted.empty:
        raise InputError("the suite has no runs, so that there is nothing to compare with", where=plan.suite.name)
    environments = dict(zip(results.runs["run_id"], results.runs["environment"], strict=True))
    cells = {}
    for cell in plan.cells:
        place = (cell.dataset.name, cell.setting, cell.task, cell.model, cell.variant)
        rows = counted[(counted[_KEYS] == list(place)).all(axis=1)]
        if not rows.empty:
            cells[cell_key(place)] = _cell(cell, rows, environments, results.hashes, costs.get(place))
    used = {key for cell in cells.values() for key in cell.environments.values()}
    return Baseline(
        suite=plan.suite.name,
        harness={"version": __version__, "git": provenance.get("git")},
        seeds=tuple(sorted(plan.suite.seeds)),
        data=_data(plan, results),
        environments={key: dict(what) for key, what in sorted(results.environments.items()) if key in used},
        cells=cells,
    )


def write(baseline: Baseline, path: Path) -> None:
    """Write a baseline: sorted, a line a value, with a checksum over the rest.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    content = baseline.model_dump(mode="json")
    content["sha256"] = _checksum(content)
    text = json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise StoreError(
            f"cannot write the baseline: {error.strerror or error}",
            where=str(path),
            hint="name another file with --out",
        ) from error


def read(path: Path) -> Baseline:
    """Read a baseline.

    Raises
    ------
    InputError
        If the file is missing, no baseline, of another schema version, or was changed by hand.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(
            "there is no such baseline", where=str(path), hint="write one with harness baseline --suite S --out FILE"
        ) from error
    except OSError as error:
        what = f"cannot read the baseline: {error.strerror or error}"
        raise InputError(what, where=str(path), hint="check the path and permissions") from error
    except UnicodeDecodeError as error:
        raise InputError("the baseline is not UTF-8 text", where=str(path), hint=_AGAIN) from error
    return parse(text, str(path))


def parse(text: str, where: str) -> Baseline:
    """Return the baseline that a text holds; `where` names it in errors, which are those of `read`."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the baseline is not JSON: {error}", where=where, hint=_AGAIN) from error
    if not isinstance(content, dict) or "schema_version" not in content:
        raise InputError("the file is no baseline of the harness", where=where, hint=_AGAIN)
    if content["schema_version"] != SCHEMA:
        raise InputError(
            f"the baseline has schema version {content['schema_version']!r}, and this harness reads {SCHEMA}",
            where=where,
            hint=f"{_AGAIN}, or use the harness that wrote it",
        )
    told = content.pop("sha256", None)
    try:
        found = _checksum(content)
    except RecursionError as error:
        raise InputError("the baseline is nested too deeply", where=where, hint=_AGAIN) from error
    if told != found:
        raise InputError(
            "the baseline is not as it was written: its checksum does not fit its content",
            where=where,
            hint=f"take the committed file back (git checkout), or {_AGAIN}; a baseline is not edited by hand",
        )
    try:
        baseline = Baseline.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"the baseline's field {field} is wrong: {first['msg']}", where=where, hint=_AGAIN) from error
    return baseline


_AGAIN = "write it anew with harness baseline"


def _cell(
    cell: Cell,
    rows: pd.DataFrame,
    environments: Mapping[str, str],
    hashes: Mapping[str, str],
    costs: CellCosts | None,
) -> CellBaseline:
    signatures = {metric.name: metric for metric in metrics_for(cell.task, cell.dataset.convention)}
    metrics = {}
    for name, found in rows.groupby("metric", sort=True):
        known = sorted(zip(found["seed"], found["value"], strict=True))
        values = {str(seed): _number(value) for seed, value in known}
        kept = np.array([value for value in values.values() if value is not None])
        metric = signatures[str(name)]
        metrics[metric.name] = MetricBaseline(
            signature=metric.signature,
            higher_is_better=metric.higher_is_better,
            values=values,
            mean=float(kept.mean()) if kept.size else None,
            sd=float(kept.std(ddof=1)) if kept.size > 1 else None,
        )
    return CellBaseline(
        costs=_costs(costs),
        environments={str(run.seed): environments[run.run_id] for run in cell.runs},
        predictions={
            str(run.seed): hashes[run.run_id][:PREDICTIONS_DIGITS] for run in cell.runs if run.run_id in hashes
        },
        threads=cell.runs[0].threads,
        metrics=metrics,
    )


def _costs(costs: CellCosts | None) -> dict[str, int] | None:
    if costs is None:
        return None
    return {
        "params": costs.params,
        "macs": costs.macs,
        "params_paper": costs.params_paper,
        "macs_paper": costs.macs_paper,
    }


def _data(plan: Plan, results: Results) -> dict[str, DataBaseline]:
    found = {}
    for cell in plan.cells:
        for run in cell.runs[:1]:
            name = f"{cell.dataset.name}/{cell.setting}"
            if name not in found:
                test = len(results.predictions[run.run_id].ids)
                found[name] = DataBaseline(sha256=run.data.sha256, test=test, synthetic=run.data.synthetic)
    return dict(sorted(found.items()))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of everything but the layout."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
