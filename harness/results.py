"""Records to tidy frames: the only reader that tables, figures, statistics and the gate share.

A frame has one fact per row. Metrics are computed from the stored predictions with the metric code of today, so a
record never carries an old definition into a new table. Where a data set splits one modality only, ``fg`` and ``a`` are
one record under two names: the second name is an *alias*; it is shown, marked, and never counted twice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.errors import HarnessError, StoreError
from harness.metrics import MetricValue, compute, metrics_for
from harness.sources import fingerprint_of

if TYPE_CHECKING:
    from harness.memo import Memo
    from harness.plan import Cell, Plan
    from harness.spec import Convention, RunSpec, Task
    from harness.store import Record, RunStore

__all__ = ["CELL", "Learned", "Predictions", "Results", "RunDetails", "collect", "summarise"]

Stored = TypeVar("Stored")

Scores: TypeAlias = dict[str, MetricValue]

CELL = ["dataset", "setting", "task", "model", "variant", "alias_of", "duplicate", "synthetic"]
"""What names a cell of a table. ``alias_of`` is empty, or the variant whose record this is; ``duplicate`` says that
the variant it stands for is in the same plan, so that this row repeats one that is counted already."""

VALUE_COLUMNS = [*CELL, "seed", "run_id", "metric", "higher_is_better", "value", "mmsa"]
RUN_COLUMNS = [
    *("dataset", "setting", "task", "model", "variant", "seed", "run_id", "label", "status", "kind", "reason"),
    *("wall_seconds", "epochs", "best_epoch", "stopped", "params_trainable", "environment"),
]
SKIPPED_COLUMNS = ["dataset", "setting", "task", "model", "variant", "reason"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one run predicts for the test split, in the order of the sorted utterance ids.

    Attributes
    ----------
    task, convention
        Which metric definitions apply.
    ids : array of str, shape (N,)
    label : array, shape (N,)
        Scores in regression, classes 0, 1, 2 in classification.
    pred : array, shape (N,) or (N, 3)
        Scores, or logits of the three classes.
    """

    task: Task
    convention: Convention
    ids: NDArray[np.object_]
    label: NDArray[Any]
    pred: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Learned:
    """What one run learned, for the utterances of the test split in the order of their sorted ids.

    Attributes
    ----------
    ids : array of str, shape (N,)
    label : array, shape (N,)
        As in `Predictions`.
    arrays : Mapping
        ``text``, ``audio``, ``vision`` or ``fusion``, as far as the model has them, to an array of shape (N, width).
    """

    ids: NDArray[np.object_]
    label: NDArray[Any]
    arrays: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class RunDetails:
    """What is kept of one run beside its predictions.

    Attributes
    ----------
    spec : RunSpec
        What was asked for.
    log : str
        What the run printed.
    traceback : str
        Where it failed; empty for a run that is done.
    files : mapping
        SHA-256 of the record's files, by name; empty for a run that failed.
    record : Record or None
        What `history` and `provenance` are read from when asked for; None for a run that failed.
    """

    spec: RunSpec
    log: str
    traceback: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    record: Record | None = None

    def history(self) -> list[dict[str, Any]]:
        """Return one entry per epoch: ``epoch``, both losses, ``learning_rate``, ``best``, ``seconds``.

        Empty where the file cannot be read: it is no reason to do without what can be.
        """
        try:
            return self.record.history() if self.record else []
        except StoreError:
            return []

    def provenance(self) -> Mapping[str, Any]:
        """Return where and with what the run was made."""
        return self.record.provenance() if self.record else {}


@dataclass(frozen=True)
class Results:
    """Everything that a suite's records hold, tidy.

    Attributes
    ----------
    values : DataFrame
        One row per cell, seed and metric (`VALUE_COLUMNS`): ``value`` unrounded, ``mmsa`` as MMSA rounds it or NaN;
        accuracies and F1 are fractions.
    runs : DataFrame
        One row per run that the plan asks for (`RUN_COLUMNS`), ``status`` one of done, failed, missing.
    skipped : DataFrame
        Cells that do not exist, with the reason.
    environments : Mapping
        Environment key to what it stands for.
    predictions : Mapping
        Run id to `Predictions` of the test split, for every run that is done; read from the store when asked for.
    learned : Mapping
        Run id to `Learned`, the same way.
    histories : Mapping
        Run id to one row per epoch, the same way: ``epoch``, ``train_loss``, ``valid_loss``, ``learning_rate``,
        ``best``, ``seconds``.
    details : Mapping
        Run id to `RunDetails`, the same way, for failed runs too.
    hashes : Mapping
        Run id to the SHA-256 of its predictions, for every run that is done; empty unless collected with a memo.
    """

    values: pd.DataFrame
    runs: pd.DataFrame
    skipped: pd.DataFrame
    environments: Mapping[str, Mapping[str, Any]]
    predictions: Mapping[str, Predictions] = field(default_factory=dict)
    learned: Mapping[str, Learned] = field(default_factory=dict)
    histories: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    details: Mapping[str, RunDetails] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)


