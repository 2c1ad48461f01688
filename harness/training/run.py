"""One run spec in, one record out."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import nn

from harness import metrics, models, provenance
from harness.data.batching import Batch, Batches
from harness.data.cache import Features, load_features
from harness.data.inputs import InputChoice
from harness.data.use import hold
from harness.errors import DataError, RunError, StoreError
from harness.models import text
from harness.models.entry import Taps
from harness.spec import SPLITS, RunSpec, SplitName
from harness.store import RunStore, write_json
from harness.training.fit import check_features
from harness.training.job import Job
from harness.training.loop import Epoch, Trainer, evaluate
from harness.training.recipes import make_recipe
from harness.training.resume import SavedState

__all__ = ["Observation", "Prepared", "execute", "prepare"]

_log = logging.getLogger(__name__)
_REPEATABLE = (":4096:8", ":16:8")
"""The workspace sizes with which cuBLAS repeats itself."""


class Prepared:
    """A run that is ready to train: seeded, data opened, model and recipe built, in MMSA's order.

    Parameters
    ----------
    spec : RunSpec
        What to run.
    features : Features
        The converted feature file.
    device : str
        ``cpu``, ``cuda`` or ``cuda:N``.
    encoder : Path, optional
        The folder of its text encoder.
    """

    def __init__(self, spec: RunSpec, features: Features, device: str, encoder: Path | None = None) -> None:
        models.seed_everything(spec.seed)
        inputs = InputChoice.from_hyper(spec.hyper)
        check_features(spec, features)
        self.spec = spec
        self.features = features
        self.batches: dict[SplitName, Batches] = {
            split: Batches(
                features.splits[split],
                inputs,
                task=spec.task,
                batch_size=int(spec.hyper["batch_size"]),
                device=device,
                repeat={m: spec.data.shapes.lengths[m] for m in spec.data.repeated},
            )
            for split in SPLITS
        }
        self.model = models.build(spec, device, encoder=_load_encoder(spec, encoder))
        self.recipe = make_recipe(models.entry(spec.model).recipe, self.model, spec.hyper, spec.task)
        self.trainer = Trainer(
            self.model, self.recipe, self.batches["train"], self.batches["valid"], max_epochs=spec.max_epochs
        )


def _load_encoder(spec: RunSpec, folder: Path | None) -> nn.Module | None:
    if spec.text_encoder is None:
        return None
    if folder is None and spec.text_encoder.sha256 is not None:
        raise RunError(
            f"the weights of the text encoder {spec.text_encoder.name} were not handed to the run",
            where=spec.label,
            hint="this is a defect of the executor",
        )
    return text.load(spec.text_encoder, folder, finetune=bool(spec.hyper.get("use_finetune", True)))


def prepare(spec: RunSpec, features: Path, device: str, encoder: Path | None = None) -> Prepared:
    """Set threads and determinism, open the data, and build everything a run needs.

    Raises
    ------
    DataError
        If the converted features are not those that the spec names.
    """
    torch.set_num_threads(spec.threads)
    if device.startswith("cuda"):
        if os.environ.get("CUBLAS_WORKSPACE_CONFIG") not in _REPEATABLE:
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = _REPEATABLE[0]
        torch.use_deterministic_algorithms(True)
    hold(features)
    opened = load_features(features)
    if opened.sha256 != spec.data.sha256:
        raise DataError(
            "the converted features belong to another feature file than the run asks for",
            where=str(features),
            hint="run the suite again: it converts the file anew",
        )
    return Prepared(spec, opened, device, encoder)


def execute(job: Job, report: Callable[[dict[str, Any]], None]) -> None:
    """Train and test one run and publish its record.

    A run that was killed goes on from its last checkpoint, with the numbers of one that was not.

    Parameters
    ----------
    job : Job
        The spec, where its data and its store are, and on which device to run.
    report : callable
        Gets a dictionary with ``epoch``, ``train_loss``, ``valid_loss`` and ``best`` after every epoch.

    Raises
    ------
    RunError
        If training diverges. A checkpoint is dropped then: from there it would end in the same way.
    StoreError
        If the record cannot be written.
    """
    spec, store = job.spec, RunStore(job.runs_dir)
    _know_model(job)
    if job.draft is None:
        draft = store.begin(spec)
        try:
            return execute(replace(job, draft=draft), report)
        except BaseException:
            store.discard(draft)
            raise
    saved = SavedState(job, store.checkpoints)
    try:
        run = _train(job, saved, report)
        _test(job, job.draft, run, saved)
    except RunError:
        with suppress(StoreError):
            store.checkpoints.drop(spec.run_id)
        raise
    store.publish(spec, job.draft)
    return None


def _know_model(job: Job) -> None:
    """Load the plug-in that a run's model comes from, if it is still the one that was planned with."""
    spec = job.spec
    if job.plugin is not None:
        models.add_plugin(job.plugin)
    models.entry(spec.model)
    if models.plugin_of(spec.model) != spec.plugin:
        raise RunError(
            f"the plug-in of {spec.model} is not the one that the run was planned with",
            where=str(job.plugin or spec.model),
            hint="it was changed meanwhile: start the suite again",
        )


