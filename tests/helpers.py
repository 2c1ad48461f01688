"""Throw-away run specs and records for tests: small, valid, and different for every seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import save_file

from harness.spec import RunSpec
from harness.store import RunStore, write_json

__all__ = ["fake_record", "fill_draft", "make_spec"]

SIMS_GROUPS = {
    "audio": [["ZCR", 1], ["MFCC", 20], ["CQT", 12]],
    "vision": [["Gaze", 8], ["EyeLmk", 280], ["HeadPose", 6], ["FaceLmk", 340], ["PDM", 40], ["AU", 35]],
}
METRICS: Mapping[str, Mapping[str, float]] = {
    "mosei": {
        "Acc-2/has-0": 0.78,
        "Acc-2/non-0": 0.80,
        "F1/has-0": 0.78,
        "F1/non-0": 0.80,
        "Acc-5": 0.50,
        "Acc-7": 0.48,
        "MAE": 0.61,
        "Corr": 0.70,
    },
    "sims": {"Acc-2": 0.77, "Acc-3": 0.63, "Acc-5": 0.40, "F1": 0.77, "MAE": 0.44, "Corr": 0.58},
    "classification": {
        "Acc-2/has-0": 0.70,
        "Acc-2/non-0": 0.30,
        "Acc-2/non-0/corrected": 0.75,
        "F1/has-0": 0.70,
        "F1/non-0": 0.25,
        "F1/non-0/corrected": 0.74,
        "Acc-3": 0.60,
        "F1-3": 0.59,
    },
}


def make_spec(**overrides: Any) -> RunSpec:
    """Return a valid run spec; keys are fields of `RunSpec`, ``data`` is merged, ``dataset`` is ``data.dataset``."""
    data: dict[str, Any] = {
        "dataset": overrides.pop("dataset", "synthetic"),
        "setting": "unaligned",
        "sha256": "0" * 64,
        "convention": "sims",
        "hyperparameters": "sims",
        "synthetic": True,
        "shapes": {
            "widths": {"text": 768, "audio": 33, "vision": 709},
            "lengths": {"text": 8, "audio": 12, "vision": 10},
        },
        "groups": SIMS_GROUPS,
    }
    data |= overrides.pop("data", {})
    fields: dict[str, Any] = {
        "model": "LF-DNN",
        "task": "regression",
        "variant": "original",
        "data": data,
        "hyper": {"learning_rate": 0.001, "batch_size": 32},
        "finegrained": None,
        "seed": 1111,
        "threads": 1,
        "max_epochs": 3,
        "sources": "test",
    }
    unknown = set(overrides) - set(fields)
    if unknown:
        raise TypeError(f"not a field of RunSpec: {sorted(unknown)}")
    fields |= overrides
    if fields["variant"] != "original" and fields["finegrained"] is None:
        fields["finegrained"] = {}
    return RunSpec.model_validate(fields)


def fake_record(
    store: RunStore,
    spec: RunSpec,
    *,
    metrics: Mapping[str, float | Mapping[str, float | None]] | None = None,
    n: int = 24,
    noise: float = 0.5,
    **extra: Any,
) -> Path:
    """Publish a whole record of `spec` that nobody trained, and return its folder.

    Parameters
    ----------
    store : RunStore
    spec : RunSpec
    metrics : mapping, optional
        Metric name to a number (taken as the value) or to ``{"value": ..., "mmsa": ...}``; defaults to plausible
        numbers of the convention, moved a little by the seed.
    n : int
        Samples per split (``valid`` and ``test``); ids and labels do not depend on the seed, predictions do.
    noise : float
        Standard deviation of prediction minus label.
    extra
        Further top-level fields of ``record.json``.
    """
    draft = store.begin(spec)
    fill_draft(draft, spec, metrics=metrics, n=n, noise=noise, **extra)
    return store.publish(spec, draft)


def fill_draft(
    draft: Path,
    spec: RunSpec,
    *,
    metrics: Mapping[str, float | Mapping[str, float | None]] | None = None,
    n: int = 24,
    noise: float = 0.5,
    **extra: Any,
) -> None:
    """Write the files of a record into `draft`, ``record.json`` last, as training does."""
    rng = np.random.default_rng(int(spec.run_id, 16))
    ids = [f"{split}{row:03d}$_${row % 7}" for split in ("valid", "test") for row in range(n)]
    _predictions(spec, ids, n, noise, rng).to_parquet(draft / "predictions.parquet", index=False)

    width = {"text": 6, "audio": 4, "vision": 5, "fusion": 8}
    arrays = {name: rng.normal(size=(n, w)).astype(np.float32) for name, w in width.items()}
    save_file(arrays, str(draft / "features.safetensors"), metadata={"ids": json.dumps(ids[n:])})

    epochs = [
        {"epoch": e, "train_loss": 1 / e, "valid_loss": 1.1 / e, "lr": 0.001, "seconds": 0.5, "best": True}
        for e in range(1, 4)
    ]
    (draft / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in epochs), encoding="utf-8")
    write_json(draft / "provenance.json", {"versions": {"torch": "0"}, "threads": spec.threads, "seed": spec.seed})
    if not (draft / "log.txt").exists():
        (draft / "log.txt").write_text("epoch 1\nepoch 2\nepoch 3\n", encoding="utf-8")
    names = ("predictions.parquet", "features.safetensors", "history.jsonl", "provenance.json")
    write_json(
        draft / "record.json",
        {
            "schema_version": 1,
            "run_id": spec.run_id,
            "status": "done",
            "spec": spec.model_dump(mode="json"),
            "metrics": _metrics(spec, metrics, rng),
            "costs": {"params_trainable": 123_456},
            "epochs": 3,
            "best_epoch": 3,
            "stopped": "early",
            "wall_seconds": 1.5,
            "files": {name: hashlib.sha256((draft / name).read_bytes()).hexdigest() for name in names},
            **extra,
        },
    )


def _predictions(spec: RunSpec, ids: list[str], n: int, noise: float, rng: np.random.Generator) -> pd.DataFrame:
    # Labels belong to the data, so they must be the same for every seed, model and variant.
    of_data = np.random.default_rng(7)
    frame = pd.DataFrame({"id": ids, "split": ["valid"] * n + ["test"] * n})
    if spec.task == "classification":
        label = of_data.integers(0, 3, size=2 * n)
        logits: NDArray[np.float64] = np.eye(3)[label] + rng.normal(scale=noise, size=(2 * n, 3))
        frame["label"] = label.astype(np.int64)
        for column in range(3):
            frame[f"logit_{column}"] = logits[:, column].astype(np.float32)
        return frame
    high = 3.0 if spec.data.convention == "mosei" else 1.0
    label = np.round(of_data.uniform(-high, high, size=2 * n), 1)
    frame["label"] = label.astype(np.float32)
    frame["pred"] = (label + rng.normal(scale=noise, size=2 * n)).astype(np.float32)
    return frame


def _metrics(
    spec: RunSpec,
    given: Mapping[str, float | Mapping[str, float | None]] | None,
    rng: np.random.Generator,
) -> dict[str, dict[str, float | None]]:
    if given is None:
        kind = "classification" if spec.task == "classification" else spec.data.convention
        given = {name: value + float(rng.normal(scale=0.01)) for name, value in METRICS[kind].items()}
    return {
        name: dict(value) if isinstance(value, Mapping) else {"value": value, "mmsa": round(value, 4)}
        for name, value in given.items()
    }
