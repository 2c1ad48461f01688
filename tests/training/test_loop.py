"""The training loop: stopping, best weights, divergence, and a state that resumes as if it had never stopped."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness import models
from harness.data import Features
from harness.errors import DataError, RunError
from harness.spec import DatasetSpec, RunSpec, Variant
from harness.store import RunStore
from harness.training.job import Job
from harness.training.loop import Trainer
from harness.training.run import Prepared, execute, prepare
from tests.conftest import SMALL_SYNTHETIC
from tests.planned import SMALL_HYPER, planned_spec

Small = tuple[DatasetSpec, Features, Path]


def spec_for(small: Small, model: str, variant: Variant = "original", **changes: Any) -> RunSpec:
    hyper = {**SMALL_HYPER, **changes.pop("hyper", {})}
    return planned_spec(
        SMALL_SYNTHETIC, model, variant, sha256=small[1].sha256, seed=5, hyper=hyper, **{"max_epochs": 4, **changes}
    )


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


@pytest.mark.parametrize("model", models.names())
@pytest.mark.parametrize("variant", ["original", "fg"])
def test_resuming_equals_not_stopping(small_synthetic: Small, model: str, variant: Variant) -> None:
    spec = spec_for(small_synthetic, model, variant)
    straight = prepare(spec, small_synthetic[1].folder, "cpu").trainer
    for _ in range(4):
        straight.one_epoch()

    stopped = prepare(spec, small_synthetic[1].folder, "cpu").trainer
    for _ in range(2):
        stopped.one_epoch()
    kept = io.BytesIO()
    torch.save(stopped.state_dict(), kept)
    kept.seek(0)
    stopped.one_epoch()  # what happens after the state was taken must not leak into it
    resumed = prepare(spec, small_synthetic[1].folder, "cpu").trainer
    resumed.load_state_dict(torch.load(kept, weights_only=True))
    while resumed.epoch < 4:
        resumed.one_epoch()

    def told(trainer: Trainer) -> list[tuple[object, ...]]:
        return [dataclasses.astuple(e)[:-1] for e in trainer.history]

    assert told(resumed) == told(straight)
    assert resumed.best_epoch == straight.best_epoch
    for name, tensor in weights(straight).items():
        assert torch.equal(tensor, weights(resumed)[name]), name
    for name, tensor in straight.best_weights.items():
        assert torch.equal(tensor, resumed.best_weights[name]), name


def test_epoch_bound_and_best_weights(small_synthetic: Small) -> None:
    trainer = prepare(spec_for(small_synthetic, "LMF", max_epochs=3), small_synthetic[1].folder, "cpu").trainer
    trainer.run(lambda _epoch: None)
    assert (trainer.epoch, trainer.stopped) == (3, "epoch bound")
    best = min(trainer.history, key=lambda e: (e.valid_loss, e.epoch))
    assert trainer.best_epoch == best.epoch
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, trainer.best_weights[name])


def test_early_stopping_waits_for_patience(small_synthetic: Small) -> None:
    spec = spec_for(small_synthetic, "LMF", max_epochs=200, hyper={"LMF": {"learning_rate": 0.02, "early_stop": 2}})
    trainer = prepare(spec, small_synthetic[1].folder, "cpu").trainer
    trainer.run(lambda _epoch: None)
    assert trainer.stopped == "early stopping"
    assert trainer.epoch - trainer.best_epoch == 2
    losses = [e.valid_loss for e in trainer.history]
    assert min(losses[: trainer.best_epoch]) == losses[trainer.best_epoch - 1]


def test_divergence_is_an_error_with_a_place(small_synthetic: Small, tmp_path: Path) -> None:
    spec = spec_for(small_synthetic, "LF-DNN", hyper={"LF-DNN": {"learning_rate": 1e25}})
    with pytest.raises(RunError, match="diverged") as caught:
        execute(Job(spec, small_synthetic[1].folder, tmp_path), lambda _info: None)
    assert "epoch" in caught.value.where
    assert not list((tmp_path / ".tmp").iterdir()), "the draft of a failed run is dropped"


def test_predictions_that_are_not_finite_make_no_record(
    small_synthetic: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A NaN in the test features alone passes training and validation."""
    spec = spec_for(small_synthetic, "MulT", max_epochs=1)
    clean = small_synthetic[1]
    broken = np.array(clean.splits["test"].arrays["audio"])
    broken[3, 2, 1] = np.nan
    test = dataclasses.replace(clean.splits["test"], arrays={**clean.splits["test"].arrays, "audio": broken})
    patched = dataclasses.replace(clean, splits={**clean.splits, "test": test})
    monkeypatch.setattr("harness.training.run.load_features", lambda _folder: patched)
    with pytest.raises(RunError, match="predictions on the test split are not finite"):
        execute(Job(spec, clean.folder, tmp_path), lambda _info: None)
    assert RunStore(tmp_path).status(spec) == "missing"


