"""ALMT: published counts, an independent rewrite of its forward pass, initial values, and what is trained."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from harness import models
from harness.errors import InputError
from harness.models import own
from harness.models.almt import ALMT, Fusion
from harness.models.blocks import CrossBlock, MultiHead, SelfBlock
from harness.models.entry import Blueprint
from harness.spec import Shapes
from tests.models.counts import (
    ALIGNED,
    BERT_MACS,
    BERT_PARAMS,
    BERT_TRAINABLE,
    SIMS,
    UNALIGNED,
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
from tests.models.rewrites import attend, block, linear, norm, shake

SMALL_SHAPES = Shapes(
    widths={"text": 11, "audio": 7, "vision": 5}, lengths={"text": 6, "audio": 9, "vision": 8}
)  # every width and length differs
SMALL: dict[str, Any] = {
    "hidden_dim": 12,
    "token_count": 4,
    "num_heads": 2,
    "head_dim": 5,
    "mlp_dim": 10,
    "hyper_head_dim": 3,
    "embedding_depth": 1,
    "hyper_depth": 3,
    "fusion_depth": 2,
}
HEADS = 2


def small(**changes: Any) -> ALMT:
    torch.manual_seed(0)
    return ALMT(blueprint_for(own.ALMT, "mosei", SMALL_SHAPES, **{**SMALL, **changes}))


def inputs(batch: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 50, (batch, 3, 6), generator=generator).double()
    audio = torch.randn(batch, 9, 7, generator=generator, dtype=torch.float64)
    return ids, audio, torch.randn(batch, 8, 5, generator=generator, dtype=torch.float64)


# ------------------------------------------------------------------------------------------------ published counts


@pytest.mark.parametrize(
    ("dataset", "lengths", "params", "total"),
    [
        ("mosei", UNALIGNED, 88_724_609, 112_705_281),
        ("mosei", ALIGNED, 88_724_609, 112_590_081),
        ("sims", SIMS, 88_805_633, 105_500_545),
    ],
)
def test_parameters_are_the_published_ones(dataset: str, lengths: Lengths, params: int, total: int) -> None:
    model = on_meta(own.ALMT, dataset, lengths)
    assert leaf_parameters(model) + BERT_PARAMS == params
    assert trainable(model) + BERT_TRAINABLE[dataset] == total


@pytest.mark.parametrize(
    ("dataset", "lengths", "rows"),
    [
        ("mosei", UNALIGNED, {"text": (394_752, 403_200), "audio": (305_920, 371_968), "vision": (300_928, 366_976)}),
        ("sims", SIMS, {"text": (394_752, 401_792), "audio": (300_672, 353_920), "vision": (387_200, 396_288)}),
    ],
)
def test_parameters_of_each_part(dataset: str, lengths: Lengths, rows: dict[str, tuple[int, int]]) -> None:
    model = on_meta(own.ALMT, dataset, lengths)
    expected = {
        **{f"{modality}_embedding": counts for modality, counts in rows.items()},
        "text_model": (0, 0),
        "text_guide": (592_640, 593_664),
        "hyper_layers": (298_368, 298_368),
        "fusion": (1_185_280, 1_187_712),
        "head": (129, 129),
    }
    assert {name: (leaf_parameters(part), trainable(part)) for name, part in model.named_children()} == expected


def test_fusion_is_half_as_deep_on_mosi() -> None:
    shapes = shapes_of("mosei", ALIGNED)
    with torch.device("meta"):
        deep, shallow = (ALMT(blueprint_for(own.ALMT, column, shapes)) for column in ("mosei", "mosi"))
    assert leaf_parameters(deep) - leaf_parameters(shallow) == 2 * 296_320


@pytest.mark.parametrize(
    ("dataset", "lengths", "total", "parts"),
    [
        (
            "mosei",
            ALIGNED,
            276_899_650_560,
            {"text_embedding": 1_422_025_728, "audio_embedding": 1_137_763_328, "vision_embedding": 1_121_788_928},
        ),
        (
            "sims",
            SIMS,
            224_152_686_592,
            {"text_embedding": 1_141_991_424, "audio_embedding": 8_117_833_728, "vision_embedding": 1_522_853_888},
        ),
    ],
)
def test_multiplications_are_the_published_ones(
    dataset: str, lengths: Lengths, total: int, parts: dict[str, int]
) -> None:
    counted = multiplications(on_meta(own.ALMT, dataset, lengths), *meta_inputs(dataset, lengths, 64, tokens=True))
    rest = {"text_guide": 304_275_456, "hyper_layers": 154_705_920, "fusion": 684_675_072, "head": 8_192}
    assert dict(counted) == {**parts, **rest}
    assert counted.total() + 64 * BERT_MACS[dataset] == total


@pytest.mark.parametrize(
    ("dataset", "lengths", "params", "total", "macs"),
    [
        ("mosei", UNALIGNED, 88_988_417, 112_969_089, None),
        ("mosei", ALIGNED, 88_988_417, 112_969_089 - 115_200, 279_625_948_160),
        ("sims", SIMS, 89_052_545, 105_747_457, 230_569_971_712),
    ],
)
def test_fine_grained_counts_are_the_published_ones(
    dataset: str, lengths: Lengths, params: int, total: int, macs: int | None
) -> None:
    model = on_meta(own.ALMT, dataset, lengths, fine=True)
    assert leaf_parameters(model) + BERT_PARAMS == params
    assert trainable(model) + BERT_TRAINABLE[dataset] == total
    if macs is not None:
        counted = multiplications(model, *meta_inputs(dataset, lengths, 64, tokens=True))
        assert counted.total() + 64 * BERT_MACS[dataset] == macs


def test_a_full_size_block_has_as_many_parameters_as_published() -> None:
    assert trainable(SelfBlock(128, 8, 64, 128)) == trainable(CrossBlock(128, 8, 64, 128)) == 296_320


# ------------------------------------------------------------------------------------------------ semantics


def test_multi_head_is_torch_attention_head_by_head() -> None:
    attention = MultiHead(8, heads=3, head_width=5).double()
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, n, 8, generator=generator, dtype=torch.float64) for n in (4, 6, 6))
    state = attention.state_dict()
    mixed = attend(linear(state, "query", q), linear(state, "key", k), linear(state, "value", v), heads=3)
    torch.testing.assert_close(attention(q, k, v), linear(state, "out", mixed))
    assert set(state) == {"query.weight", "key.weight", "value.weight", "out.weight", "out.bias"}


def test_blocks_are_the_written_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randn(2, n, 8, generator=generator, dtype=torch.float64) for n in (6, 4))
    for made in (SelfBlock(8, 2, 5, 7), CrossBlock(8, 2, 5, 7)):
        shake(made)
        state = {f"b.{name}": tensor for name, tensor in made.state_dict().items()}
        sequences = (target,) if isinstance(made, SelfBlock) else (source, target)
        torch.testing.assert_close(made(*sequences), block(state, "b", sequences[0], target, heads=2))


def test_positions_of_a_cross_target_do_not_see_each_other() -> None:
    made = shake(CrossBlock(8, 2, 5, 7))
    source, target = torch.randn(1, 6, 8, dtype=torch.float64), torch.randn(1, 4, 8, dtype=torch.float64)
    alone = torch.cat([made(source, target[:, i : i + 1]) for i in range(4)], dim=1)
    torch.testing.assert_close(made(source, target), alone)


def rewritten(model: ALMT, text: torch.Tensor, audio: torch.Tensor, vision: torch.Tensor) -> dict[str, torch.Tensor]:
    """ALMT once more, step by step, from torch's functions and einsum."""
    state, count, size = model.state_dict(), SMALL["token_count"], len(text)

    def squeeze(name: str, x: torch.Tensor) -> torch.Tensor:
        tokens = state[f"{name}.tokens"].repeat(size, 1, 1)
        x = torch.cat([tokens, linear(state, f"{name}.project", x)], dim=1) + state[f"{name}.positions"]
        return block(state, f"{name}.blocks.0", x, x, HEADS)[:, :count]

    def heads_of(name: str, x: torch.Tensor) -> torch.Tensor:
        return linear(state, name, x).reshape(size, -1, HEADS, SMALL["hyper_head_dim"])

    h_text = squeeze("text_embedding", model.text_model(text))
    h_audio, h_vision = squeeze("audio_embedding", audio), squeeze("vision_embedding", vision)
    levels = [h_text + state["text_guide.positions"]]
    for i in range(2):
        levels.append(block(state, f"text_guide.blocks.{i}", levels[-1], levels[-1], HEADS))
    z = state["hyper_tokens"].repeat(size, 1, 1)
    for i, level in enumerate(levels):
        name = f"hyper_layers.{i}"
        query = heads_of(f"{name}.query", norm(state, f"{name}.norm_text", level))
        summed = torch.zeros(size, count, HEADS, SMALL["hyper_head_dim"], dtype=torch.float64)
        for kind, h in (("audio", h_audio), ("vision", h_vision)):
            x = norm(state, f"{name}.norm_{kind}", h)
            keys, values = heads_of(f"{name}.key_{kind}", x), heads_of(f"{name}.value_{kind}", x)
            scores = torch.einsum("bthk,bshk->bhts", query, keys) / SMALL["hyper_head_dim"] ** 0.5
            summed = summed + torch.einsum("bhts,bshk->bthk", scores.softmax(-1), values)
        z = norm(state, f"{name}.norm_hyper", z) + linear(state, f"{name}.out", summed.flatten(2))
    token = state["fusion.token"].repeat(size, 1, 1)
    source = torch.cat([token, z], dim=1) + state["fusion.source_positions"]
    target = torch.cat([token, levels[2]], dim=1) + state["fusion.target_positions"]
    for i in range(2):
        target = block(state, f"fusion.blocks.{i}", source, target, HEADS)
    return {
        "M": linear(state, "head", target[:, 0]),
        "tokens_text": h_text,
        "tokens_audio": h_audio,
        "tokens_vision": h_vision,
        "hyper": z,
        "fusion": target[:, 0],
    }