def collect(plan: Plan, store: RunStore, memo: Memo | None = None) -> Results:
    """Read the records that a plan asks for.

    A record whose predictions cannot be read or scored is shown as a failed run with the reason: one broken file
    does not cost the report of all others, and no stored number stands in for it.

    Parameters
    ----------
    plan : Plan
        The expanded suite.
    store : RunStore
        Where the records are.
    memo : Memo, optional
        Where scores are looked up and kept. Every file is hashed all the same, so that a changed or broken one is seen.
    """
    read = _Reader(store, memo)
    values: list[dict[str, Any]] = []
    runs: dict[str, dict[str, Any]] = {}
    scores: dict[str, Scores] = {}
    shown: set[tuple[str, ...]] = {(*_place(cell), cell.variant) for cell in plan.cells if not cell.skipped}
    for cell in plan.cells:
        for spec in cell.runs:
            if spec.run_id not in runs:
                runs[spec.run_id], scores[spec.run_id] = read.run(cell, spec)
            values.extend(_value_rows(cell, spec, scores[spec.run_id], shown))
    skipped = [
        dict(zip(SKIPPED_COLUMNS, (*_place(cell), cell.variant, cell.skipped), strict=True))
        for cell in plan.cells
        if cell.skipped
    ]
    done = {run.run_id: run for run in plan.runs if runs[run.run_id]["status"] == "done"}
    tried = {run.run_id: run for run in plan.runs if runs[run.run_id]["status"] != "missing"}
    return Results(
        values=_typed(pd.DataFrame(values, columns=VALUE_COLUMNS)),
        runs=pd.DataFrame(list(runs.values()), columns=RUN_COLUMNS),
        skipped=pd.DataFrame(skipped, columns=SKIPPED_COLUMNS),
        environments=read.environments,
        hashes=read.hashes,
        predictions=_Stored(done, _of_record(store, _predictions)),
        learned=_Stored(done, _of_record(store, _learned)),
        histories=_Stored(done, _of_record(store, lambda record, _: pd.DataFrame(record.history()))),
        details=_Stored(tried, lambda spec: _details(spec, store)),
    )


def summarise(values: pd.DataFrame) -> pd.DataFrame:
    """Return mean and sd (ddof 1) over seeds, one row per cell and metric.

    ``n`` counts the seeds with a defined value, ``undefined`` those whose value is NaN (such as Corr of constant
    predictions) and that the mean leaves out; sd is NaN for one seed. ``mmsa`` is the mean of MMSA's rounded values.
    """
    grouped = values.groupby([*CELL, "metric"], sort=False, dropna=False)
    frame = grouped.agg(
        mean=("value", "mean"),
        sd=("value", "std"),
        n=("value", "count"),
        seeds=("value", "size"),
        mmsa=("mmsa", "mean"),
    ).reset_index()
    frame["undefined"] = frame["seeds"] - frame["n"]
    return frame.drop(columns="seeds")


class _Stored(Mapping[str, Stored]):
    """What is kept of runs, read one by one when asked for, since that of a large suite would fill the memory."""

    def __init__(self, runs: Mapping[str, RunSpec], read: Callable[[RunSpec], Stored]) -> None:
        self._runs, self._read = runs, read

    def __getitem__(self, run_id: str) -> Stored:
        return self._read(self._runs[run_id])

    def __contains__(self, run_id: object) -> bool:
        # Not the mixin's, which would read a record to answer.
        return run_id in self._runs

    def __iter__(self) -> Iterator[str]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)


def _of_record(store: RunStore, read: Callable[[Record, RunSpec], Stored]) -> Callable[[RunSpec], Stored]:
    """Return what reads a part of a run's record; a record that has gone since is a `KeyError`."""

    def found(spec: RunSpec) -> Stored:
        if (record := store.record(spec)) is None:
            raise KeyError(spec.run_id)
        return read(record, spec)

    return found


def _details(spec: RunSpec, store: RunStore) -> RunDetails:
    """Read what stands beside the predictions; of a record that cannot be read there is nothing to tell."""
    try:
        if (record := store.record(spec)) is not None:
            return RunDetails(spec, record.log(), files=record.data.get("files", {}), record=record)
        if (failure := store.failure(spec)) is not None:
            return RunDetails(spec, failure.log(), failure.traceback)
    except StoreError:
        pass
    return RunDetails(spec, "")


def _predictions(record: Record, spec: RunSpec) -> Predictions:
    label, pred, ids = _test_split(record, spec)
    order = np.argsort(ids, kind="stable")
    return Predictions(spec.task, spec.data.convention, ids[order], label[order], pred[order])


def _learned(record: Record, spec: RunSpec) -> Learned:
    tested = _predictions(record, spec)
    ids, arrays = record.features()
    place = {sample: i for i, sample in enumerate(ids)}
    order = [place[sample] for sample in tested.ids]
    return Learned(tested.ids, tested.label, {name: array[order] for name, array in arrays.items()})


def _place(cell: Cell) -> tuple[str, str, str, str]:
    return cell.dataset.name, cell.setting, cell.task, cell.model


