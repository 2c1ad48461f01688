"""The self-supervised recipe: a brute-force rewrite of the labels, resuming, refusals."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from harness.data.batching import Batch, Batches
from harness.data.cache import Split
from harness.data.inputs import InputChoice
from harness.errors import RunError
from harness.training.loop import Trainer
from harness.training.recipes.self_supervised import SelfMmRecipe, SelfSupervisedRecipe, TetfnRecipe

KINDS = {"fusion": "M", "text": "T", "audio": "A", "vision": "V"}

# ---------------------------------------------------------------------------------------------- a model to look through

TOY: dict[str, Any] = {
    "need_data_aligned": True,
    "update_epochs": 2,
    "early_stop": 8,
    "excludeZero": True,
    "H": 1.0,
    "post_fusion_dim": 5,
    "post_text_dim": 4,
    "post_audio_dim": 3,
    "post_video_dim": 2,
    **{f"learning_rate_{part}": 0.01 * (i + 1) for i, part in enumerate(("bert", "audio", "video", "other"))},
    **{f"weight_decay_{part}": 0.001 * (i + 1) for i, part in enumerate(("bert", "audio", "video", "other"))},
}


class TextModel(nn.Module):
    """Named like a BERT where it matters."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3, 4)
        self.LayerNorm = nn.LayerNorm(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.LayerNorm(self.dense(x)).tanh()
        return states


class Toy(nn.Module):
    """The least that the recipe works on; keeps what it was called with and what it answered."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.text_model = TextModel()
        self.audio_model = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
        self.video_model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
        self.fusion = nn.Linear(9, 5)
        self.heads = nn.ModuleDict(
            {"M": nn.Linear(5, 1), "T": nn.Linear(4, 1), "A": nn.Linear(3, 1), "V": nn.Linear(2, 1)}
        )
        self.calls: list[tuple[Any, ...]] = []
        self.answers: list[dict[str, NDArray[np.float64]]] = []

    def forward(self, text: torch.Tensor, audio: Any, vision: Any) -> dict[str, torch.Tensor]:
        self.calls.append((text, audio, vision))
        sound, sight = (x[0] if isinstance(x, tuple) else x for x in (audio, vision))
        t, a, v = self.text_model(text[:, 0]), self.audio_model(sound[:, 0]), self.video_model(sight[:, 0])
        f = self.fusion(torch.cat([t, a, v], dim=1)).tanh()
        outputs = {f"Feature_{k}": x for k, x in zip("ftav", (f, t, a, v), strict=True)}
        outputs |= {k: self.heads[k](x) for k, x in zip("MTAV", (f, t, a, v), strict=True)}
        self.answers.append({k: x.detach().double().numpy().copy() for k, x in outputs.items()})
        return outputs


def toy_split(scores: list[float] | None = None, samples: int = 23) -> Split:
    rng = np.random.default_rng(8)
    if scores is None:
        scores = list(np.round(rng.uniform(-1, 1, samples), 1))
        scores[3] = scores[7] = 0.0
    n = len(scores)
    arrays: dict[str, NDArray[Any]] = {
        "text": rng.normal(size=(n, 1, 3)).astype(np.float32),
        "audio": rng.normal(size=(n, 4, 2)).astype(np.float32),
        "vision": rng.normal(size=(n, 4, 2)).astype(np.float32),
        "audio_lengths": rng.integers(1, 5, n),
        "vision_lengths": rng.integers(1, 5, n),
    }
    ids = tuple(f"u{i}" for i in range(n))
    return Split("train", ids, ids, arrays, {"regression": np.array(scores, dtype=np.float32)})


def toy_batches(split: Split, size: int = 5) -> Batches:
    return Batches(split, InputChoice(), task="regression", batch_size=size)


def toy(kind: type[SelfSupervisedRecipe] = TetfnRecipe, **changes: Any) -> SelfSupervisedRecipe:
    return kind(Toy(), {**TOY, **changes}, "regression")


def train(recipe: SelfSupervisedRecipe, batches: Batches, epochs: int) -> list[list[tuple[Batch, float]]]:
    """Train and return every batch with its loss."""
    recipe.prepare(batches)
    recipe.model.train()
    seen = []
    for epoch in range(1, epochs + 1):
        recipe.start_epoch(epoch)
        seen.append([(batch, recipe.train_batch(batch)) for batch in batches])
    return seen


class BruteForce:
    """Labels, features and losses sample by sample in double precision, centres anew after every batch."""

    def __init__(self, scores: NDArray[np.float32], bound: float, exclude_zero: bool) -> None:
        self.bound, self.exclude_zero = bound, exclude_zero
        self.labels = {kind: [float(y) for y in scores] for kind in KINDS}
        self.features: dict[str, list[NDArray[np.float64]]] = {
            kind: [np.zeros(TOY[f"post_{'video' if kind == 'vision' else kind}_dim"]) for _ in scores] for kind in KINDS
        }
        self.centres: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def batch(self, answers: Mapping[str, NDArray[np.float64]], index: NDArray[np.int64], epoch: int) -> float:
        loss = self._loss(answers, index)
        new = {kind: [answers[f"Feature_{kind[0]}"][row] for row in range(len(index))] for kind in KINDS}
        if epoch >= 2:
            for row, k in enumerate(index):
                delta_f = self._delta("fusion", new["fusion"][row])
                for kind in ("text", "audio", "vision"):
                    self._move(kind, int(k), self._delta(kind, new[kind][row]), delta_f, epoch)
        for row, k in enumerate(index):
            for kind in KINDS:
                self.features[kind][k] = new[kind][row]
        for kind in KINDS:
            positive = [f for f, y in zip(self.features[kind], self.labels[kind], strict=True) if self._positive(y)]
            negative = [f for f, y in zip(self.features[kind], self.labels[kind], strict=True) if y < 0]
            self.centres[kind] = np.mean(positive, axis=0), np.mean(negative, axis=0)
        return loss

    def _positive(self, label: float) -> bool:
        return label > 0 or (label == 0 and not self.exclude_zero)

    def _loss(self, answers: Mapping[str, NDArray[np.float64]], index: NDArray[np.int64]) -> float:
        total = 0.0
        for row, k in enumerate(index):
            y_f = self.labels["fusion"][k]
            total += abs(answers["M"][row, 0] - y_f)
            for kind in ("text", "audio", "vision"):
                y = self.labels[kind][k]
                total += np.tanh(abs(y - y_f)) * abs(answers[KINDS[kind]][row, 0] - y)
        return total / len(index)

    def _delta(self, kind: str, feature: NDArray[np.float64]) -> float:
        to_positive, to_negative = (float(np.sqrt(np.sum((feature - c) ** 2))) for c in self.centres[kind])
        return (to_negative - to_positive) / (to_positive + 1e-8)

    def _move(self, kind: str, k: int, delta: float, delta_f: float, n: int) -> None:
        y_f = self.labels["fusion"][k]
        new = delta / (delta_f + 1e-8) * y_f / 2 + (y_f + delta - delta_f) / 2
        new = min(max(new, -self.bound), self.bound)
        self.labels[kind][k] = (n - 1) / (n + 1) * self.labels[kind][k] + 2 / (n + 1) * new


@pytest.mark.parametrize("exclude_zero", [True, False])
@pytest.mark.parametrize("bound", [0.63, 3.0])  # no multiple of a score: labels must not end at 0 but for rounding
def test_labels_are_the_brute_force_ones(exclude_zero: bool, bound: float) -> None:
    split = toy_split()
    recipe = toy(excludeZero=exclude_zero, H=bound)
    torch.manual_seed(1)
    epochs = train(recipe, toy_batches(split), 4)
    brute = BruteForce(split.labels["regression"], bound, exclude_zero)
    assert isinstance(recipe.model, Toy)
    answers = iter(recipe.model.answers)
    for epoch, batches in enumerate(epochs, start=1):
        for batch, loss in batches:
            assert loss == pytest.approx(brute.batch(next(answers), batch.index, epoch), rel=1e-3, abs=1e-5)
    for kind in KINDS:
        np.testing.assert_allclose(recipe.labels[kind].numpy(), brute.labels[kind], rtol=2e-3, atol=2e-4)
        np.testing.assert_allclose(recipe.features[kind].numpy(), np.stack(brute.features[kind]), rtol=1e-6)
    assert np.array_equal(recipe.labels["fusion"].numpy(), split.labels["regression"])
    for kind in ("text", "audio", "vision"):
        moved = np.abs(recipe.labels[kind].numpy() - split.labels["regression"])
        assert np.median(moved) > 0.05
        assert np.abs(recipe.labels[kind].numpy()).max() <= max(bound, 1.0)


def test_nothing_moves_in_the_first_epoch() -> None:
    split = toy_split()
    recipe = toy()
    batches = toy_batches(split)
    ((*_, last),) = train(recipe, batches, 1)
    for kind in KINDS:
        assert np.array_equal(recipe.labels[kind].numpy(), split.labels["regression"])
        assert recipe.features[kind].any(dim=1).all()
    recipe.model.zero_grad()
    recipe.loss(recipe.forward(last[0]), last[0]).backward()  # type: ignore[no-untyped-call]
    idle = {name for name, p in recipe.model.named_parameters() if p.grad is not None and not p.grad.any()}
    assert {f"heads.{letter}.weight" for letter in "TAV"} <= idle
    assert "heads.M.weight" not in idle


def test_adam_has_the_five_groups_of_the_reference() -> None:
    recipe = toy()
    names = {id(p): name for name, p in recipe.model.named_parameters()}
    groups = [({names[id(p)] for p in g["params"]}, g["lr"], g["weight_decay"]) for g in recipe.optimizer.param_groups]
    assert type(recipe.optimizer) is torch.optim.Adam
    assert groups == [
        ({"text_model.dense.weight"}, 0.01, 0.001),
        ({"text_model.dense.bias", "text_model.LayerNorm.weight", "text_model.LayerNorm.bias"}, 0.01, 0.0),
        ({"audio_model.0.weight", "audio_model.0.bias"}, 0.02, 0.002),
        ({"video_model.0.weight", "video_model.0.bias"}, 0.03, 0.003),
        (
            {"fusion.weight", "fusion.bias"} | {f"heads.{m}.{kind}" for m in "MTAV" for kind in ("weight", "bias")},
            0.04,
            0.004,
        ),
    ]
    assert recipe.patience == 8
    assert recipe.learning_rate == 0.01


def test_gradients_of_an_unfinished_sum_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = toy(update_epochs=3)
    done: list[str] = []
    monkeypatch.setattr(recipe.optimizer, "step", lambda: done.append("step"))
    monkeypatch.setattr(recipe.optimizer, "zero_grad", lambda: done.append("clear"))
    train(recipe, toy_batches(toy_split()), 2)  # five batches an epoch
    assert done == ["clear", "step", "clear"] * 2


def test_gradients_are_summed_not_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    split = toy_split(samples=10)
    recipe = toy(update_epochs=2)
    recipe.prepare(toy_batches(split))
    batches = list(toy_batches(split))

    def gradients() -> dict[str, torch.Tensor]:
        return {n: p.grad.clone() for n, p in recipe.model.named_parameters() if p.grad is not None}

    separate = []
    for batch in batches:
        recipe.model.zero_grad()
        recipe.loss(recipe.forward(batch), batch).backward()  # type: ignore[no-untyped-call]
        separate.append(gradients())
    stepped: list[dict[str, torch.Tensor]] = []
    monkeypatch.setattr(recipe.optimizer, "step", lambda: stepped.append(gradients()))
    recipe.start_epoch(1)
    for batch in batches:
        recipe.train_batch(batch)
    (summed,) = stepped
    for name, gradient in summed.items():
        torch.testing.assert_close(gradient, separate[0][name] + separate[1][name])


def test_epochs_are_compared_by_the_multimodal_loss() -> None:
    recipe = toy()
    batches = toy_batches(toy_split())
    train(recipe, batches, 2)
    batch = next(iter(batches))
    outputs = recipe.forward(batch)
    expected = torch.mean(torch.abs(outputs["M"].view(-1) - batch.label.view(-1)))
    assert torch.equal(recipe.evaluation_loss(outputs, batch), expected)


def test_preparing_draws_what_a_whole_pass_draws() -> None:
    batches = toy_batches(toy_split())
    torch.manual_seed(2)
    toy_state = torch.get_rng_state()
    for _batch in batches:
        pass
    after = torch.get_rng_state()
    recipe = toy()
    torch.set_rng_state(toy_state)
    recipe.prepare(batches)
    assert torch.equal(torch.get_rng_state(), after)
    assert not torch.equal(toy_state, after)


def test_how_models_are_called() -> None:
    batch = next(iter(toy_batches(toy_split())))
    for kind, aligned in ((SelfMmRecipe, True), (SelfMmRecipe, False), (TetfnRecipe, False)):
        recipe = toy(kind, need_data_aligned=aligned)
        recipe.forward(batch)
        assert isinstance(recipe.model, Toy)
        ((text, audio, vision),) = recipe.model.calls
        assert text is batch.text
        if kind is TetfnRecipe:
            assert (audio, vision) == (batch.audio, batch.vision)
        else:
            assert (audio[0], vision[0]) == (batch.audio, batch.vision)
            lengths = (0, 0) if aligned else (batch.lengths["audio"], batch.lengths["vision"])
            assert audio[1] is lengths[0]
            assert vision[1] is lengths[1]


@pytest.mark.parametrize(("sign", "missing"), [(1.0, "negative"), (-1.0, "positive")])
def test_labels_of_one_sign_are_refused_at_once(sign: float, missing: str) -> None:
    recipe = toy()
    with pytest.raises(RunError, match=f"not one of 4 .* has a {missing} fusion label") as caught:
        recipe.prepare(toy_batches(toy_split([sign * 0.2, sign, 0.0, sign * 0.4])))
    assert "epoch 1" in caught.value.where
    assert caught.value.hint


def test_zeros_may_count_as_positive() -> None:
    split = toy_split([0.0, -1.0, -0.2, 0.0])
    with pytest.raises(RunError):
        toy().prepare(toy_batches(split))
    recipe = toy(excludeZero=False)
    train(recipe, toy_batches(split, 2), 3)
    assert all(torch.isfinite(labels).all() for labels in recipe.labels.values())


def test_a_modality_whose_labels_lose_a_sign_is_an_error_not_a_nan() -> None:
    recipe = toy()
    batches = toy_batches(toy_split())
    train(recipe, batches, 1)
    recipe.labels["audio"].abs_()
    recipe.start_epoch(2)
    with pytest.raises(RunError, match="has a negative audio label") as caught:
        recipe.train_batch(next(iter(batches)))
    assert "epoch 2" in caught.value.where


def test_resuming_equals_not_stopping() -> None:
    batches = toy_batches(toy_split())

    def fresh() -> Trainer:
        recipe = toy()
        return Trainer(recipe.model, recipe, batches, batches, max_epochs=9)

    def state_of(trainer: Trainer) -> dict[str, torch.Tensor]:
        assert isinstance(trainer.recipe, SelfSupervisedRecipe)
        labels = {f"label {k}": v for k, v in trainer.recipe.labels.items()}
        return {**trainer.model.state_dict(), **labels, **trainer.recipe.features}

    straight = fresh()
    torch.manual_seed(6)
    for _ in range(5):
        straight.one_epoch()
    for stop in (1, 3):
        stopped = fresh()
        torch.manual_seed(6)
        for _ in range(stop):
            stopped.one_epoch()
        kept = io.BytesIO()
        torch.save(stopped.state_dict(), kept)
        kept.seek(0)
        stopped.one_epoch()  # what happens after the state was taken must not leak into it
        resumed = fresh()
        resumed.load_state_dict(torch.load(kept, weights_only=True))
        while resumed.epoch < 5:
            resumed.one_epoch()
        expected, got = state_of(straight), state_of(resumed)
        assert [(e.train_loss, e.valid_loss) for e in resumed.history] == [
            (e.train_loss, e.valid_loss) for e in straight.history
        ]
        assert expected.keys() == got.keys()
        assert all(torch.equal(expected[name], got[name]) for name in expected)
