"""Recipes of ALMT and TMT: the schedule's values, TMT's losses against NumPy, and states that resume exactly."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from harness.data.batching import Batch
from harness.models import own
from harness.models.almt import ALMT
from harness.models.entry import Blueprint, Hyper, ModelEntry
from harness.models.tmt import TMT
from harness.spec import Shapes
from harness.training.recipes.scheduled import (
    AlmtRecipe,
    ScheduledRecipe,
    TmtRecipe,
    discrepancy,
    overlap,
    scheduled_rate,
)

Floats = NDArray[np.float64]
Pair = tuple[Floats, Floats]
Measure = Callable[[Floats, Floats], float]

SHAPES = Shapes(widths={"text": 6, "audio": 4, "vision": 3}, lengths={"text": 5, "audio": 7, "vision": 4})
SMALL: dict[str, dict[str, Any]] = {
    "ALMT": {"hidden_dim": 8, "token_count": 3, "num_heads": 2, "head_dim": 4, "mlp_dim": 8, "hyper_head_dim": 4},
    "TMT": {
        "hidden_dim": 8,
        "num_heads": 2,
        "head_dim": 4,
        "joint_mlp_dim": 8,
        "mutual_mlp_dim": 8,
        "mutual_positions": 8,
        "post_fusion_dim": 4,
    },
}


class Words(nn.Module):
    """Stands for a text encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.states = nn.Embedding(20, 6)
        self.unused = nn.Linear(6, 6)  # like BERT's pooler

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.states(text[:, 0].long())
        return states


def hyper_for(entry: ModelEntry, **changes: Any) -> dict[str, Any]:
    defaults = entry.defaults("mosei")
    assert defaults is not None
    return {**defaults, **SMALL[entry.name], **changes}


def almt(**changes: Any) -> AlmtRecipe:
    torch.manual_seed(0)
    hyper = hyper_for(own.ALMT, **changes)
    return AlmtRecipe(ALMT(Blueprint(hyper, SHAPES, "regression", "mosei", encoder=Words())), hyper, "regression")


def tmt(**changes: Any) -> TmtRecipe:
    torch.manual_seed(0)
    hyper = hyper_for(own.TMT, **changes)
    return TmtRecipe(TMT(Blueprint(hyper, SHAPES, "regression", "mosei")), hyper, "regression")


def batch(size: int, *, tokens: bool = False, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    ids, ready = torch.randint(0, 20, (size, 3, 5), generator=draw).float(), torch.randn(size, 5, 6, generator=draw)
    return Batch(
        text=ids if tokens else ready,
        audio=torch.randn(size, 7, 4, generator=draw),
        vision=torch.randn(size, 4, 3, generator=draw),
        labels={"M": torch.randn(size, 1, generator=draw)},
        index=np.arange(size),
        lengths={},
    )


# ------------------------------------------------------------------------------------------------ schedule


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(1, 0.0), (2, 5e-6), (11, 5e-5), (21, 1e-4), (22, 1e-4), (112, 5e-5), (200, 3.05e-8), (202, 0.0)],
)
def test_rates_are_the_reference_ones(epoch: int, rate: float) -> None:
    assert scheduled_rate(epoch, 1e-4, warm_up=20, epochs=200) == pytest.approx(rate, rel=2e-3, abs=1e-15)


def test_the_fall_is_torch_cosine() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=180)
    for epoch in range(22, 203):
        assert scheduled_rate(epoch, 1e-4, warm_up=20, epochs=200) == pytest.approx(
            optimizer.param_groups[0]["lr"], rel=1e-6, abs=1e-14
        )
        optimizer.step()
        schedule.step()


@given(st.integers(0, 30), st.integers(1, 60), st.floats(1e-6, 1.0))
def test_rates_rise_then_fall(warm_up: int, falling: int, base: float) -> None:
    rates = [
        scheduled_rate(e, base, warm_up=warm_up, epochs=warm_up + falling) for e in range(1, warm_up + falling + 1)
    ]
    assert rates[warm_up] == base == max(rates)
    assert all(a < b for a, b in pairwise(rates[: warm_up + 1]))
    assert all(a >= b > 0 for a, b in pairwise(rates[warm_up:]))
    assert warm_up == 0 or rates[0] == 0.0


@pytest.mark.parametrize("make", [almt, tmt])
def test_each_epoch_has_its_rate(make: Callable[[], ScheduledRecipe]) -> None:
    recipe = make()
    seen = []
    for epoch in (1, 11, 22, 112):
        recipe.start_epoch(epoch)
        seen.append(recipe.learning_rate)
        recipe.end_epoch(1.0)
    assert seen == pytest.approx([0.0, 5e-5, 1e-4, 5e-5], rel=1e-12)
    assert (recipe.warm_up, recipe.max_epochs, recipe.patience) == (20, 200, 32)