def _typed(values: pd.DataFrame) -> pd.DataFrame:
    """Give an empty frame the types of a full one, so that grouping and masking need no special case."""
    floats, flags = ["value", "mmsa"], ["duplicate", "synthetic", "higher_is_better"]
    return values.astype({**dict.fromkeys(floats, "float64"), **dict.fromkeys(flags, "bool")})


def _value_rows(
    cell: Cell, spec: RunSpec, scored: Mapping[str, MetricValue], shown: set[tuple[str, ...]]
) -> Iterator[dict[str, Any]]:
    place = _place(cell)
    duplicate = cell.alias_of is not None and (*place, cell.alias_of) in shown
    synthetic = cell.dataset.synthetic is not None
    named = dict(zip(CELL, (*place, cell.variant, cell.alias_of or "", duplicate, synthetic), strict=True))
    for metric in metrics_for(spec.task, cell.dataset.convention):
        if metric.name in scored:
            got = scored[metric.name]
            yield named | {
                "seed": spec.seed,
                "run_id": spec.run_id,
                "metric": metric.name,
                "higher_is_better": metric.higher_is_better,
                "value": got.value,
                "mmsa": np.nan if got.mmsa is None else got.mmsa,
            }


class _Reader:
    """Reads runs of one store, and notes where the finished ones were made.

    Attributes
    ----------
    environments, hashes : dict
        As in `Results`, of the runs read so far.
    """

    def __init__(self, store: RunStore, memo: Memo | None) -> None:
        self._store, self._memo = store, memo
        self.environments: dict[str, Mapping[str, Any]] = {}
        self.hashes: dict[str, str] = {}

    def run(self, cell: Cell, spec: RunSpec) -> tuple[dict[str, Any], Scores]:
        """Return the run's row and its scores."""
        row = dict.fromkeys(RUN_COLUMNS) | dict(zip(("dataset", "setting", "task", "model"), _place(cell), strict=True))
        row |= {"variant": spec.variant, "seed": spec.seed, "run_id": spec.run_id, "label": spec.label}
        row |= {"status": "missing", "kind": "", "reason": "", "stopped": "", "environment": ""}
        try:
            record = self._store.record(spec)
            if record is None:
                if (failure := self._store.failure(spec)) is not None:
                    row |= {"status": "failed", "kind": failure.kind, "reason": failure.reason}
                return row, {}
            scored, provenance = self._scores(record, spec, cell), record.provenance()
        except (HarnessError, OSError, ValueError, KeyError, TypeError) as error:
            told = isinstance(error, HarnessError)
            why = " ".join(str(error).split()) if told else f"{type(error).__name__}: {error}"
            reason = f"what is stored cannot be used ({why}); delete its folder in the runs folder and run again"
            return row | {"status": "failed", "kind": "record", "reason": reason}, {}
        key = str(provenance.get("environment_key", ""))
        self.environments.setdefault(key, provenance.get("environment", {}))
        row |= {name: record.data.get(name) for name in ("wall_seconds", "epochs", "best_epoch", "stopped")}
        costs = record.data.get("costs") or {}
        return row | {"status": "done", "params_trainable": costs.get("params_trainable"), "environment": key}, scored

    def _scores(self, record: Record, spec: RunSpec, cell: Cell) -> Scores:
        if self._memo is None:
            return _score(record, spec, cell)
        sha256 = record.predictions_sha256()
        key = self._memo.key("scores", _scored_by(), spec.task, cell.dataset.convention, sha256)
        if (kept := self._memo.get(key)) is not None:
            scored = {name: MetricValue(value, mmsa) for name, (value, mmsa) in kept.items()}
        else:
            scored = _score(record, spec, cell)
            self._memo.put(key, {name: [one.value, one.mmsa] for name, one in scored.items()})
        self.hashes[spec.run_id] = sha256
        return scored


@functools.cache
def _scored_by() -> tuple[str, ...]:
    """Return what makes scores of a file of predictions: our code, and the libraries that read and sum."""
    here = Path(__file__).parent
    code = [here / "metrics.py", here / "results.py", here / "store" / "record.py"]
    return (fingerprint_of(code, here), *map(metadata.version, ("numpy", "pandas", "pyarrow")))


def _score(record: Record, spec: RunSpec, cell: Cell) -> Scores:
    label, pred, _ = _test_split(record, spec)
    return compute(spec.task, cell.dataset.convention, label, pred)


def _test_split(record: Record, spec: RunSpec) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.object_]]:
    """Return labels, predictions and ids in the order of the record."""
    frame = record.predictions()
    # Columns as arrays before the split is taken: a mask on a frame costs more than reading the file.
    test = frame["split"].to_numpy(dtype=object) == "test"
    label, ids = frame["label"].to_numpy()[test], frame["id"].to_numpy(dtype=object)[test]
    if spec.task == "classification":
        return label, np.stack([frame[f"logit_{i}"].to_numpy()[test] for i in range(3)], axis=1), ids
    return label, frame["pred"].to_numpy()[test], ids
