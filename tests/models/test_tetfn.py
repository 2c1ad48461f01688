"""TETFN: an independent functional rewrite of its forward pass, pooling, masks, what is trained."""

from __future__ import annotations

import functools
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from harness import models
from harness.errors import InputError
from harness.models.entry import Blueprint
from harness.models.finegrained import FineGrainedExtractor
from harness.models.tetfn import TETFN, Positions, TextEnhanced, pool_frames
from harness.models.tetfn_entry import ENTRY
from harness.spec import Shapes
from tests.models.counts import split
from tests.models.rewrites import shake
from tests.models.tetfn_model import SHAPES, Rewrite, blueprint_for, full_size, inputs_for, pooled_by_hand

# ------------------------------------------------------------------------------------------------------ the whole model

SMALL_SHAPES = Shapes(
    widths={"text": 11, "audio": 7, "vision": 5}, lengths={"text": 6, "audio": 13, "vision": 8}
)  # every width and length differs
SMALL: dict[str, Any] = {
    "dst_feature_dims": 12,
    "nheads": 3,
    "conv1d_kernel_size_l": 2,
    "conv1d_kernel_size_a": 4,
    "a_lstm_hidden_size": 9,
    "v_lstm_hidden_size": 10,
    "post_fusion_dim": 8,
    "post_text_dim": 7,
    "post_audio_dim": 6,
    "post_video_dim": 5,
}


def small(**changes: Any) -> TETFN:
    torch.manual_seed(0)
    return TETFN(blueprint_for("mosei", SMALL_SHAPES, **{**SMALL, **changes}))


shaken = functools.partial(shake, strength=0.2)


def doubles(batch: int = 3, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    text, audio, vision = inputs_for(SMALL_SHAPES, batch, seed)
    return text.double(), audio.double(), vision.double()


def test_the_forward_pass_is_the_rewritten_one() -> None:
    model = shaken(small()).eval()
    text, audio, vision = doubles()
    expected = Rewrite(model.state_dict(), SMALL["nheads"])(model.text_model(text), audio, vision)
    with torch.no_grad():
        outputs = model(text, audio, vision)
    assert outputs.keys() == expected.keys()
    for name, tensor in outputs.items():
        # The model's table of positions is single precision.
        torch.testing.assert_close(tensor, expected[name], rtol=2e-5, atol=2e-6)
    widths = {"Feature_f": 8, "Feature_t": 7, "Feature_a": 6, "Feature_v": 5}
    assert {k: tuple(v.shape) for k, v in outputs.items()} == {
        **dict.fromkeys("MTAV", (3, 1)),
        **{k: (3, w) for k, w in widths.items()},
    }


def test_learned_features_are_what_pseudo_labels_are_made_from() -> None:
    model = small().eval()
    outputs = model(*inputs_for(SMALL_SHAPES, 2))
    features = ENTRY.taps.read(model, outputs, {})
    assert features.keys() == {"text", "audio", "vision", "fusion"}
    for name, key in (("text", "t"), ("audio", "a"), ("vision", "v"), ("fusion", "f")):
        assert features[name] is outputs[f"Feature_{key}"]


def test_steps_after_the_convolutions_on_ch_sims() -> None:
    """Frames are pooled to 39; vision has the kernel of audio."""
    model = full_size("sims").eval()
    seen: dict[str, tuple[int, int]] = {}

    def watch(name: str, at: nn.Module) -> None:
        at.register_forward_hook(lambda _m, taken, output: seen.update({name: (taken[0].shape[0], output.shape[0])}))

    watch("text", model.text_from_audio)
    watch("audio", model.audio_from_text)
    watch("vision", model.vision_from_text)
    lengths: dict[str, int] = {}
    for name, front in (("audio", model.audio_model), ("vision", model.video_model)):
        front.register_forward_hook(lambda _m, taken, _o, name=name: lengths.update({name: taken[0].shape[1]}))
    with torch.no_grad():
        model(*inputs_for(SHAPES["sims"], 1))
    assert lengths == {"audio": 39, "vision": 39}
    assert seen == {"text": (37, 37), "audio": (35, 35), "vision": (35, 35)}


@settings(deadline=None, max_examples=60)
@given(length=st.integers(1, 40), steps=st.integers(1, 15))
def test_pooling_averages_consecutive_frames(length: int, steps: int) -> None:
    x = torch.randn(2, length, 3, generator=torch.Generator().manual_seed(length), dtype=torch.float64)
    torch.testing.assert_close(pool_frames(x, steps), pooled_by_hand(x, steps))


def test_pooling_leaves_equal_lengths_alone() -> None:
    x = torch.randn(2, 5, 3)
    assert pool_frames(x, 5) is x


def test_longer_unaligned_inputs_need_no_other_model() -> None:
    model = small().eval()
    text, audio, vision = inputs_for(SMALL_SHAPES, 2)
    longer = audio.repeat_interleave(2, dim=1)
    shifted = torch.cat([longer, longer[:, -1:].expand(-1, 10, -1)], dim=1)  # 13 frames are 3 a step, 36 are 6
    torch.testing.assert_close(model(text, shifted, vision)["M"], model(text, audio, vision)["M"])


# ----------------------------------------------------------------------------------------------------- masks, positions


def mask_of(encoder: nn.Module, queries: int, keys: int) -> NDArray[np.bool_]:
    """Which keys reach which query, found by gradients through one layer."""
    layer: Any = encoder.get_submodule("layers.0")
    width = encoder.get_submodule("layer_norm").get_parameter("weight").shape[0]
    query, key = torch.randn(queries, 1, width), torch.randn(keys, 1, width, requires_grad=True)
    reached = np.zeros((queries, keys), dtype=bool)
    for i in range(queries):
        (gradient,) = torch.autograd.grad(layer(query, key, key)[i].pow(2).sum(), key)
        reached[i] = gradient.abs().sum(dim=(1, 2)).numpy() > 0
    return reached


@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (5, 3), (3, 5)])
def test_a_step_sees_as_far_as_the_difference_of_lengths(queries: int, keys: int) -> None:
    i, j = np.indices((queries, keys))
    model = small().eval()
    for encoder in (model.text_from_audio, model.vision_from_text, model.audio_from_vision.lower):
        assert np.array_equal(mask_of(encoder, queries, keys), j <= i + abs(keys - queries))