def test_the_forward_pass_is_the_rewritten_one() -> None:
    model = small()
    shake(model)
    outputs, expected = model.eval()(*inputs()), rewritten(model, *inputs())
    assert set(outputs) == set(expected)
    for name, tensor in expected.items():
        assert torch.allclose(outputs[name], tensor, rtol=1e-10, atol=1e-10), name
    assert outputs["M"].shape == (3, 1)


def test_tokens_and_tables_start_as_the_reference_has_them() -> None:
    torch.manual_seed(0)
    model = ALMT(blueprint_for(own.ALMT, "mosei", shapes_of("mosei", ALIGNED)))
    parameters = dict(model.named_parameters())
    values = {name: parameter.detach() for name, parameter in parameters.items()}
    for name in ("text_embedding.tokens", "audio_embedding.tokens", "vision_embedding.tokens", "fusion.token"):
        assert not values[name].any()
    assert (values["hyper_tokens"] == 1).all()
    tables = [tensor for name, tensor in values.items() if name.endswith("positions")]
    assert len(tables) == 6
    for table in tables:
        assert abs(table.mean().item()) < 0.1
        assert table.std().item() == pytest.approx(1.0, abs=0.1)
    assert values["audio_embedding.positions"].shape == (1, 58, 128)


def test_the_first_hyper_layer_starts_from_zero() -> None:
    """Ones are normalised to zero, and a change of them is magnified by 1 / sqrt(1e-5)."""
    model = small().double()
    normalised = model.hyper_layers[0].get_submodule("norm_hyper")
    assert not normalised(model.hyper_tokens).any()
    moved = torch.ones(1, 1, 12, dtype=torch.float64)
    moved[..., 0] += 1e-7
    assert normalised(moved)[..., 0].item() == pytest.approx(1e-7 * 11 / 12 * 1e-5**-0.5, rel=1e-4)