def _train(job: Job, saved: SavedState, report: Callable[[dict[str, Any]], None]) -> Prepared:
    """Train a run to its end, from where it was when it was killed."""
    spec = job.spec
    _log.info("%s on %s, %d thread(s), run %s", spec.label, job.device, spec.threads, spec.run_id)
    run = prepare(spec, job.features, job.device, job.encoder)
    if not saved.restore(run.trainer):
        run = prepare(spec, job.features, job.device, job.encoder)

    def on_epoch(epoch: Epoch) -> None:
        _log.info("epoch %d: train %.4f, valid %.4f", epoch.epoch, epoch.train_loss, epoch.valid_loss)
        saved.after_epoch(run.trainer)
        report(
            {
                "epoch": epoch.epoch,
                "train_loss": epoch.train_loss,
                "valid_loss": epoch.valid_loss,
                "best": epoch.best,
            }
        )

    run.trainer.run(on_epoch)
    return run


def _test(job: Job, draft: Path, run: Prepared, saved: SavedState) -> None:
    """Pass over the test and validation splits with the best weights, and write the record's files."""
    test = Observation(run.model, models.entry(job.spec.model).taps)
    evaluate(run.recipe, run.batches["test"], test)
    test.close()
    valid = Observation(run.model, None)
    evaluate(run.recipe, run.batches["valid"].in_order(), valid)
    for name, seen in (("test", test), ("valid", valid)):
        if not np.all(np.isfinite(seen.column("pred"))):
            raise RunError(
                f"predictions on the {name} split are not finite",
                where=f"best epoch {run.trainer.best_epoch}",
                hint="look for NaN in the features with 'harness data check', or lower the learning rate",
            )
    _log.info("best epoch %d of %d, stopped by %s", run.trainer.best_epoch, run.trainer.epoch, run.trainer.stopped)
    _write(job, draft, run, {"test": test, "valid": valid}, saved)