def test_the_first_epoch_learns_nothing() -> None:
    recipe = almt()
    before = {name: tensor.clone() for name, tensor in recipe.model.state_dict().items()}
    recipe.start_epoch(1)
    recipe.train_batch(batch(4, tokens=True))
    assert all(torch.equal(before[name], tensor) for name, tensor in recipe.model.state_dict().items())
    recipe.start_epoch(2)
    recipe.train_batch(batch(4, tokens=True))
    assert not torch.equal(before["head.weight"], recipe.model.get_parameter("head.weight"))


def test_schedules_can_be_shorter() -> None:
    recipe = tmt(warm_up_epochs=0, schedule_epochs=4, learning_rate=0.5)
    rates = []
    for epoch in range(1, 5):
        recipe.start_epoch(epoch)
        rates.append(recipe.learning_rate)
    assert rates == pytest.approx([0.5, 0.5, 0.25 * (1 + math.cos(math.pi / 4)), 0.25])
    assert (recipe.warm_up, recipe.max_epochs) == (0, 4)


# ------------------------------------------------------------------------------------------------ ALMT


def test_almt_trains_everything_in_one_group() -> None:
    recipe = almt()
    assert type(recipe.optimizer) is torch.optim.AdamW
    (group,) = recipe.optimizer.param_groups
    assert len(group["params"]) == len(list(recipe.model.parameters()))
    assert any(name.startswith("text_model.") for name, _ in recipe.model.named_parameters())
    assert (group["lr"], group["weight_decay"], group["betas"], group["eps"]) == (1e-4, 1e-4, (0.9, 0.999), 1e-8)


def test_almt_loss_is_the_mean_square() -> None:
    recipe, given_batch = almt(), batch(5, tokens=True)
    with torch.no_grad():
        outputs = recipe.forward(given_batch)
        expected = np.mean((outputs["M"].numpy() - given_batch.label.numpy()) ** 2)
        for loss in (recipe.loss(outputs, given_batch), recipe.evaluation_loss(outputs, given_batch)):
            assert loss.item() == pytest.approx(expected, rel=1e-6)


# ------------------------------------------------------------------------------------------------ TMT's losses


def rows(seed: int = 0, size: int = 6, width: int = 5) -> Pair:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(size, width)), 0.5 + 2.0 * draw.normal(size=(size, width))


def row_norms(x: Floats) -> Floats:
    centred = x - x.mean(axis=0)
    return np.array([math.sqrt(sum(value**2 for value in row)) for row in centred])


def overlap_in_numpy(p: Floats, q: Floats, norms: Pair | None = None) -> float:
    """Entry by entry, with the rows' lengths given or their own."""
    (size, width), (norms_p, norms_q) = p.shape, norms or (row_norms(p), row_norms(q))
    p, q = p - p.mean(axis=0), q - q.mean(axis=0)
    total = 0.0
    for i in range(width):
        for j in range(width):
            entry = sum(p[b, i] / (norms_p[b] + 1e-6) * q[b, j] / (norms_q[b] + 1e-6) for b in range(size))
            total += entry**2
    return float(total / width**2)


def mean_distance(p: Floats, q: Floats) -> float:
    stacked = np.vstack([p, q])
    pairs = [((a - b) ** 2).sum() for i, a in enumerate(stacked) for j, b in enumerate(stacked) if i != j]
    return float(np.mean(pairs))


def discrepancy_in_numpy(p: Floats, q: Floats, bandwidth: float | None = None) -> float:
    """Pair by pair, with the bandwidth given or their own."""
    narrow = (mean_distance(p, q) if bandwidth is None else bandwidth) / 4

    def kernel(a: Floats, b: Floats) -> float:
        return sum(math.exp(-((a - b) ** 2).sum() / (narrow * 2**i)) for i in range(5))

    size = len(p)
    terms = [
        kernel(p[j], p[k]) + kernel(q[j], q[k]) - kernel(p[j], q[k]) - kernel(q[j], p[k])
        for j in range(size)
        for k in range(size)
    ]
    return sum(terms) / size**2


def slopes(function: Measure, p: Floats, q: Floats) -> Pair:
    """Central differences by both arguments."""
    results = (np.zeros_like(p), np.zeros_like(q))
    for which, base in enumerate((p, q)):
        for at in np.ndindex(base.shape):
            values = []
            for step in (1e-6, -1e-6):
                moved = base.copy()
                moved[at] += step
                values.append(function(moved, q) if which == 0 else function(p, moved))
            results[which][at] = (values[0] - values[1]) / 2e-6
    return results