def test_text_does_not_reach_the_class_token_in_the_fusion() -> None:
    fusion = shake(Fusion(blueprint_for(own.ALMT, "mosei", SMALL_SHAPES, **SMALL).hyper))
    source, one, other = (torch.randn(2, 4, 12, dtype=torch.float64) for _ in range(3))
    torch.testing.assert_close(fusion(source, one), fusion(source, other))
    assert not torch.allclose(fusion(source, one), fusion(one, one))


@pytest.mark.parametrize("fine", [False, True])
def test_gradients_reach_all_that_can_learn(fine: bool) -> None:
    blueprint = blueprint_for(own.ALMT, "mosei", SMALL_SHAPES, **SMALL)
    model = own.ALMT.build(blueprint)
    if fine:
        split(own.ALMT, model, blueprint, {"audio": (3, 4), "vision": (1, 4)})
    shake(model).train()
    model(*inputs())["M"].square().sum().backward()
    still = set()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if parameter.grad.abs().max() < 1e-12:
            still.add(name)
    # A shift common to all keys moves no softmax, so that the bias in front of keys alone cannot learn.
    assert still == {name for name, _ in model.named_parameters() if name.endswith("norm_key.bias")}
    table = model.get_parameter("fusion.target_positions").grad
    assert table is not None
    assert table[:, 0].any()
    assert not table[:, 1:].any()


