"""TMT: published counts, an independent functional rewrite of its forward pass, and what is trained."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from harness import models
from harness.errors import InputError
from harness.models import own
from harness.models.entry import Blueprint
from harness.models.tmt import TMT
from harness.spec import Shapes
from tests.models.counts import (
    ALIGNED,
    SIMS,
    Lengths,
    blueprint_for,
    leaf_parameters,
    meta_inputs,
    multiplications,
    on_meta,
    shapes_of,
    split,
    trainable,
)
from tests.models.rewrites import block, linear, shake

SMALL_SHAPES = Shapes(widths={"text": 11, "audio": 7, "vision": 5}, lengths={"text": 6, "audio": 9, "vision": 8})
SMALL: dict[str, Any] = {
    "hidden_dim": 12,
    "num_heads": 2,
    "head_dim": 5,
    "joint_mlp_dim": 14,
    "mutual_mlp_dim": 9,
    "mutual_positions": 10,
    "post_fusion_dim": 8,
}
HEADS = 2


def small(**changes: Any) -> TMT:
    torch.manual_seed(0)
    return TMT(blueprint_for(own.TMT, "mosei", SMALL_SHAPES, **{**SMALL, **changes}))


def inputs(batch: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    text, audio, vision = (
        torch.randn(batch, n, d, generator=generator, dtype=torch.float64) for n, d in ((6, 11), (9, 7), (8, 5))
    )
    return text, audio, vision


# ------------------------------------------------------------------------------------------------ published counts


@pytest.mark.parametrize(
    ("dataset", "lengths", "params", "total"),
    [("mosei", ALIGNED, 4_470_017, 4_668_161), ("sims", SIMS, 4_632_065, 4_918_273)],
)
def test_parameters_are_the_published_ones(dataset: str, lengths: Lengths, params: int, total: int) -> None:
    model = on_meta(own.TMT, dataset, lengths)
    assert leaf_parameters(model) == params
    assert trainable(model) == total


@pytest.mark.parametrize(
    ("dataset", "lengths", "rows"),
    [("mosei", ALIGNED, (19_200, 9_216, 1_623_552)), ("sims", SIMS, (8_704, 181_760, 1_711_616))],
)
def test_parameters_of_each_part(dataset: str, lengths: Lengths, rows: tuple[int, int, int]) -> None:
    audio, vision, joint = rows
    model = on_meta(own.TMT, dataset, lengths)
    assert {name: (leaf_parameters(part), trainable(part)) for name, part in model.named_children()} == {
        "input_dropout": (0, 0),
        "project_vision": (vision, vision),
        "project_audio": (audio, audio),
        "project_text": (196_864, 196_864),
        "joint_encoder": (1_579_008, joint),
        "specific_reads_shared": (1_316_352, 1_393_152),
        "shared_reads_specific": (1_316_352, 1_393_152),
        "head": (33_025, 33_025),
    }


@pytest.mark.parametrize(
    ("dataset", "lengths", "total", "rows"),
    [
        ("mosei", ALIGNED, 4_551_630_336, (157_286_400, 15_155_200, 7_168_000, 4_118_211_072)),
        ("sims", SIMS, 13_587_019_264, (122_683_392, 54_067_200, 159_723_520, 12_996_735_488)),
    ],
)
def test_multiplications_are_the_published_ones(
    dataset: str, lengths: Lengths, total: int, rows: tuple[int, int, int, int]
) -> None:
    counted = multiplications(on_meta(own.TMT, dataset, lengths), *meta_inputs(dataset, lengths, 16, tokens=False))
    parts = ("project_text", "project_audio", "project_vision", "joint_encoder")
    assert dict(counted) == {
        **dict(zip(parts, rows, strict=True)),
        "specific_reads_shared": 126_641_664,
        "shared_reads_specific": 126_641_664,
        "head": 526_336,
    }
    assert counted.total() == total


@pytest.mark.parametrize(
    ("dataset", "lengths", "params", "total", "macs"),
    [
        ("mosei", ALIGNED, 5_521_921, 5_720_065, 7_277_927_936),
        ("sims", SIMS, 5_617_409, 5_903_617, 20_004_304_384),
    ],
)
def test_fine_grained_counts_are_the_published_ones(
    dataset: str, lengths: Lengths, params: int, total: int, macs: int
) -> None:
    model = on_meta(own.TMT, dataset, lengths, fine=True)
    assert leaf_parameters(model) == params
    assert trainable(model) == total
    assert multiplications(model, *meta_inputs(dataset, lengths, 16, tokens=False)).total() == macs


# ------------------------------------------------------------------------------------------------ semantics


def rewritten(model: TMT, text: torch.Tensor, audio: torch.Tensor, vision: torch.Tensor) -> dict[str, torch.Tensor]:
    """TMT once more in evaluation mode, step by step, from torch's functions."""
    state, size = model.state_dict(), len(text)
    x_vision, x_audio, x_text = (
        linear(state, f"project_{m}", x) for m, x in (("vision", vision), ("audio", audio), ("text", text))
    )
    x = torch.cat([state["joint_encoder.tokens"].repeat(size, 1, 1), x_vision, x_audio, x_text], dim=1)
    x = x + state["joint_encoder.positions"]
    for i in range(2):
        x = block(state, f"joint_encoder.blocks.{i}", x, x, HEADS)

    def mutual(name: str, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        source = source + state[f"{name}.source_positions"][:, :6]
        target = target + state[f"{name}.target_positions"][:, :6]
        for i in range(2):
            target = block(state, f"{name}.blocks.{i}", source, target, HEADS)
        return target.sum(1) / 6

    shared, specific = x[:, 0:6], x[:, 6:12]
    fusion = mutual("specific_reads_shared", shared, specific) + mutual("shared_reads_specific", specific, shared)
    return {
        "M": linear(state, "head.1", linear(state, "head.0", fusion)),
        "sequence_vision": x_vision,
        "sequence_audio": x_audio,
        "sequence_text": x_text,
        "specific_vision": x[:, 6:8],
        "specific_audio": x[:, 8:10],
        "specific_text": x[:, 10:12],
        "shared": shared,
        "fusion": fusion,
    }


def test_the_forward_pass_is_the_rewritten_one() -> None:
    model = small()
    shake(model)
    outputs, expected = model.eval()(*inputs()), rewritten(model, *inputs())
    assert set(outputs) == set(expected)
    for name, tensor in expected.items():
        assert torch.allclose(outputs[name], tensor, rtol=1e-10, atol=1e-10), name
    assert outputs["M"].shape == (3, 1)


def test_tokens_and_tables_start_as_standard_normal() -> None:
    torch.manual_seed(0)
    model = TMT(blueprint_for(own.TMT, "mosei", shapes_of("mosei", ALIGNED)))
    raw = {name: p.detach() for name, p in model.named_parameters() if name.endswith(("tokens", "positions"))}
    assert {name: tuple(tensor.shape[1:]) for name, tensor in raw.items()} == {
        "joint_encoder.tokens": (12, 256),
        "joint_encoder.positions": (162, 256),
        "specific_reads_shared.source_positions": (150, 256),
        "specific_reads_shared.target_positions": (150, 256),
        "shared_reads_specific.source_positions": (150, 256),
        "shared_reads_specific.target_positions": (150, 256),
    }
    for tensor in raw.values():
        assert abs(tensor.mean().item()) < 0.1
        assert tensor.std().item() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("fine", [False, True])
def test_gradients_reach_all_that_can_learn(fine: bool) -> None:
    blueprint = blueprint_for(own.TMT, "mosei", SMALL_SHAPES, **SMALL)
    model = own.TMT.build(blueprint)
    if fine:
        split(own.TMT, model, blueprint, {"audio": (3, 4), "vision": (1, 4)})
    shake(model).eval()
    model(*inputs())["M"].square().sum().backward()
    still = set()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if parameter.grad.abs().max() < 1e-12:
            still.add(name)
    # A shift common to all keys moves no softmax, so that the bias in front of keys alone cannot learn.
    assert still == {name for name, _ in model.named_parameters() if name.endswith("norm_key.bias")}
    for encoder in ("specific_reads_shared", "shared_reads_specific"):
        for table in ("source_positions", "target_positions"):
            gradient = model.get_parameter(f"{encoder}.{table}").grad
            assert gradient is not None
            assert gradient[:, :6].any(dim=2).all()
            assert not gradient[:, 6:].any()


def test_evaluation_repeats_itself_and_training_does_not() -> None:
    model = small().double()
    first, second = model.eval()(*inputs()), model(*inputs())
    assert all(torch.equal(first[name], second[name]) for name in first)
    model.train()
    assert not torch.equal(model(*inputs())["M"], model(*inputs())["M"])


def test_dropout_sits_where_the_reference_has_it() -> None:
    model = small()
    found = [(name, part.p) for name, part in model.named_modules() if isinstance(part, nn.Dropout)]
    inside = [probability for name, probability in found if ".blocks." in name]
    assert [pair for pair in found if ".blocks." not in pair[0]] == [
        ("input_dropout", 0.5),
        ("joint_encoder.dropout", 0.1),
        ("specific_reads_shared.dropout", 0.1),
        ("shared_reads_specific.dropout", 0.1),
    ]
    assert inside == [0.5] * (6 * 3)
    calls: list[str] = []
    for name, _probability in found:
        model.get_submodule(name).register_forward_hook(lambda *_call, name=name: calls.append(name))
    model.double()(*inputs())
    for name, _probability in found:  # each input, and both sides of a mutual encoder
        once = ".blocks." in name or name == "joint_encoder.dropout"
        assert calls.count(name) == (1 if once else 3 if name == "input_dropout" else 2)


def test_each_raw_input_is_dropped_out_by_itself() -> None:
    model = small().double().train()
    kept: list[torch.Tensor] = []
    for name in ("vision", "audio", "text"):
        part = model.get_submodule(f"project_{name}")
        part.register_forward_pre_hook(lambda _module, given: kept.append(given[0]))
    model(*(torch.ones_like(x).expand(200, -1, -1) for x in inputs(1)))
    assert [tensor.shape[1:] for tensor in kept] == [(8, 5), (9, 7), (6, 11)]
    for tensor in kept:
        assert set(tensor.flatten().tolist()) == {0.0, 2.0}
        assert (tensor == 0).double().mean().item() == pytest.approx(0.5, abs=0.05)
    # Not one mask for both: where they can be compared, those of vision and audio agree about half the time.
    agree = (kept[0] == kept[1][:, :8, :5]).double().mean().item()
    assert agree == pytest.approx(0.5, abs=0.05)


def test_other_token_counts_fit_together() -> None:
    model = small(shared_tokens=3, specific_tokens=1, mutual_positions=3).double().eval()
    outputs = model(*inputs())
    assert outputs["shared"].shape == (3, 3, 12)
    assert outputs["specific_audio"].shape == (3, 1, 12)
    assert outputs["M"].shape == (3, 1)


# ------------------------------------------------------------------------------------------------ registry entry


def test_learned_features_are_vectors() -> None:
    model = small().double().eval()
    outputs = model(*inputs())
    features = own.TMT.taps.read(model, outputs, {})
    assert {name: tuple(tensor.shape) for name, tensor in features.items()} == dict.fromkeys(
        ("text", "audio", "vision", "fusion"), (3, 12)
    )
    torch.testing.assert_close(features["audio"], outputs["sequence_audio"].sum(dim=1) / 9)


def test_values_do_not_depend_on_the_data_set() -> None:
    mosi, mosei, sims = (own.TMT.defaults(column) for column in ("mosi", "mosei", "sims"))
    assert mosei is not None
    assert mosi == mosei
    assert sims == {**mosei, "need_data_aligned": False}
    assert own.TMT.defaults("other") is None


def test_three_outputs_where_classes_are_asked_for() -> None:
    blueprint = blueprint_for(own.TMT, "mosei", SMALL_SHAPES, **SMALL)
    model = TMT(Blueprint(**{**blueprint.__dict__, "task": "classification"})).double()
    assert model(*inputs())["M"].shape == (3, 3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_bert", True),
        ("need_normalized", True),
        ("shared_tokens", 0),
        ("mutual_positions", 5),
        ("specific_tokens", 51),
        ("task_loss", "huber"),
        ("alpha", -0.1),
        ("delta", -1.0),
        ("warm_up_epochs", 200),
    ],
)
def test_impossible_hyper_parameters_are_refused(key: str, value: Any) -> None:
    assert own.TMT.check is not None
    hyper = blueprint_for(own.TMT, "mosei", SMALL_SHAPES, use_bert=False).hyper
    own.TMT.check(hyper, SMALL_SHAPES, ())
    with pytest.raises(InputError, match=r"hyper\.TMT\."):
        own.TMT.check(models.resolve_hyper("TMT", "mosei", {"TMT": {key: value}}), SMALL_SHAPES, ())
