"""A suite that never ran: plans and records made up in memory, with effects that a test can ask for."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.comparison import Comparison, Contrast, Side, compare
from harness.plan import Cell, Plan
from harness.results import collect
from harness.spec import DatasetSpec, ReportOptions, RunData, RunSpec, Suite, SyntheticSpec, Task, Variant
from harness.store import RunStore

SEEDS = (1111, 1112, 1113, 1114, 1115)
MODELS = ("LF-DNN", "TFN", "LMF")
VARIANTS: tuple[Variant, ...] = ("original", "fg", "a", "v")
RESAMPLES = 200
"""Few, since no test here asks how good an interval is."""


def dataset(name: str = "toy", *, synthetic: bool = True, vision_groups: bool = True, **changes: Any) -> DatasetSpec:
    groups = {"audio": {"zcr": 1, "mfcc": 3}} | ({"vision": {"gaze": 2, "pose": 3}} if vision_groups else {})
    given: dict[str, Any] = {
        "name": name,
        "title": f"Toy set {name}",
        "language": "en",
        "convention": "mosei",
        "hyperparameters": "mosei",
        "label_range": (-3.0, 3.0),
        "widths": {"text": 8, "audio": 4, "vision": 5},
        "groups": groups,
        "settings": {
            "unaligned": {
                "file": None if synthetic else "toy.pkl",
                "lengths": {"text": 2, "audio": 3, "vision": 4},
            }
        },
        "synthetic": SyntheticSpec() if synthetic else None,
    }
    return DatasetSpec.model_validate(given | changes)


def spec(data: DatasetSpec, task: Task, model: str, variant: Variant, seed: int) -> RunSpec:
    run_data = RunData(
        dataset=data.name,
        setting="unaligned",
        sha256="0" * 64,
        convention=data.convention,
        hyperparameters=data.hyperparameters,
        synthetic=data.synthetic is not None,
        shapes=data.shapes("unaligned"),
        groups={m: tuple(g.items()) for m, g in data.groups.items()},
    )
    return RunSpec(
        model=model,
        task=task,
        variant=variant,
        data=run_data,
        hyper={},
        finegrained=None,
        seed=seed,
        threads=1,
        max_epochs=5,
        sources="none",
    )


def plan(
    datasets: Sequence[DatasetSpec] = (),
    tasks: Sequence[Task] = ("regression",),
    models: Sequence[str] = MODELS,
    variants: Sequence[Variant] = VARIANTS,
    seeds: Sequence[int] = SEEDS,
    name: str = "fake",
    **suite: Any,
) -> Plan:
    datasets = datasets or (dataset(),)
    cells = []
    for data in datasets:
        for task in tasks:
            for model in models:
                for variant in variants:
                    kept = data.canonical(variant)
                    runs = tuple(spec(data, task, model, kept, seed) for seed in seeds) if kept else ()
                    cells.append(
                        Cell(
                            dataset=data,
                            setting="unaligned",
                            task=task,
                            model=model,
                            variant=variant,
                            alias_of=kept if kept is not None and kept != variant else None,
                            runs=runs,
                            skipped="" if kept else f"{data.name} has no named sub-features that {variant} could split",
                        )
                    )
    whole = Suite.model_validate(
        {
            "name": name,
            "title": "A made-up suite",
            "datasets": [data.name for data in datasets],
            "tasks": list(tasks),
            "models": list(models),
            "variants": list(variants),
            "seeds": list(seeds),
            "report": ReportOptions(),
        }
        | suite
    )
    return Plan(suite=whole, cells=tuple(cells))


def predictions(run: RunSpec, error: float, n: int = 200) -> pd.DataFrame:
    """Make predictions whose distance from the labels grows with `error`; labels are the same for all runs."""
    label = np.random.default_rng(7).integers(-3, 4, n).astype(np.float32)
    noise = np.random.default_rng(zlib.crc32(run.run_id.encode()))
    ids = [f"clip$_${i}" for i in range(n)]
    if run.task == "regression":
        pred = (label + noise.normal(0, error, n)).astype(np.float32)
        return pd.DataFrame({"id": ids, "split": "test", "label": label, "pred": pred})
    classes = (np.sign(label) + 1).astype(np.int64)
    logits = (np.eye(3)[classes] + noise.normal(0, error, (n, 3))).astype(np.float32)
    frame = pd.DataFrame({"id": ids, "split": "test", "label": classes})
    return frame.assign(logit_0=logits[:, 0], logit_1=logits[:, 1], logit_2=logits[:, 2])


@dataclass
class FakeRecord:
    spec: RunSpec
    frame: pd.DataFrame
    environment: str = "aaaa1111"
    folder: Path = Path("fake-record")
    data: dict[str, Any] = field(default_factory=dict)

    def predictions(self) -> pd.DataFrame:
        return self.frame

    def history(self) -> list[dict[str, Any]]:
        return [{"epoch": e, "train_loss": 1 / e, "valid_loss": 1.2 / e, "lr": 1e-3, "best": True} for e in (1, 2, 3)]

    def features(self) -> tuple[list[str], dict[str, NDArray[np.float32]]]:
        noise = np.random.default_rng(zlib.crc32(self.spec.run_id.encode()))
        ids = self.frame["id"].to_list()
        return ids, {name: noise.normal(size=(len(ids), 6)).astype(np.float32) for name in ("text", "audio", "vision")}

    def log(self) -> str:
        return "epoch 1 <b>of</b> 3\n"

    def provenance(self) -> dict[str, Any]:
        described = {"python": "3.11.2", "packages": {"torch": "2.13.0"}, "processor": "A & B_c", "device": "cpu"}
        return {"environment_key": self.environment, "environment": described, "seed": self.spec.seed, "threads": 1}


class FakeStore:
    """Answers like `RunStore` for the two questions that results ask."""

    def __init__(self) -> None:
        self.records: dict[str, FakeRecord] = {}
        self.failures: dict[str, SimpleNamespace] = {}

    def record(self, run: RunSpec) -> FakeRecord | None:
        return self.records.get(run.run_id)

    def failure(self, run: RunSpec) -> SimpleNamespace | None:
        return self.failures.get(run.run_id)

    def add(self, run: RunSpec, error: float = 1.0, **changes: Any) -> FakeRecord:
        costs = {"params_trainable": 12345}
        data = {"wall_seconds": 61.5, "epochs": 3, "best_epoch": 2, "stopped": "early", "costs": costs}
        given: dict[str, Any] = {"frame": predictions(run, error), "data": data}
        record = FakeRecord(run, **(given | changes))
        self.records[run.run_id] = record
        return record

    def fail(self, run: RunSpec, reason: str = "the loss became NaN", kind: str = "diverged") -> None:
        told = {"kind": kind, "reason": reason, "run_id": run.run_id, "label": run.label, "log": lambda: "epoch 1\n"}
        self.failures[run.run_id] = SimpleNamespace(**told, traceback=f"Traceback: {reason}")

    @property
    def as_store(self) -> RunStore:
        return cast(RunStore, self)


def filled(asked: Plan, error: Callable[[RunSpec], float] = lambda _: 1.0) -> FakeStore:
    store = FakeStore()
    for run in asked.runs:
        store.add(run, error(run))
    return store


def typical_error(run: RunSpec) -> float:
    """LMF-fg is much better than LMF, TFN-v worse than TFN, everything else alike."""
    base = {"LF-DNN": 0.9, "TFN": 1.1}.get(run.model, 1.4)
    return base + {("LMF", "fg"): -0.6, ("TFN", "v"): 0.7}.get((run.model, run.variant), 0.0)


def compared(asked: Plan, store: FakeStore, *, items: bool = False) -> Comparison:
    """The statistics of a plan's tables; the second level, which takes longest, only where a test looks at it."""
    report = asked.suite.report
    return compare(
        collect(asked, store.as_store),
        Contrast(Side(report.baseline)),
        alpha=report.alpha,
        resamples=RESAMPLES,
        items=items,
    )