def test_nothing_is_dropped_out() -> None:
    model = small().double()
    trained, first, second = model.train()(*inputs()), model.eval()(*inputs()), model(*inputs())
    for name in first:
        assert torch.equal(first[name], second[name])
        assert torch.equal(first[name], trained[name])


def test_utterances_do_not_see_each_other() -> None:
    model = small().double().eval()
    whole = model(*inputs())["M"]
    alone = torch.cat([model(*(x[i : i + 1] for x in inputs()))["M"] for i in range(3)])
    torch.testing.assert_close(whole, alone)


# ------------------------------------------------------------------------------------------------ registry entry


def test_learned_features_are_vectors() -> None:
    model = small().double().eval()
    outputs = model(*inputs())
    features = own.ALMT.taps.read(model, outputs, {})
    assert {name: tuple(tensor.shape) for name, tensor in features.items()} == dict.fromkeys(
        ("text", "audio", "vision", "fusion"), (3, 12)
    )
    torch.testing.assert_close(features["audio"], sum(outputs["tokens_audio"][:, i] for i in range(4)) / 4)


def test_columns_differ_where_the_reference_does() -> None:
    columns = {column: own.ALMT.defaults(column) for column in ("mosi", "mosei", "sims")}
    mosei = columns["mosei"]
    assert mosei is not None
    changes = {
        column: {key: value for key, value in (hyper or {}).items() if mosei[key] != value}
        for column, hyper in columns.items()
    }
    assert changes == {
        "mosi": {"fusion_depth": 2},
        "mosei": {},
        "sims": {"need_data_aligned": False, "pretrained": "bert-base-chinese"},
    }
    assert own.ALMT.defaults("other") is None


def test_three_outputs_where_classes_are_asked_for() -> None:
    blueprint = blueprint_for(own.ALMT, "mosei", SMALL_SHAPES, **SMALL)
    model = ALMT(Blueprint(**{**blueprint.__dict__, "task": "classification"})).double()
    assert model(*inputs())["M"].shape == (3, 3)


def test_there_is_no_almt_without_an_encoder() -> None:
    blueprint = blueprint_for(own.ALMT, "mosei", SMALL_SHAPES, **SMALL)
    with pytest.raises(ValueError, match="text encoder"):
        ALMT(Blueprint(**{**blueprint.__dict__, "encoder": None}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_bert", False),
        ("need_normalized", True),
        ("token_count", 0),
        ("num_heads", 0),
        ("hyper_depth", 0),
        ("warm_up_epochs", -1),
        ("warm_up_epochs", 200),
        ("schedule_epochs", 20),
    ],
)
def test_impossible_hyper_parameters_are_refused(key: str, value: Any) -> None:
    assert own.ALMT.check is not None
    hyper = blueprint_for(own.ALMT, "mosei", SMALL_SHAPES).hyper
    own.ALMT.check(hyper, SMALL_SHAPES, ())
    with pytest.raises(InputError) as caught:
        own.ALMT.check(models.resolve_hyper("ALMT", "mosei", {"ALMT": {key: value}}), SMALL_SHAPES, ())
    assert caught.value.where in (f"hyper.ALMT.{key}", "hyper.ALMT.schedule_epochs")


def test_entries_are_read_without_torch() -> None:
    program = (
        "import sys; from harness.models import own; own.ALMT.defaults('mosei'); "
        "own.ALMT.check(own.ALMT.defaults('mosei'), None, ()); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
