"""The self-supervised recipe against MMSA's own trainer of Self-MM, which serves TETFN as well: equal to the bit."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness import models
from harness.data import Features, generate, load_definition, open_features, write_pickle
from harness.data.batching import Batches
from harness.data.inputs import InputChoice
from harness.models import mmsa, text
from harness.models.entry import Blueprint
from harness.spec import EncoderChoice, Shapes
from harness.training.loop import Trainer
from harness.training.recipes.self_supervised import SelfMmRecipe, TetfnRecipe

WIDTH = 32  # of the text encoder
BERT = EncoderChoice(
    random={
        "vocab_size": 2240,
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
    }
)
NARROW: dict[str, Any] = {"dst_feature_dims": 10, "nheads": 2}


def small_features(folder: Path, like: str, setting: str) -> tuple[Path, Features]:
    lengths = {"text": 6, "audio": 6, "vision": 6} if setting == "aligned" else {"text": 6, "audio": 13, "vision": 9}
    definition = load_definition(
        {
            "name": "synthetic-parity",
            "synthetic": {
                "like": like,
                "samples": {"train": 70, "valid": 27, "test": 20},
                "lengths": lengths,
                "seed": 3,
            },
        }
    )
    file = folder / "features.pkl"
    write_pickle(generate(definition), file)
    return file, open_features(file, definition, "unaligned", folder / "cache")


class Paired(nn.Module):
    """TETFN as MMSA's trainer calls its models."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.Model = model

    def forward(self, text: torch.Tensor, audio: Any, vision: Any) -> Any:
        return self.Model(text, audio[0], vision[0])


def build(name: str, hyper: Mapping[str, Any], shapes: Shapes, column: str) -> nn.Module:
    """Seed, then build the encoder and the rest."""
    torch.manual_seed(1111)
    encoder = text.load(text.describe(BERT), None)
    return models.entry(name).build(Blueprint(hyper, shapes, "regression", column, "cpu", encoder))


@pytest.mark.parametrize(
    ("name", "column", "setting", "changes"),
    [
        ("Self-MM", "sims", "unaligned", {"update_epochs": 3}),
        ("Self-MM", "mosei", "aligned", {"excludeZero": False, "need_data_aligned": True}),
        ("TETFN", "sims", "unaligned", {"conv1d_kernel_size_a": 3, "early_stop": 2, **NARROW}),
        ("TETFN", "mosei", "aligned", {"update_epochs": 1, "early_stop": 2, **NARROW}),
    ],
)
def test_mmsa_trains_to_the_same_bits(
    name: str, column: str, setting: str, changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    file, features = small_features(tmp_path, column, setting)
    defaults = models.entry(name).defaults(column)
    assert defaults is not None
    quick = {"batch_size": 16, "early_stop": 3, "update_epochs": 2, "text_out": WIDTH, "learning_rate_bert": 1e-3}
    hyper = {**defaults, **quick, **changes}
    shapes = Shapes(widths={**features.shapes.widths, "text": WIDTH}, lengths=features.shapes.lengths)

    import MMSA.data_loader as loader

    theirs = build(name, hyper, shapes, column)
    args = mmsa.arguments("self_mm", Blueprint(hyper, shapes, "regression", column))
    args.update(featurePath=str(file), custom_feature=None, feature_T=None, feature_A=None, feature_V=None)
    args.update(model_save_path=str(tmp_path / "weights.pth"), KeyEval="Loss", cur_seed=1, train_samples=70)
    args.update(save_labels=False)
    module: Any = importlib.import_module("MMSA.trains.multiTask.SELF_MM")
    oracle: Any = module.SELF_MM(args)
    loaders = loader.MMDataLoader(args, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MMSA's evaluation of untrained models divides by zero
        oracle.do_train(theirs if name == "Self-MM" else Paired(theirs), loaders)
    drawn = torch.get_rng_state()

    ours = build(name, hyper, shapes, column)
    recipe = (TetfnRecipe if name == "TETFN" else SelfMmRecipe)(ours, hyper, "regression")
    batches = {
        split: Batches(features.splits[split], InputChoice.from_hyper(hyper), task="regression", batch_size=16)
        for split in ("train", "valid")
    }
    trainer = Trainer(ours, recipe, batches["train"], batches["valid"], max_epochs=100)
    while not trainer.stopped:
        trainer.one_epoch()

    assert trainer.epoch > 3, "labels have to move for several epochs"
    assert torch.equal(torch.get_rng_state(), drawn)
    for kind in ("fusion", "text", "audio", "vision"):
        assert torch.equal(recipe.labels[kind], oracle.label_map[kind]), kind
        assert torch.equal(recipe.features[kind], oracle.feature_map[kind]), kind
    moved = recipe.labels["audio"] - recipe.labels["fusion"]
    assert moved.abs().max() > 0.1
    saved = torch.load(tmp_path / "weights.pth")
    if name == "TETFN":
        saved = {key.removeprefix("Model."): tensor for key, tensor in saved.items()}
    for expected, got in ((theirs.state_dict(), ours.state_dict()), (saved, trainer.best_weights)):
        assert expected.keys() == got.keys()
        assert not [key for key, tensor in expected.items() if not torch.equal(tensor, got[key])]