def test_memories_look_back_only() -> None:
    model = small().eval()
    x = torch.randn(6, 1, 2 * SMALL["dst_feature_dims"], requires_grad=True)
    (gradient,) = torch.autograd.grad(model.memory_text(x)[2].pow(2).sum(), x)
    assert (gradient.abs().sum(dim=(1, 2)) > 0).tolist() == [True] * 3 + [False] * 3


def test_positions_are_those_of_mmsa() -> None:
    from MMSA.models.subNets.transformers_encoder.position_embedding import SinusoidalPositionalEmbedding

    first = torch.randn(3, 17)
    first[1, 4] = first[2, 0] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # its shared buffer may have to grow
        expected = SinusoidalPositionalEmbedding(50)(first)
    ours = Positions(50)(first)
    torch.testing.assert_close(ours, expected, rtol=0, atol=2e-6)
    assert not ours[1, 4].any()
    assert ours[0, 4].any()
    assert ours[0, 0, 0] == pytest.approx(np.sin(1.0)), "counted from 1"


def test_only_text_enhanced_parts_have_positions() -> None:
    model = small()
    holders = {name.rpartition(".")[0] for name, m in model.named_modules() if isinstance(m, Positions)}
    parts = ("audio_from_vision", "vision_from_audio")
    assert holders == {f"{part}.{half}" for part in parts for half in ("lower", "upper")}


def test_lengths_may_change_from_batch_to_batch_without_a_warning() -> None:
    """MMSA's own positions make torch warn here."""
    model = small(conv1d_kernel_size_l=1).eval()
    for length in (4, 7, 5, 9):
        shapes = Shapes(widths=SMALL_SHAPES.widths, lengths={"text": length, "audio": 12, "vision": 9})
        assert torch.isfinite(model(*inputs_for(shapes, 2))["M"]).all()


# ------------------------------------------------------------------------------------------------------ what reads what


def test_text_enhancement_reads_source_then_writes_target() -> None:
    torch.manual_seed(1)
    hyper = blueprint_for("mosei", SMALL_SHAPES, **SMALL).hyper
    enhance = TextEnhanced(hyper).eval()
    source, target, text = (torch.randn(t, 2, 12) for t in (3, 5, 4))
    calls: dict[str, list[torch.Tensor]] = {}
    for name in ("lower", "upper"):
        enhance.get_submodule(name).register_forward_pre_hook(
            lambda _m, taken, name=name: calls.update({name: list(taken)})
        )
    assert enhance(source, target, text).shape == target.shape
    assert calls["lower"][0] is source
    assert calls["lower"][1] is calls["lower"][2] is text
    assert calls["upper"][0] is target
    assert calls["upper"][1] is calls["upper"][2]
    assert calls["upper"][1].shape == source.shape


