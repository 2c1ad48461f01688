"""Synthetic records: what runs of a CH-SIMS-like suite would leave behind, written without training anything."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import save_file

from benchmarks.report.settings import Settings
from harness.metrics import compute
from harness.plan import Plan, load_datasets, make_plan
from harness.spec import RunSpec, Suite
from harness.store import RunStore, write_json

__all__ = ["change_one", "fill", "plan_of"]

_WIDTHS = {"text": 128, "audio": 16, "vision": 32}
"""Of the learned features, which have no fixed width in the models."""
_ENVIRONMENT = {"processor": "made up", "python": "3.11", "system": "made up", "device": "cpu"}


def plan_of(settings: Settings) -> Plan:
    """Expand the suite of synthetic data sets whose records are made; every model in every task and variant."""
    like = {"like": "sims", "samples": {"train": 32, "valid": settings.utterances, "test": settings.utterances}}
    suite = Suite.model_validate(
        {
            "name": "benchmark",
            "title": "Synthetic records of no run",
            "datasets": [{"name": f"synthetic-{i}", "synthetic": like} for i in range(settings.datasets)],
            "tasks": ["regression", "classification"],
            "models": list(settings.models),
            "variants": ["original", "fg", "a", "v"],
            "seeds": [1111 + i for i in range(settings.seeds)],
            "text_encoder": {"random": {"num_hidden_layers": 1}},
        }
    )
    return make_plan(suite, load_datasets(suite, Path()), lambda _dataset, _setting: "0" * 64)


def fill(plan: Plan, store: RunStore, *, features: bool) -> None:
    """Write a record for every run of `plan`, without flushing to the disk."""
    for spec in plan.runs:
        store.folder(spec).mkdir(parents=True)
        _write(store.folder(spec), spec, _samples(plan, spec), features=features)


def change_one(plan: Plan, store: RunStore, *, features: bool) -> None:
    """Write other predictions into the record of one run, as if it had been trained again."""
    spec = plan.runs[0]
    _write(store.folder(spec), spec, _samples(plan, spec), features=features, draw=1)


def _samples(plan: Plan, spec: RunSpec) -> int:
    made = next(cell.dataset.synthetic for cell in plan.cells if cell.dataset.name == spec.data.dataset)
    assert made is not None
    return made.samples["test"]


def _write(folder: Path, spec: RunSpec, n: int, *, features: bool, draw: int = 0) -> None:
    rng = np.random.default_rng([int(spec.run_id, 16), draw])
    # The shuffled pass of the test split: rows stand in an order of their own.
    order = np.random.default_rng(spec.seed).permutation(n)
    ids = [f"clip$_${i}" for i in order]
    label, pred = _scores(spec, n, rng)
    columns = {f"logit_{i}": pred[order, i] for i in range(3)} if pred.ndim == 2 else {"pred": pred[order]}
    frame = pd.DataFrame({"id": ids, "split": "test", "label": label[order], **columns})
    valid = frame.assign(split="valid", id=[f"valid$_${i}" for i in order])
    pd.concat([frame, valid], ignore_index=True).to_parquet(folder / "predictions.parquet", index=False)
    if features:
        arrays = {name: rng.normal(size=(n, width)).astype(np.float32) for name, width in _WIDTHS.items()}
        save_file(arrays, folder / "features.safetensors", metadata={"ids": json.dumps(ids)})
    epochs = [
        {"epoch": e, "train_loss": 1 / e, "valid_loss": 1.1 / e, "learning_rate": 1e-3, "seconds": 0.5, "best": True}
        for e in range(1, 21)
    ]
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in epochs), encoding="utf-8")
    made = {"environment": _ENVIRONMENT, "environment_key": "00000000", "seed": spec.seed, "synthetic_data": True}
    write_json(folder / "provenance.json", made)
    (folder / "log.txt").write_text("".join(f"epoch {e['epoch']}\n" for e in epochs), encoding="utf-8")
    scored = compute(spec.task, spec.data.convention, label, pred)
    names = [path.name for path in sorted(folder.iterdir()) if path.name not in {"log.txt", "record.json"}]
    write_json(
        folder / "record.json",
        {
            "schema_version": 1,
            "run_id": spec.run_id,
            "status": "done",
            "spec": spec.model_dump(mode="json"),
            "metrics": {name: asdict(value) for name, value in scored.items()},
            "costs": {"params_trainable": 1_000_000, "params_registered": 1_000_000},
            "epochs": 20,
            "best_epoch": 20,
            "best_valid_loss": 0.5,
            "stopped": "early",
            "wall_seconds": 10.0,
            "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
        },
    )


def _scores(spec: RunSpec, n: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return labels, the same for all runs of a data set, and predictions whose error depends on the cell."""
    score = np.random.default_rng(zlib.crc32(spec.data.dataset.encode())).integers(-5, 6, n) / 5
    of_cell = np.random.default_rng(zlib.crc32(f"{spec.model} {spec.variant} {spec.task}".encode()))
    error = of_cell.uniform(0.4, 0.6) + rng.normal(0, 0.02)
    if spec.task == "regression":
        return score.astype(np.float32), (score + rng.normal(0, error, n)).astype(np.float32)
    classes = np.sign(score).astype(np.int64) + 1
    return classes, (np.eye(3)[classes] + rng.normal(0, 2 * error, (n, 3))).astype(np.float32)