def gradients(measure: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], p: Floats, q: Floats) -> Pair:
    a, b = (torch.from_numpy(x).clone().requires_grad_() for x in (p, q))
    measure(a, b).backward()  # type: ignore[no-untyped-call]
    assert a.grad is not None
    assert b.grad is not None
    return a.grad.numpy(), b.grad.numpy()


@pytest.mark.parametrize("size", [2, 6])
def test_losses_are_the_written_out_ones(size: int) -> None:
    p, q = rows(size=size)
    tensors = torch.from_numpy(p), torch.from_numpy(q)
    assert overlap(*tensors).item() == pytest.approx(overlap_in_numpy(p, q), rel=1e-9)
    assert discrepancy(*tensors).item() == pytest.approx(discrepancy_in_numpy(p, q), rel=1e-9)


def test_no_gradient_flows_through_row_lengths() -> None:
    p, q = rows()
    norms = row_norms(p), row_norms(q)
    found = gradients(overlap, p, q)
    frozen = slopes(lambda a, b: overlap_in_numpy(a, b, norms), p, q)
    full = slopes(overlap_in_numpy, p, q)
    for gradient, expected, other in zip(found, frozen, full, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-8)
        assert np.abs(gradient - other).max() > 1e-3 * np.abs(gradient).max()


def test_no_gradient_flows_through_the_bandwidth() -> None:
    p, q = rows()
    bandwidth = mean_distance(p, q)
    found = gradients(discrepancy, p, q)
    frozen = slopes(lambda a, b: discrepancy_in_numpy(a, b, bandwidth), p, q)
    full = slopes(discrepancy_in_numpy, p, q)
    for gradient, expected, other in zip(found, frozen, full, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-8)
        assert np.abs(gradient - other).max() > 1e-3 * np.abs(gradient).max()


def test_rows_that_agree_cost_nothing_and_teach_nothing() -> None:
    same = np.ones((4, 5))
    for measure in (overlap, discrepancy):
        a, b = torch.from_numpy(same).float().requires_grad_(), torch.from_numpy(same).float().requires_grad_()
        value = measure(a, b)
        value.backward()  # type: ignore[no-untyped-call]
        assert value.item() == 0.0
        for tensor in (a, b):
            assert tensor.grad is not None
            assert not tensor.grad.any()


def three_parts(outputs: dict[str, Floats], label: Floats, hyper: Hyper) -> float:
    mean = {name: tensor.mean(axis=1) for name, tensor in outputs.items() if name not in ("M", "fusion")}
    i, (s_t, s_a, s_v) = mean["shared"], (mean[f"specific_{m}"] for m in ("text", "audio", "vision"))
    u_t, u_a, u_v = (mean[f"sequence_{m}"] for m in ("text", "audio", "vision"))
    shared = overlap_in_numpy(i, s_a) + overlap_in_numpy(i, s_v) + overlap_in_numpy(i, s_t)
    others = overlap_in_numpy(s_a, s_v) + overlap_in_numpy(s_v, s_t) + overlap_in_numpy(s_t, s_a)
    similar = discrepancy_in_numpy(u_a, s_a) + discrepancy_in_numpy(u_v, s_v) + discrepancy_in_numpy(u_t, s_t)
    error = outputs["M"] - label
    task = np.abs(error).mean() if hyper["task_loss"] == "l1" else (error**2).mean()
    return float(hyper["alpha"] * (shared / 3 + others / 3) + hyper["beta"] * similar / 3 + hyper["delta"] * task)


@pytest.mark.parametrize("task_loss", ["l1", "mse"])
@pytest.mark.parametrize("weights", [(0.01, 1.0, 10.0), (3.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.7, 0.3, 0.2)])
def test_tmt_loss_is_the_sum_of_three(task_loss: str, weights: tuple[float, float, float]) -> None:
    alpha, beta, delta = weights
    recipe, given_batch = tmt(alpha=alpha, beta=beta, delta=delta, task_loss=task_loss), batch(5)
    recipe.model.eval()
    with torch.no_grad():
        outputs = recipe.forward(given_batch)
        loss, judged = recipe.loss(outputs, given_batch), recipe.evaluation_loss(outputs, given_batch)
    arrays = {name: tensor.double().numpy() for name, tensor in outputs.items()}
    label = given_batch.label.double().numpy()
    assert loss.item() == pytest.approx(three_parts(arrays, label, recipe.hyper), rel=1e-4)
    only_task = {**recipe.hyper, "alpha": 0.0, "beta": 0.0, "delta": 1.0}
    assert judged.item() == pytest.approx(three_parts(arrays, label, only_task), rel=1e-5)


def test_tmt_losses_reach_both_sides() -> None:
    recipe = tmt(delta=0.0, alpha=0.0)
    outputs = recipe.forward(batch(5))
    for name in ("specific_audio", "sequence_audio", "specific_text", "sequence_text"):
        outputs[name].retain_grad()
    recipe.loss(outputs, batch(5)).backward()  # type: ignore[no-untyped-call]
    assert all(outputs[name].grad.any() for name in ("specific_audio", "sequence_audio", "specific_text"))


