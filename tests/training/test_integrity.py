"""One test per model, data set and variant: it builds at true widths, learns, and is the same again when asked to be.

Sequences are short, and the largest fusion networks and the text encoder small, so that all of them run in minutes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch

from harness import models
from harness.data import Features, load_definition, locate, open_features
from harness.plugin import reached_in_training
from harness.spec import VARIANTS, RunSpec, Task, Variant
from harness.training.loop import evaluate
from harness.training.run import Observation, Prepared, prepare
from tests.planned import planned_spec

WIDTHS = {"mosei": {"audio": 74, "vision": 35}, "sims": {"audio": 33, "vision": 709}}
SAMPLES = {"train": 40, "valid": 12, "test": 10}
LENGTHS = {"text": 8, "audio": 14, "vision": 11}
# Two training batches an epoch, so that every recipe steps; no warm-up, so that there is a rate at all.
HYPER: Mapping[str, Mapping[str, Any]] = {
    "*": {"batch_size": 20, "update_epochs": 2, "warm_up_epochs": 0, "early_stop": 100},
    "TFN": {"hidden_dims": [32, 16, 24], "text_out": 16},
    "MTFN": {"hidden_dims": [32, 16, 24], "text_out": 16},
    "MulT": {"dst_feature_dim_nheads": [24, 4], "nlevels": 2},
}
# Parameters that the reference leaves out, by the end of their names, and why.
UNTRAINED: Mapping[str, tuple[str, ...]] = {
    "TFN": ("output_range", "output_shift"),
    "LMF": ("fusion_weights", "fusion_bias"),
    # Text gets no recurrent layer with a text encoder; the discriminator's outputs are in no loss.
    "MISA": ("pooler.dense", "tlayer_norm", "sp_discriminator_layer_1"),
    # The audio loss has weight 0 in MMSA's configuration.
    "MTFN": ("output_range", "output_shift", "post_audio_layer_1", "post_audio_layer_2", "post_audio_layer_3"),
    "MLMF": ("fusion_weights", "fusion_bias"),
    "Self-MM": ("pooler.dense",),
    "TETFN": ("pooler.dense",),
    "ALMT": ("pooler.dense",),
}
# Their unimodal heads learn from labels that first move after the second epoch's batches: the third uses them.
EPOCHS: Mapping[str, int] = {"Self-MM": 3, "TETFN": 3}


def cases() -> Iterator[tuple[str, str, Variant, Task]]:
    for dataset in WIDTHS:
        definition = load_definition(dataset)
        for name in models.names():
            entry = models.entry(name)
            if entry.defaults(dataset) is None or (entry.unimodal_labels and not definition.unimodal_labels):
                continue
            for variant in VARIANTS:
                if definition.canonical(variant) == variant:
                    yield dataset, name, variant, entry.tasks[0]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Mapping[str, Any], Features]]:
    """A small synthetic set in the layout of each data set, converted."""
    made = {}
    for dataset in WIDTHS:
        cache = tmp_path_factory.mktemp(f"integrity-{dataset}")
        reference = {
            "name": f"synthetic-integrity-{dataset}",
            "synthetic": {"like": dataset, "samples": SAMPLES, "lengths": LENGTHS, "seed": 1},
        }
        definition = load_definition(reference)
        file = locate(definition, "unaligned", None, cache)
        made[dataset] = (reference, open_features(file, definition, "unaligned", cache))
    return made


@pytest.mark.parametrize(("dataset", "model", "variant", "task"), list(cases()))
def test_integrity(
    dataset: str, model: str, variant: Variant, task: Task, places: Mapping[str, tuple[Mapping[str, Any], Features]]
) -> None:
    reference, features = places[dataset]
    spec = planned_spec(reference, model, variant, task=task, sha256=features.sha256, hyper=HYPER, max_epochs=50)
    assert {m: spec.data.shapes.widths[m] for m in WIDTHS[dataset]} == WIDTHS[dataset]  # type: ignore[index]
    straight = prepare(spec, features.folder, "cpu")
    epochs = EPOCHS.get(model, 2)
    reached = reached_in_training(straight, epochs)
    check_what_is_trained(straight, reached, model)
    check_evaluation(straight, spec)
    stopped = prepare(spec, features.folder, "cpu")
    check_resuming(stopped, straight, prepare(spec, features.folder, "cpu"))
    del straight, stopped
    check_learning(prepare(spec, features.folder, "cpu"))


def check_what_is_trained(run: Prepared, reached: set[str], model: str) -> None:
    """Every parameter gets a gradient and moves, but those that the reference leaves out."""
    fresh = build_again(run).model.state_dict()
    optimised = {id(p) for g in run.recipe.optimizer.param_groups if g["lr"] > 0 for p in g["params"]}
    left_out = UNTRAINED.get(model, ())
    for name, parameter in run.model.named_parameters():
        moved = not torch.equal(parameter, fresh[name])
        if any(name.endswith(end) or f"{end}." in name for end in left_out):
            assert not moved, f"{name} is not trained in the reference"
        else:
            assert id(parameter) in optimised, f"{name} is in no group of the optimiser"
            assert name in reached, f"no gradient reaches {name}"
            assert moved, f"{name} stays as it was"


def build_again(run: Prepared) -> Prepared:
    return Prepared(run.spec, run.features, "cpu")


def check_evaluation(run: Prepared, spec: RunSpec) -> None:
    """Evaluation repeats itself; predictions and features have their shapes; weights saved and loaded agree."""
    seen = [observe(run), observe(run)]
    count, outputs = SAMPLES["test"], 1 if spec.task == "regression" else 3
    assert seen[0]["M"].shape == (count, outputs)
    assert {"text", "audio", "vision", "fusion"} <= set(seen[0])
    for name, tensor in seen[0].items():
        assert tensor.shape[0] == count
        assert tensor.ndim == 2
        assert bool(torch.isfinite(tensor).all()), name
        assert torch.equal(tensor, seen[1][name]), name
    assert len(torch.unique(seen[0]["M"], dim=0)) > 1, "constant predictions prove nothing"
    # Graph-MFN's unregistered networks are in no state dict: they come with the seed alone.
    seed = spec.seed + (spec.model != "Graph-MFN")
    other = Prepared(spec.model_copy(update={"seed": seed}), run.features, "cpu")
    kept = io.BytesIO()
    torch.save(run.model.state_dict(), kept)
    kept.seek(0)
    other.model.load_state_dict(torch.load(kept, weights_only=True))
    for name, tensor in observe(other).items():
        assert torch.equal(tensor, seen[0][name]), name


def observe(run: Prepared) -> dict[str, torch.Tensor]:
    observation = Observation(run.model, models.entry(run.spec.model).taps)
    evaluate(run.recipe, run.batches["test"].in_order(), observation)
    observation.close()
    arrays = {"M": observation.column("pred"), **observation.features()}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def check_resuming(stopped: Prepared, straight: Prepared, resumed: Prepared) -> None:
    """One epoch, a state through a file, and the other epochs equal all of them in one go."""
    stopped.trainer.one_epoch()
    kept = io.BytesIO()
    torch.save(stopped.trainer.state_dict(), kept)
    kept.seek(0)
    resumed.trainer.load_state_dict(torch.load(kept, weights_only=True))
    while resumed.trainer.epoch < straight.trainer.epoch:
        resumed.trainer.one_epoch()
    for name, tensor in straight.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    assert [e.valid_loss for e in straight.trainer.history] == [e.valid_loss for e in resumed.trainer.history]


def check_learning(run: Prepared) -> None:
    """At most twenty steps at the base rate on one batch lower the recipe's loss on it, seen in evaluation mode."""
    recipe, train = run.recipe, run.batches["train"]
    recipe.prepare(train)
    recipe.start_epoch(1)
    batch = next(train.in_order())

    def loss() -> float:
        run.model.eval()
        with torch.no_grad():
            return float(recipe.loss(recipe.forward(batch), batch).item())

    before = after = loss()
    for _ in range(4):
        run.model.train()
        for _ in range(5 * int(run.spec.hyper.get("update_epochs", 1))):
            recipe.train_batch(batch)
        after = loss()
        if after < before:
            break
    assert after < before


def test_every_model_is_tested_on_every_data_set_that_it_has() -> None:
    tested = {(dataset, model) for dataset, model, _, _ in cases()}
    assert tested >= {(d, m) for d in WIDTHS for m in models.names() if not models.entry(m).unimodal_labels}
    assert {m for d, m in tested if d == "sims"} == set(models.names())