@pytest.mark.parametrize(("name", "source", "target"), [("audio_from_vision", 1, 0), ("vision_from_audio", 0, 1)])
def test_audio_and_vision_meet_in_the_right_order(name: str, source: int, target: int) -> None:
    model = small().eval()
    fronts: list[torch.Tensor] = []
    seen: list[torch.Tensor] = []
    for front in (model.audio_model, model.video_model):
        front.register_forward_hook(lambda _m, _taken, output: fronts.append(output.transpose(0, 1)))
    model.get_submodule(name).register_forward_pre_hook(lambda _m, taken: seen.extend(taken))
    model(*inputs_for(SMALL_SHAPES, 2))
    assert torch.equal(seen[0], fronts[source])
    assert torch.equal(seen[1], fronts[target])


def test_unimodal_predictions_are_made_from_one_modality() -> None:
    model = small().eval()
    text, audio, vision = (x.requires_grad_() for x in inputs_for(SMALL_SHAPES, 2))
    outputs = model(text, audio, vision)
    for letter, reaches in (("T", "t"), ("A", "a"), ("V", "v"), ("M", "tav")):
        gradients: Any = torch.autograd.grad(
            outputs[letter].sum(), (text, audio, vision), retain_graph=True, allow_unused=True
        )
        reached = {k for k, g in zip("tav", gradients, strict=True) if g is not None and g.any()}
        assert reached == set(reaches), letter


def test_evaluation_is_deterministic_and_training_is_not() -> None:
    model = small()
    example = inputs_for(SMALL_SHAPES, 4)
    assert not torch.equal(model.train()(*example)["M"], model(*example)["M"])
    model.eval()
    first, second = model(*example), model(*example)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("key", ["attn_dropout", "attn_dropout_a", "attn_dropout_v"])
def test_each_dropout_goes_where_the_reference_has_it(key: str) -> None:
    silent = dict.fromkeys(("attn_dropout", "attn_dropout_a", "attn_dropout_v"), 0.0)
    model = small(**{**silent, key: 0.25})
    dropping = {
        name.partition(".layers")[0]
        for name, module in model.named_modules()
        if vars(module).get("attn_dropout") == 0.25
    }
    others = ("audio_from_text", "vision_from_text", "memory_text", "memory_audio", "memory_vision")
    enhanced = (f"{part}.{half}" for part in ("audio_from_vision", "vision_from_audio") for half in ("lower", "upper"))
    where = {
        "attn_dropout_a": {"text_from_audio"},
        "attn_dropout_v": {"text_from_vision"},
        "attn_dropout": {*others, *enhanced},
    }
    assert dropping == where[key]