@pytest.mark.parametrize(("make", "tokens"), [(almt, True), (tmt, False)])
def test_a_last_batch_of_one_utterance_is_learned_from(make: Callable[[], ScheduledRecipe], tokens: bool) -> None:
    recipe = make()
    recipe.start_epoch(22)
    assert math.isfinite(recipe.train_batch(batch(1, tokens=tokens)))
    for parameter in recipe.model.parameters():
        assert parameter.isfinite().all()
        assert parameter.grad is None or parameter.grad.isfinite().all()


def test_tmt_trains_everything_by_adam_without_decay() -> None:
    recipe = tmt()
    assert type(recipe.optimizer) is torch.optim.Adam
    (group,) = recipe.optimizer.param_groups
    assert len(group["params"]) == len(list(recipe.model.parameters()))
    assert (group["lr"], group["weight_decay"]) == (1e-4, 0.0)


class Echo(nn.Module):
    """Keeps what it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[torch.Tensor, ...]] = []

    def forward(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen.append(inputs)
        return {}


@pytest.mark.parametrize("asked", [False, True])
def test_mixup_blends_all_modalities_alike_and_only_in_training(asked: bool) -> None:
    model, given_batch = Echo(), batch(6)
    recipe = TmtRecipe(model, hyper_for(own.TMT, mixup=asked), "regression")
    torch.manual_seed(4)
    recipe.forward(given_batch)
    model.eval()
    recipe.forward(given_batch)
    (mixed, plain), originals = model.seen, (given_batch.text, given_batch.audio, given_batch.vision)
    assert all(torch.equal(a, b) for a, b in zip(plain, originals, strict=True))
    if not asked:
        assert all(torch.equal(a, b) for a, b in zip(mixed, originals, strict=True))
        return
    # Find the partner and the share of each utterance by least squares; all modalities and utterances must agree.
    shares, partners = set(), []
    flat_mixed, flat = (torch.cat([x.flatten(1) for x in xs], dim=1).double() for xs in (mixed, originals))
    for i in range(6):
        fits = []
        for j in (j for j in range(6) if j != i):
            way = flat[i] - flat[j]
            share = (way @ (flat_mixed[i] - flat[j]) / (way @ way)).item()
            fits.append(((flat[j] + share * way - flat_mixed[i]).norm().item(), j, share))
        distance, partner, share = min(fits)
        assert distance < 1e-4
        if share < 0.999:  # an utterance may be its own partner
            shares.add(round(share, 4))
            partners.append(partner)
    assert len(shares) == 1
    assert 0.0 < shares.pop() < 1.0
    assert len(set(partners)) == len(partners) >= 2


# ------------------------------------------------------------------------------------------------ states


@pytest.mark.parametrize(("make", "tokens"), [(almt, True), (tmt, False)])
def test_going_on_from_a_state_equals_not_stopping(make: Callable[[], ScheduledRecipe], tokens: bool) -> None:
    def learn(recipe: ScheduledRecipe, epoch: int) -> list[float]:
        torch.manual_seed(epoch)
        recipe.model.train()
        recipe.start_epoch(epoch)
        losses = [recipe.train_batch(batch(4, tokens=tokens, seed=10 * epoch + i)) for i in range(2)]
        recipe.end_epoch(losses[-1])
        return losses

    straight = make()
    learn(straight, 20)
    kept = io.BytesIO()
    torch.save({"model": straight.model.state_dict(), "recipe": straight.state_dict()}, kept)
    losses = learn(straight, 21)

    resumed = make()
    kept.seek(0)
    state = torch.load(kept, weights_only=True)
    resumed.model.load_state_dict(state["model"])
    resumed.load_state_dict(state["recipe"])
    assert learn(resumed, 21) == losses
    assert resumed.learning_rate == straight.learning_rate == 1e-4
    for name, tensor in straight.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name


@pytest.mark.parametrize(("make", "tokens"), [(almt, True), (tmt, False)])
def test_a_batch_can_be_learned_by_heart(make: Callable[..., ScheduledRecipe], tokens: bool) -> None:
    dropouts = {} if tokens else {"input_dropout": 0.0, "embedding_dropout": 0.0, "block_dropout": 0.0}
    recipe, given_batch = make(warm_up_epochs=0, learning_rate=3e-3, **dropouts), batch(6, tokens=tokens)
    recipe.start_epoch(1)
    for _ in range(150):
        recipe.train_batch(given_batch)
    recipe.model.eval()
    with torch.no_grad():
        error = recipe.forward(given_batch)["M"] - given_batch.label
    assert error.abs().max().item() < 0.2
