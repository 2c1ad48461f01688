"""Original runs against MMSA's own trainers: predictions and printed metrics equal, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness import models
from harness.data import generate, load_definition, locate, open_features, write_pickle
from harness.models import text
from harness.plan import Selection, load_datasets, make_plan, narrow
from harness.spec import EncoderChoice, RunSpec, Suite, Task
from harness.store import RunStore
from harness.training.job import Job
from harness.training.run import execute
from tests.oracle import KEYS, run_mmsa
from tests.planned import SMALL_HYPER

NAMES = {
    "Acc-2/has-0": "Has0_acc_2",
    "Acc-2/non-0": "Non0_acc_2",
    "F1/has-0": "Has0_F1_score",
    "F1/non-0": "Non0_F1_score",
    "Acc-5": "Mult_acc_5",
    "Acc-7": "Mult_acc_7",
    "Acc-2": "Mult_acc_2",
    "F1": "F1_score",
    "MAE": "MAE",
    "Corr": "Corr",
    "F1-3": "F1_score_3",
}
# Small networks where a default would make a test of minutes; MulT steps every other batch.
HYPER: dict[str, dict[str, Any]] = {
    **{section: dict(values) for section, values in SMALL_HYPER.items()},
    "MulT": {"update_epochs": 2, "dst_feature_dim_nheads": [20, 4], "nlevels": 2, "patience": 1},
}
MULTI_TASK = ("MLF-DNN", "MTFN", "MLMF")
BOTH = [model for model in sorted(KEYS) if models.entry(model).tasks == ("regression", "classification")]


@dataclass(frozen=True)
class Place:
    """One small feature file, as the two sides read it."""

    definition: Mapping[str, Any]
    file: Path
    features: Path
    sha256: str


def make_place(folder: Path, like: str) -> Place:
    """Write a small synthetic set with infinities in its audio, and convert it."""
    definition: dict[str, Any] = {
        "name": "synthetic-parity",
        "synthetic": {
            "like": like,
            "samples": {"train": 70, "valid": 27, "test": 41},
            "lengths": {"text": 6, "audio": 13, "vision": 9},
            "seed": 3,
        },
    }
    spec = load_definition(definition)
    data = generate(spec)
    data["train"]["audio"][0, 0, 0] = -np.inf
    file = folder / "features.pkl"
    write_pickle(data, file)
    features = open_features(file, spec, "unaligned", folder / "cache")
    return Place(definition, file, features.folder, features.sha256)


@pytest.fixture(scope="module")
def sims(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_place(tmp_path_factory.mktemp("sims"), "sims")


@pytest.fixture(scope="module")
def mosei(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_place(tmp_path_factory.mktemp("mosei"), "mosei")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random BERT with a tokenizer, which MMSA loads and never uses. MISA needs a width of 768."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(5)
    settings: dict[str, Any] = {"vocab_size": 2240, "num_hidden_layers": 1, "intermediate_size": 64}
    BertModel(BertConfig(**settings)).save_pretrained(folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{i}" for i in range(2235))]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return folder


def spec_of(place: Place, model: str, task: Task, seed: int, encoder: Path) -> RunSpec:
    suite = Suite(
        name="parity",
        datasets=(dict(place.definition),),
        tasks=(task,),
        models=(model,),
        variants=("original",),
        seeds=(seed,),
        max_epochs=500,
        hyper={k: v for k, v in HYPER.items() if k in ("*", model)},
        text_encoder={"*": EncoderChoice(folder=str(encoder))},
    )
    plan = make_plan(
        suite,
        load_datasets(suite, Path()),
        lambda _dataset, _setting: place.sha256,
        lambda choice: text.locate(choice, download=False).spec,
    )
    return plan.runs[0]


def check_parity(
    place: Place, spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: Path | None = None
) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    encoder = encoder if spec.text_encoder else None
    printed, expected, _ = run_mmsa(spec, place.file, tmp_path / "weights.pth", encoder)
    epochs: list[dict[str, Any]] = []
    execute(Job(spec, place.features, tmp_path / "runs", encoder=encoder), epochs.append)
    record = RunStore(tmp_path / "runs").record(spec)
    assert record is not None
    frame = record.predictions()
    test = frame[frame["split"] == "test"]
    columns = ["pred"] if spec.task == "regression" else ["logit_0", "logit_1", "logit_2"]
    ours = {row[0]: np.array(row[1:], dtype=np.float32) for row in test[["id", *columns]].itertuples(index=False)}
    assert ours.keys() == expected.keys()
    different = [key for key, value in expected.items() if not np.array_equal(value, ours[key])]
    assert not different, f"{len(different)} of {len(expected)} predictions differ"
    assert len({tuple(value) for value in ours.values()}) > len(ours) // 2, "constant predictions prove nothing"
    assert len(epochs) == record.data["epochs"] > spec.hyper["early_stop"]
    names = NAMES | ({"Acc-3": "Acc_3"} if spec.task == "classification" else {"Acc-3": "Mult_acc_3"})
    compared = {ours: theirs for ours, theirs in names.items() if theirs in printed}
    assert len(compared) >= 6
    for name, theirs in compared.items():
        assert record.data["metrics"][name]["mmsa"] == pytest.approx(float(printed[theirs]), abs=0, nan_ok=True), name


@pytest.mark.parametrize("model", [model for model in sorted(KEYS) if model not in MULTI_TASK])
def test_regression_on_sims_layout(
    model: str, sims: Place, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_parity(sims, spec_of(sims, model, "regression", 1111, bert), tmp_path, monkeypatch, bert)


@pytest.mark.parametrize("model", [model for model in sorted(KEYS) if model not in MULTI_TASK])
def test_regression_on_mosei_layout(
    model: str, mosei: Place, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_parity(mosei, spec_of(mosei, model, "regression", 1112, bert), tmp_path, monkeypatch, bert)


@pytest.mark.parametrize("model", [*BOTH, *MULTI_TASK])
def test_classification(model: str, sims: Place, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_parity(sims, spec_of(sims, model, "classification", 1113, bert), tmp_path, monkeypatch, bert)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["LF-DNN", "LMF", "TFN"])
def test_on_the_real_set(model: str, mosi_data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real CMU-MOSI utterances, MMSA's default hyper-parameters, MMSA's own early stopping."""
    definition = load_definition("mosi-utterance")
    file = locate(definition, "unaligned", mosi_data_dir, tmp_path / "cache")
    features = open_features(file, definition, "unaligned", tmp_path / "cache")
    place = Place({"base": "mosi-utterance"}, file, features.folder, features.sha256)
    suite = Suite(name="real", datasets=("mosi-utterance",), models=(model,), variants=("original",), max_epochs=500)
    suite, datasets = narrow(suite, load_datasets(suite, Path()), Selection(seeds=(1111,)))
    spec = make_plan(suite, datasets, lambda _dataset, _setting: place.sha256).runs[0]
    check_parity(place, spec, tmp_path, monkeypatch)


def test_every_registered_model_of_mmsa_has_an_oracle() -> None:
    assert set(models.names()) - {"TETFN", "ALMT", "TMT"} == set(KEYS)