@pytest.mark.parametrize("fine", [False, True])
def test_gradients_reach_all_that_is_trained(fine: bool) -> None:
    from transformers import BertConfig, BertModel

    from harness.models.bert import BertEncoder

    torch.manual_seed(2)
    bert: nn.Module = BertModel(
        BertConfig(vocab_size=60, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    )
    shapes = Shapes(widths={**SMALL_SHAPES.widths, "text": 12}, lengths=SMALL_SHAPES.lengths)
    blueprint = blueprint_for("mosei", shapes, **SMALL)
    blueprint = Blueprint(**{**vars(blueprint), "encoder": BertEncoder(bert, 12)})
    model = ENTRY.build(blueprint)
    if fine:
        split(ENTRY, model, blueprint, {"audio": (1, 4, 2), "vision": (2, 3)})
    text, audio, vision = inputs_for(shapes, 4)
    text[:, 1], text[:, 2] = 1.0, 0.0
    outputs = model.train()(text, audio, vision)
    sum(outputs[name].sum() for name in "MTAV").backward()
    silent = {name for name, p in model.named_parameters() if p.grad is None}
    assert silent == {"text_model.model.pooler.dense.weight", "text_model.model.pooler.dense.bias"}
    stuck = {name for name, p in model.named_parameters() if p.grad is not None and not p.grad.any()}
    assert not stuck


def test_the_sub_modules_that_have_rates_of_their_own() -> None:
    """The convolution over text is trained with everything else."""
    names = [name for name, _ in small().named_parameters()]
    own = {part: sum(part in name for name in names) for part in ("text_model", "audio_model", "video_model")}
    assert own == {"text_model": 0, "audio_model": 5, "video_model": 5}
    assert "project_text.weight" in names


def test_a_fine_grained_front_end_keeps_its_interface() -> None:
    model = small().eval()
    blueprint = blueprint_for("mosei", SMALL_SHAPES, **SMALL)
    example = inputs_for(SMALL_SHAPES, 2)
    split(ENTRY, model, blueprint, {"audio": (1, 4, 2), "vision": (2, 3)})
    copies: Any = model.audio_model.get_submodule("extractors")
    assert [(c.lstm.input_size, c.lstm.hidden_size, c.conv.kernel_size) for c in copies] == [
        (d, 9, (4,)) for d in (1, 4, 2)
    ]
    one_by_one = model(*example)["M"]
    assert one_by_one.shape == (2, 1)
    for front in (model.audio_model, model.video_model):
        assert isinstance(front, FineGrainedExtractor)
        front.batched = True
    torch.testing.assert_close(model(*example)["M"], one_by_one)


# ----------------------------------------------------------------------------------------------------- hyper-parameters


def test_columns() -> None:
    assert ENTRY.defaults("mosi") is None
    mosei, sims = ENTRY.defaults("mosei"), ENTRY.defaults("sims")
    assert mosei is not None
    assert sims is not None
    assert mosei.keys() == sims.keys()
    assert (mosei["pretrained"], sims["pretrained"]) == ("bert-base-uncased", "bert-base-chinese")
    assert mosei["H"] == sims["H"] == 3.0
    rates = [
        f"{kind}_{part}" for part in ("bert", "audio", "video", "other") for kind in ("learning_rate", "weight_decay")
    ]
    assert [mosei[key] for key in rates] == [3e-5, 1e-3, 1e-3, 0.0, 5e-3, 1e-3, 1e-4, 1e-2]
    assert [sims[key] for key in rates] == [3e-5, 1e-3, 3e-3, 0.0, 5e-4, 1e-2, 3e-3, 1e-3]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_bert", False),
        ("need_normalized", True),
        ("need_model_aligned", True),
        ("H", 0.0),
        ("nheads", 0),
        ("nheads", 7),
        ("post_video_dim", 0),
        ("a_lstm_hidden_size", 0),
        ("dst_feature_dims", 15),
        ("dst_feature_dims", -10),
        ("conv1d_kernel_size_l", 7),
        ("conv1d_kernel_size_a", 7),
    ],
)
def test_impossible_hyper_parameters_are_refused(key: str, value: Any) -> None:
    assert ENTRY.check is not None
    hyper = blueprint_for("mosei", SMALL_SHAPES).hyper
    ENTRY.check(hyper, SMALL_SHAPES, ("audio", "vision"))
    with pytest.raises(InputError) as caught:
        ENTRY.check(models.resolve_hyper("TETFN", "mosei", {"TETFN": {key: value}}), SMALL_SHAPES, ())
    assert caught.value.where == f"hyper.TETFN.{key}"
    assert caught.value.hint


def test_kernels_as_wide_as_the_pooled_sequence_work() -> None:
    changes = {"conv1d_kernel_size_l": 6, "conv1d_kernel_size_a": 6}
    assert ENTRY.check is not None
    ENTRY.check(blueprint_for("mosei", SMALL_SHAPES, **changes).hyper, SMALL_SHAPES, ())
    assert torch.isfinite(small(**changes).eval()(*inputs_for(SMALL_SHAPES, 2))["M"]).all()


def test_there_is_no_tetfn_without_an_encoder() -> None:
    blueprint = blueprint_for("mosei", SMALL_SHAPES)
    with pytest.raises(ValueError, match="text encoder"):
        TETFN(Blueprint(**{**vars(blueprint), "encoder": None}))


def test_the_entry_is_read_without_torch() -> None:
    program = (
        "import sys; from harness.models.tetfn_entry import ENTRY; from harness.spec import Shapes; "
        "lengths = {'text': 50, 'audio': 50, 'vision': 50}; "
        "ENTRY.check(ENTRY.defaults('mosei'), Shapes(widths=lengths, lengths=lengths), ()); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