def test_two_runs_of_one_spec_are_equal(small_synthetic: Small, tmp_path: Path) -> None:
    spec = spec_for(small_synthetic, "MFN", "fg")
    frames = []
    for place in ("a", "b"):
        execute(Job(spec, small_synthetic[1].folder, tmp_path / place), lambda _info: None)
        record = RunStore(tmp_path / place).record(spec)
        assert record is not None
        frames.append(record.predictions())
        ids, features = record.features()
        test = frames[-1][frames[-1]["split"] == "test"]
        assert ids == list(test["id"])
        assert sorted(ids) == sorted(small_synthetic[1].splits["test"].ids)
        assert features["audio"].shape == (len(ids), spec.hyper["hidden_dims"][1])
        assert len(record.history()) == record.data["epochs"]
        assert set(record.provenance()) >= {"environment", "environment_key", "threads", "seed", "data_sha256", "git"}
    assert frames[0].equals(frames[1])
    assert set(frames[0]["split"]) == {"test", "valid"}


def test_labels_are_those_of_the_file(small_synthetic: Small, tmp_path: Path) -> None:
    spec = spec_for(small_synthetic, "LMF")
    execute(Job(spec, small_synthetic[1].folder, tmp_path), lambda _info: None)
    record = RunStore(tmp_path).record(spec)
    assert record is not None
    frame = record.predictions().set_index(["split", "id"])
    for split in ("valid", "test"):
        held = small_synthetic[1].splits[split]
        expected = dict(zip(held.ids, held.labels["regression"], strict=True))
        assert frame.loc[split]["label"].to_dict() == {k: np.float32(v) for k, v in expected.items()}


def test_graph_mfn_trains_what_the_reference_trains(small_synthetic: Small) -> None:
    run: Prepared = prepare(spec_for(small_synthetic, "Graph-MFN"), small_synthetic[1].folder, "cpu")
    graph: Any = run.model.get_submodule("Model.graph_mfn")
    before = [p.clone() for network in graph.networks.values() for p in network.parameters()]
    trained = weights(run.trainer)
    run.trainer.one_epoch()
    after = [p for network in graph.networks.values() for p in network.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert any(not torch.equal(trained[name], tensor) for name, tensor in weights(run.trainer).items())


def test_lmf_leaves_fusion_weights_alone(small_synthetic: Small) -> None:
    run = prepare(spec_for(small_synthetic, "LMF"), small_synthetic[1].folder, "cpu")
    before = weights(run.trainer)
    run.trainer.one_epoch()
    moved = {n.rpartition(".")[2] for n, t in weights(run.trainer).items() if not torch.equal(before[n], t)}
    assert {"audio_factor", "video_factor", "text_factor"} <= moved
    assert moved.isdisjoint({"fusion_weights", "fusion_bias"})


def test_other_features_than_asked_for_are_refused(small_synthetic: Small) -> None:
    spec = spec_for(small_synthetic, "LMF")
    other = spec.model_copy(update={"data": spec.data.model_copy(update={"sha256": "f" * 64})})
    with pytest.raises(DataError, match="another feature file"):
        prepare(other, small_synthetic[1].folder, "cpu")
