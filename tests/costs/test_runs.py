"""The costs of runs: encoders counted apart, linear in the batch, and moved by hyper-parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from harness import models
from harness.costs import Costs, RunCounter, count
from harness.costs.runs import full_batch
from harness.models import finegrained, text
from harness.models.finegrained import set_batched
from harness.spec import RunSpec
from harness.training.recipes import make_recipe
from tests.costs.tools import by_torch, small_spec

WITH_ENCODER = tuple(name for name in models.names() if models.entry(name).subnets["text"] == "BERT" and name != "TMT")
NORMS = ("layer_norm", "batch_norm")


def whole(spec: RunSpec, size: int) -> tuple[Any, Any]:
    """Build a run's model with its text encoder in it, in eval mode, and a batch for its recipe."""
    encoder = text.load(spec.text_encoder, None) if spec.text_encoder else None
    model = models.build(spec, encoder=encoder).eval()
    set_batched(model, False)
    return model, make_recipe(models.entry(spec.model).recipe, model, spec.hyper, spec.task)


def numbers(costs: Costs) -> tuple[Any, ...]:
    traced = costs.traced
    return (costs.trainable, costs.registered, costs.paper, traced.by_operation, traced.uncounted, set(traced.dropped))


@pytest.mark.parametrize("variant", ["original", "fg"])
@pytest.mark.parametrize("name", models.names())
def test_costs_are_linear_in_the_batch(name: str, variant: str) -> None:
    """One utterance, multiplied, is what a batch costs; for models that take no single one, a share of two is."""
    counter, spec = RunCounter(), small_spec(name, variant)
    assert counter.count_batch(spec, 3).shared_by(3) == counter.count(spec)


@pytest.mark.parametrize("variant", ["original", "fg"])
@pytest.mark.parametrize("name", WITH_ENCODER)
def test_stand_in_and_encoder_make_the_whole_model(name: str, variant: str) -> None:
    spec = small_spec(name, variant)
    model, recipe = whole(spec, 1)
    batch = full_batch(spec, 1)

    def call(tokens: torch.Tensor, audio: torch.Tensor, vision: torch.Tensor) -> Any:
        return recipe.forward(replace(batch, text=tokens, audio=audio, vision=vision))

    direct = count(model, call, batch.text, batch.audio, batch.vision)
    apart = RunCounter().count(spec)
    assert numbers(apart) == numbers(direct)
    assert any(module.endswith("pooler.dense") for module in direct.traced.dropped)


@pytest.mark.parametrize("variant", ["original", "fg"])
@pytest.mark.parametrize("name", [name for name in models.names() if name != "MISA"])
def test_products_of_every_model_are_what_torch_counts(name: str, variant: str) -> None:
    """With the encoder in place; torch also counts what the trace drops, in MISA whole sub-networks."""
    spec = small_spec(name, variant)
    model, recipe = whole(spec, 2)
    costs = RunCounter().count_batch(spec, 2)
    products = sum(macs for operation, macs in costs.traced.by_operation.items() if operation not in NORMS)
    dropped = 2 * spec.text_encoder.width**2 if spec.text_encoder else 0  # the pooler
    if (name, variant) == ("Graph-MFN", "fg"):  # the last cell states, which nobody reads any more
        dropped = 2 * sum(4 * n * h * h + 2 * n * n * h for n, h in ((3, 32), (6, 256)))
    model.requires_grad_(False)  # what torch's counter hangs on gradients fails without a graph
    assert by_torch(lambda: recipe.forward(full_batch(spec, 2))) == products + dropped


def test_an_encoder_is_counted_once_for_each_length(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    load = text.load

    def watched(*args: Any, **kwargs: Any) -> Any:
        loaded.append(args)
        return load(*args, **kwargs)

    monkeypatch.setattr(text, "load", watched)
    counter = RunCounter()
    for name in ("ALMT", "Self-MM"):
        for variant in ("original", "fg"):
            counter.count(small_spec(name, variant))
    assert len(loaded) == 1
    counter.count_batch(small_spec("ALMT"), 2)
    assert len(loaded) == 2


def test_a_run_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = RunCounter()
    first = counter.count(small_spec("LF-DNN"))
    monkeypatch.setattr(RunCounter, "count_batch", None)
    assert counter.count(small_spec("LF-DNN")) is first


def test_groups_are_counted_as_the_method_is_defined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that compute all groups at once would show other products, and modules that thop never sees run."""
    spec = small_spec("TMT", "fg")
    plain = RunCounter().count(spec)
    monkeypatch.setattr("harness.costs.runs.set_batched", lambda model, flag: finegrained.set_batched(model, True))
    batched = RunCounter().count(spec)
    assert batched.registered == plain.registered
    assert batched.paper.params < plain.paper.params


def test_hyper_parameters_move_the_figures() -> None:
    counter = RunCounter()
    base = counter.count(small_spec("MulT"))
    wider = counter.count(small_spec("MulT", hyper={"MulT": {"dst_feature_dim_nheads": [60, 10]}}))
    assert wider.trainable > base.trainable
    assert wider.paper.macs > base.paper.macs
    assert wider.traced.macs > base.traced.macs


def test_the_fine_grained_wiring_moves_the_figures() -> None:
    """A set of W_Q, W_K, W_V for each group, as the equations have it, in place of a shared one."""
    counter = RunCounter()
    shared = counter.count(small_spec("LF-DNN", "fg"))
    per_head = counter.count(small_spec("LF-DNN", "fg", finegrained={"qkv": "per_head"}))
    _, audio, vision = small_spec("LF-DNN").hyper["hidden_dims"]
    more = 3 * (3 - 1) * audio**2 + 3 * (6 - 1) * vision**2
    assert per_head.trainable - shared.trainable == more
    assert per_head.paper.macs == shared.paper.macs


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        RunCounter().count(small_spec("LF-DNN"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "text_shape", "audio_shape"),
    [("LF-DNN", (2, 8, 768), (2, 1, 33)), ("MulT", (2, 8, 768), (2, 12, 33)), ("ALMT", (2, 3, 8), (2, 12, 33))],
)
def test_a_batch_has_the_shapes_of_the_data(
    name: str, text_shape: tuple[int, ...], audio_shape: tuple[int, ...]
) -> None:
    batch = full_batch(small_spec(name), 2)
    assert (batch.text.shape, batch.audio.shape) == (text_shape, audio_shape)
    assert batch.lengths["vision"].tolist() == [10, 10]
    if name == "ALMT":
        assert batch.text[:, 1].min() == 1.0