class Observation:
    """Collects predictions, labels, positions and learned features over one pass.

    Parameters
    ----------
    model : nn.Module
        Whose passes are watched.
    taps : Taps or None
        How to read its learned features; None leaves them out.
    """

    def __init__(self, model: nn.Module, taps: Taps | None) -> None:
        self._model = model
        self._taps = taps
        self._captured: dict[str, torch.Tensor] = {}
        self._handles = [
            model.get_submodule(path).register_forward_pre_hook(self._capture(path))
            for path in (taps.captured if taps else ())
        ]
        self._index: list[NDArray[np.int64]] = []
        self._columns: dict[str, list[NDArray[Any]]] = {}
        self._features: dict[str, list[NDArray[Any]]] = {}

    def _capture(self, path: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        def hook(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            self._captured[path] = inputs[0]

        return hook

    def __call__(self, batch: Batch, outputs: Mapping[str, Any]) -> None:
        """Take a batch and the model's outputs on it."""
        self._index.append(batch.index)
        self._columns.setdefault("pred", []).append(_array(outputs["M"]))
        self._columns.setdefault("label", []).append(_array(batch.label).reshape(-1))
        if self._taps is not None:
            for name, tensor in self._taps.read(self._model, outputs, self._captured).items():
                self._features.setdefault(name, []).append(_array(tensor))

    def close(self) -> None:
        """Stop watching the model."""
        for handle in self._handles:
            handle.remove()

    @property
    def index(self) -> NDArray[np.int64]:
        """Positions of the samples in their split (N,)."""
        return np.concatenate(self._index)

    def column(self, name: str) -> NDArray[Any]:
        """Predictions (N, outputs) under ``pred``, labels (N,) under ``label``."""
        return np.concatenate(self._columns[name])

    def features(self) -> dict[str, NDArray[Any]]:
        """Learned features by name, each (N, width)."""
        return {name: np.concatenate(parts) for name, parts in self._features.items()}


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    return tensor.detach().to("cpu", torch.float32).numpy()


def _write(job: Job, draft: Path, run: Prepared, seen: Mapping[SplitName, Observation], saved: SavedState) -> None:
    """Write every file of the record, `record.json` last."""
    spec, trainer = job.spec, run.trainer
    frames = []
    for split, observed in seen.items():
        pred = observed.column("pred")
        ids = [run.batches[split].split.ids[i] for i in observed.index]
        frame: dict[str, Any] = {"id": ids, "split": [split] * len(pred), "label": observed.column("label")}
        logits = {f"logit_{i}": pred[:, i] for i in range(pred.shape[1])}
        frames.append(pd.DataFrame(frame | ({"pred": pred[:, 0]} if spec.task == "regression" else logits)))
    # Rows stand in the order of MMSA's shuffled pass: single-precision sums then come out with MMSA's own bits.
    pd.concat(frames, ignore_index=True).to_parquet(draft / "predictions.parquet", index=False)
    features = {name: np.ascontiguousarray(array) for name, array in seen["test"].features().items()}
    save_file(features, draft / "features.safetensors", metadata={"ids": json.dumps(list(frames[0]["id"]))})
    (draft / "history.jsonl").write_text(_lines(asdict(epoch) for epoch in trainer.history), encoding="utf-8")
    write_json(draft / "provenance.json", provenance.collect(spec, job.device))
    (draft / "log.txt").touch()
    scored = metrics.compute(
        spec.task, spec.data.convention, seen["test"].column("label"), _scores(spec, seen["test"].column("pred"))
    )
    names = ("predictions.parquet", "features.safetensors", "history.jsonl", "provenance.json")
    write_json(
        draft / "record.json",
        {
            "schema_version": 1,
            "run_id": spec.run_id,
            "status": "done",
            "spec": spec.model_dump(mode="json"),
            "metrics": {name: asdict(value) for name, value in scored.items()},
            "costs": _costs(run.model),
            "epochs": trainer.epoch,
            "best_epoch": trainer.best_epoch,
            "best_valid_loss": trainer.best_loss,
            "stopped": trainer.stopped,
            "wall_seconds": saved.seconds,
            "peak_memory_bytes": saved.peak_memory,
            "resumed_from": saved.resumed_from,
            "files": {name: hashlib.sha256((draft / name).read_bytes()).hexdigest() for name in names},
        },
    )


def _scores(spec: RunSpec, pred: NDArray[Any]) -> NDArray[Any]:
    return pred[:, 0] if spec.task == "regression" else pred


def _costs(model: nn.Module) -> dict[str, int]:
    """Count what can be counted without a trace: trainable and all registered parameters."""
    return {
        "params_trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "params_registered": sum(p.numel() for p in model.parameters()),
    }


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)
