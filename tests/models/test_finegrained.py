"""The fine-grained method: the printed parameter counts, closed forms of the attention, and what it leaves alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from harness import models
from harness.data import load_definition
from harness.data.batching import Batch
from harness.errors import InputError
from harness.models import text
from harness.models.bert import BertEncoder
from harness.models.finegrained import (
    FineGrainedCell,
    FineGrainedExtractor,
    FineGrainedRecurrent,
    HeadAttention,
    resized,
    set_batched,
)
from harness.plan import load_datasets, make_plan
from harness.spec import EncoderChoice, FineGrainedOptions, RunSpec, Suite, Variant
from harness.training.recipes import make_recipe
from tests.planned import build_model, planned_spec

# Table 4 and 5's Params to the unit: leaf modules only, no raw parameters.
PRINTED: dict[tuple[str, str, str], int] = {
    ("mosei", "LF-DNN", "fg"): 614_427,
    ("mosei", "TFN", "fg"): 5_053_371,
    ("mosei", "LMF", "fg"): 518_458,
    ("mosei", "MFN", "fg"): 1_345_505,
    ("mosei", "Graph-MFN", "fg"): 693_728,
    ("mosei", "MulT", "fg"): 798_661,
    ("sims", "LF-DNN", "fg"): 959_629,
    ("sims", "TFN", "fg"): 35_955_885,
    ("sims", "LMF", "fg"): 353_436,
    ("sims", "MFN", "fg"): 726_769,
    ("sims", "Graph-MFN", "fg"): 4_650_780,
    ("sims", "MulT", "fg"): 1_543_801,
    ("mosei", "Self-MM", "fg"): 85_833_460,
    ("sims", "Self-MM", "fg"): 86_136_500,
    ("mosei", "TETFN", "fg"): 86_726_526,
    ("sims", "TETFN", "fg"): 87_100_044,
    ("mosei", "ALMT", "fg"): 88_988_417,
    ("sims", "ALMT", "fg"): 89_052_545,
    ("mosei", "TMT", "fg"): 5_521_921,
    ("sims", "TMT", "fg"): 5_617_409,
}
BERT_BASE = 85_646_592
COUNTED = (nn.Linear, nn.Conv1d, nn.LSTM, nn.LSTMCell, nn.BatchNorm1d, nn.LayerNorm)


TINY_BERT: dict[str, int | float] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
NARROW_TFN = {"hidden_dims": [16, 8, 12], "text_out": 10}
NARROW = {
    "base": "synthetic",
    "widths": {"text": 12, "audio": 9, "vision": 20},
    "groups": {
        "audio": {"ZCR": 1, "MFCC": 5, "CQT": 3},
        "vision": {"Gaze": 2, "EyeLmk": 5, "HeadPose": 1, "FaceLmk": 6, "PDM": 4, "AU": 2},
    },
}


def spec_for(dataset: Any, model: str, variant: Variant, **changes: Any) -> RunSpec:
    suite = Suite(
        name="t",
        datasets=(dataset,),
        models=(model,),
        tasks=models.entry(model).tasks[:1],
        variants=(variant,),
        seeds=(7,),
        **{"text_encoder": {"*": EncoderChoice(random=TINY_BERT)}, **changes},
    )
    return make_plan(suite, load_datasets(suite, Path()), lambda _dataset, _setting: "0" * 64).runs[0]


def small_spec(model: str, variant: Variant, **changes: Any) -> RunSpec:
    hyper = {"TFN": NARROW_TFN, "MTFN": NARROW_TFN}
    return spec_for(NARROW, model, variant, hyper={k: v for k, v in hyper.items() if k == model}, **changes)


def built(spec: RunSpec) -> nn.Module:
    models.seed_everything(spec.seed)
    return models.build(spec, encoder=text.load(spec.text_encoder, None) if spec.text_encoder else None)


def batch_for(spec: RunSpec, size: int = 5) -> Batch:
    """Noise in the shapes that a run reads, with sequences of unequal length."""
    shapes, hyper = spec.data.shapes, spec.hyper
    steps = {m: 1 if hyper.get("need_normalized") and m != "text" else n for m, n in shapes.lengths.items()}
    words, audio, vision = (torch.randn(size, steps[m], shapes.widths[m]) for m in ("text", "audio", "vision"))
    if hyper.get("use_bert"):
        mask = (torch.arange(steps["text"]) <= torch.arange(size).unsqueeze(1) + 2).to(audio)
        words = torch.stack([torch.randint(1, 99, mask.shape).to(audio), mask, torch.zeros_like(mask)], dim=1)
    classes = spec.task == "classification"
    labels = {m: torch.randint(0, 3, (size,)) if classes else torch.rand(size, 1) * 2 - 1 for m in "MTAV"}
    lengths = {m: torch.randint(1, steps[m] + 1, (size,)) for m in ("audio", "vision")}
    return Batch(words, audio, vision, labels, np.arange(size), lengths)


def leaf_parameters(model: nn.Module) -> int:
    return sum(p.numel() for m in model.modules() if isinstance(m, COUNTED) for p in m.parameters(recurse=False))


@pytest.mark.parametrize(("dataset", "model", "variant"), sorted(PRINTED))
def test_params_are_the_printed_ones(dataset: str, model: str, variant: Variant) -> None:
    """A small text encoder as wide as BERT-base stands in for it."""
    bert = EncoderChoice(random={**TINY_BERT, "hidden_size": 768})
    network = built(spec_for(dataset, model, variant, text_encoder={"*": bert}))
    encoders = [leaf_parameters(module) for module in network.modules() if isinstance(module, BertEncoder)]
    expected = PRINTED[dataset, model, variant] - BERT_BASE * len(encoders)
    assert leaf_parameters(network) - sum(encoders) == expected


@pytest.mark.parametrize("model", models.names())
@pytest.mark.parametrize("variant", ["fg", "a", "v"])
def test_only_the_extractors_change(model: str, variant: Variant) -> None:
    """Other parts have the original's names and, for the same seed, its very weights."""
    original = built(small_spec(model, "original")).state_dict()
    changed_spec = small_spec(model, variant)
    changed = built(changed_spec).state_dict()
    replaced = {models.entry(model).sites[m].path for m in changed_spec.split}
    assert len(replaced) == {"fg": 2, "a": 1, "v": 1}[variant]

    def outside(name: str) -> bool:
        return not any(name.startswith(f"{path}.") for path in replaced)

    assert {n for n in original if outside(n)} == {n for n in changed if outside(n)}
    assert {n for n in original if not outside(n)}.isdisjoint(changed)
    for name in original:
        if outside(name):
            assert torch.equal(original[name], changed[name]), name


def predicted(network: nn.Module, spec: RunSpec, batch: Batch) -> Any:
    recipe = make_recipe(models.entry(spec.model).recipe, network, spec.hyper, spec.task)
    return recipe.forward(batch)


@pytest.mark.parametrize("model", models.names())
@pytest.mark.parametrize("variant", ["original", "fg"])
def test_outputs_and_features_have_the_original_shapes(model: str, variant: Variant) -> None:
    spec = small_spec(model, variant)
    network, batch = built(spec).eval(), batch_for(spec)
    taps = models.entry(model).taps
    captured: dict[str, torch.Tensor] = {}

    def keep(path: str) -> Any:
        return lambda _module, given: captured.__setitem__(path, given[0])

    for path in taps.captured:
        network.get_submodule(path).register_forward_pre_hook(keep(path))
    with torch.no_grad():
        first, second = predicted(network, spec, batch), predicted(network, spec, batch)
    assert first["M"].shape == (5, 1 if spec.task == "regression" else 3)
    assert torch.equal(first["M"], second["M"])
    features = taps.read(network, first, captured)
    assert set(features) == {"text", "audio", "vision", "fusion"}
    assert all(tensor.shape[0] == 5 and tensor.dim() == 2 for tensor in features.values())


@pytest.mark.parametrize("model", models.names())
@pytest.mark.parametrize("options", [FineGrainedOptions(), FineGrainedOptions(qkv="per_head", attention="time")])
def test_all_groups_at_once_equal_one_after_another(model: str, options: FineGrainedOptions) -> None:
    """Predictions and every parameter's gradient, in double precision and without dropout."""
    spec = small_spec(model, "fg", finegrained=options)
    results = []
    for flag in (True, False):
        with _double():
            network = built(spec).eval()
            set_batched(network, flag)
            torch.manual_seed(1)
            outputs = predicted(network, spec, batch_for(spec))
            outputs["M"].square().sum().backward()
        gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
        results.append((outputs["M"].detach(), gradients))
    (batched, gradients), (looped, expected) = results
    torch.testing.assert_close(batched, looped, rtol=1e-10, atol=1e-10)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-8, atol=1e-10, msg=f"gradient of {name}")


@contextlib.contextmanager
def _double() -> Iterator[None]:
    """Everything in double precision, what a model makes within its forward pass too."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def test_uniform_attention_is_the_mean_of_the_values() -> None:
    block = HeadAttention(3, 4, FineGrainedOptions())
    nn.init.zeros_(block.query[0].get_parameter("weight"))
    x = torch.randn(2, 5, 3, 4)
    mean = block.value[0](x).mean(dim=2, keepdim=True).expand(-1, -1, 3, -1)
    torch.testing.assert_close(block(x), block.out(mean.flatten(start_dim=-2)))


@pytest.mark.parametrize("qkv", ["shared", "per_head"])
@pytest.mark.parametrize("attention", ["groups", "time"])
def test_attention_equals_torch(qkv: Any, attention: Any) -> None:
    options = FineGrainedOptions(qkv=qkv, attention=attention)
    block = HeadAttention(3, 4, options)
    x = torch.randn(2, 5, 3, 4)

    def project(maps: nn.ModuleList) -> torch.Tensor:
        return torch.stack([maps[i if qkv == "per_head" else 0](x[:, :, i]) for i in range(3)], dim=2)

    query, key, value = (project(maps) for maps in (block.query, block.key, block.value))
    if attention == "time":
        query, key, value = (t.transpose(1, 2) for t in (query, key, value))
    heads = nn.functional.scaled_dot_product_attention(query, key, value)  # divides by the square root of h = 4
    if attention == "time":
        heads = heads.transpose(1, 2)
    torch.testing.assert_close(block(x), block.out(heads.reshape(2, 5, 12)))


@pytest.mark.parametrize(("qkv", "sets"), [("shared", 1), ("per_head", 3)])
def test_attention_parameters_follow_the_rule(qkv: Any, sets: int) -> None:
    n, h = 3, 8
    block = HeadAttention(n, h, FineGrainedOptions(qkv=qkv))
    assert sum(p.numel() for p in block.parameters()) == (3 * sets + n) * h * h + h


def test_scale_none_leaves_scores_alone() -> None:
    assert HeadAttention(2, 16, FineGrainedOptions(scale="none")).scale == 1.0
    assert HeadAttention(2, 16, FineGrainedOptions()).scale == pytest.approx(0.25)


def test_each_copy_sees_its_own_columns() -> None:
    seen: list[torch.Tensor] = []

    class Spy(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return super().forward(x)

    extractor = FineGrainedExtractor([Spy(2, 4), Spy(3, 4)], [2, 3], 4, "features_last", FineGrainedOptions())
    x = torch.arange(10.0).reshape(2, 5)
    assert extractor(x).shape == (2, 4)
    assert torch.equal(seen[0], x[:, :2])
    assert torch.equal(seen[1], x[:, 2:])
    assert extractor(torch.randn(2, 7, 5)).shape == (2, 7, 4)


def test_channels_first_keeps_time_steps_apart() -> None:
    options = FineGrainedOptions()
    extractor = FineGrainedExtractor([nn.Conv1d(2, 4, 1), nn.Conv1d(3, 4, 1)], [2, 3], 4, "channels_first", options)
    x = torch.randn(2, 5, 6)
    full = extractor(x)
    assert full.shape == (2, 4, 6)
    torch.testing.assert_close(full[:, :, 2:3], extractor(x[:, :, 2:3]))


def test_cell_runs_the_block_on_both_states() -> None:
    cells = [nn.LSTMCell(2, 4), nn.LSTMCell(3, 4)]
    block = FineGrainedCell(cells, [2, 3], 4, FineGrainedOptions())
    x, state = torch.randn(5, 5), (torch.randn(5, 4), torch.randn(5, 4))
    hidden, memory = block(x, state)
    parts = [cells[0](x[:, :2], state), cells[1](x[:, 2:], state)]
    expected = [block.attention(torch.stack([p[i] for p in parts], dim=1).unsqueeze(1)).squeeze(1) for i in (0, 1)]
    torch.testing.assert_close(hidden, expected[0])
    torch.testing.assert_close(memory, expected[1])


def test_resized_keeps_everything_but_the_input_width() -> None:
    conv = resized(nn.Conv1d(7, 5, 3, stride=2, padding=1, bias=False), 2)
    assert isinstance(conv, nn.Conv1d)
    assert (conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride) == (2, 5, (3,), (2,))
    assert conv.padding == (1,)
    assert conv.bias is None
    with pytest.raises(TypeError, match="Embedding"):
        resized(nn.Embedding(3, 4), 2)


def test_mult_that_skips_its_projection_is_refused() -> None:
    hyper = {"MulT": {"dst_feature_dim_nheads": [33, 3]}}
    with pytest.raises(InputError, match="nothing to split"):
        spec_for("sims", "MulT", "fg", hyper=hyper)
    assert spec_for("sims", "MulT", "original", hyper=hyper).hyper["dst_feature_dim_nheads"] == [33, 3]


def test_mosei_splits_thirteen_groups() -> None:
    assert len(load_definition("mosei").groups["audio"]) == 13
    assert spec_for("mosei", "LF-DNN", "fg").split == ("audio",)


LENGTHS = torch.tensor([3, 7, 1, 7, 4])


def packed(x: torch.Tensor) -> PackedSequence:
    return pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("attention", ["groups", "time"])
def test_packed_sequences_equal_samples_one_by_one(attention: Any, batched: bool) -> None:
    copies = [nn.LSTM(d, 3, bidirectional=True) for d in (1, 5, 2)]
    net = FineGrainedRecurrent(copies, [1, 5, 2], 6, FineGrainedOptions(attention=attention)).double()
    set_batched(net, batched)
    x = torch.randn(5, 7, 8, dtype=torch.float64)
    outputs, (state, memory) = net(packed(x))
    padded, lengths = pad_packed_sequence(outputs, batch_first=True)
    assert torch.equal(lengths, LENGTHS)
    assert state.shape == (2, 5, 3)
    assert memory is None
    for i, length in enumerate(LENGTHS.tolist()):
        parts = torch.split(x[i : i + 1, :length], [1, 5, 2], dim=-1)
        features = [rnn(part.transpose(0, 1))[0] for rnn, part in zip(net.extractors, parts, strict=True)]
        alone = net.attention(torch.stack(features, dim=-2).transpose(0, 1))[0]  # (length, 6)
        torch.testing.assert_close(padded[i, :length], alone)
        torch.testing.assert_close(state[0, i], alone[-1, :3])
        torch.testing.assert_close(state[1, i], alone[0, 3:])


def test_one_group_and_an_identity_block_are_the_plain_layer() -> None:
    """With the block out of the way, outputs and final state are those of torch's own bidirectional LSTM."""
    layer = nn.LSTM(4, 3, bidirectional=True)
    net = FineGrainedRecurrent([layer], [4], 6, FineGrainedOptions())
    with torch.no_grad():
        for maps in (net.attention.value[0], net.attention.out):
            maps.get_parameter("weight").copy_(torch.eye(6))
        net.attention.out.bias.zero_()
    given = packed(torch.randn(5, 7, 4))
    (ours, (state, _)), (theirs, (expected, _)) = net(given), layer(given)
    torch.testing.assert_close(ours.data, theirs.data)
    assert torch.equal(ours.batch_sizes, theirs.batch_sizes)
    torch.testing.assert_close(state, expected)


def test_stacked_layers_are_refused() -> None:
    with pytest.raises(TypeError, match="one layer"):
        FineGrainedRecurrent([nn.LSTM(2, 3, num_layers=2)], [2], 3, FineGrainedOptions())


def test_resized_keeps_a_recurrent_layers_settings() -> None:
    fresh = resized(nn.GRU(7, 5, bidirectional=True, bias=False), 2)
    assert isinstance(fresh, nn.GRU)
    assert (fresh.input_size, fresh.hidden_size, fresh.bidirectional, fresh.bias) == (2, 5, True, False)


def cell_model(model: str, states: Literal["own", "combined"]) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A small MFN or Graph-MFN with -fg, and inputs for it."""
    spec = planned_spec({"base": "synthetic"}, model, "fg", finegrained=FineGrainedOptions(cell_states=states))
    torch.manual_seed(3)
    lengths = 1 if spec.hyper["need_normalized"] else 6
    inputs = (torch.randn(3, 8, 768), torch.randn(3, lengths, 33), torch.randn(3, lengths, 709))
    return build_model(spec).eval(), inputs


@pytest.mark.parametrize("model", ["MFN", "Graph-MFN"])
def test_groups_may_keep_states_of_their_own(model: str) -> None:
    """The same parameters, another wiring; and nothing is left over from one forward pass to the next."""
    (own, inputs), (combined, _) = cell_model(model, "own"), cell_model(model, "combined")
    assert own.state_dict().keys() == combined.state_dict().keys()
    first, again, other = own(*inputs)["M"], own(*inputs)["M"], combined(*inputs)["M"]
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_own_states_by_hand() -> None:
    """Three steps of two groups, written out; the first starts from the state that the model hands over."""
    torch.manual_seed(5)
    cells = [nn.LSTMCell(2, 4), nn.LSTMCell(3, 4)]
    cell = FineGrainedCell(cells, [2, 3], 4, FineGrainedOptions(cell_states="own"))

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell

        def forward(self, steps: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            for step in steps:
                state = self.cell(step, state)
            return torch.cat(state, dim=1)

    loop = Loop()
    cell.bind(loop)
    steps, start = torch.randn(3, 6, 5), (torch.randn(6, 4), torch.randn(6, 4))
    mine = [start, start]
    for step in steps:
        mine = [cells[0](step[:, :2], mine[0]), cells[1](step[:, 2:], mine[1])]
    expected = [cell.attention(torch.stack([a, b], dim=1).unsqueeze(1)).squeeze(1) for a, b in zip(*mine, strict=True)]
    assert torch.allclose(loop(steps, start), torch.cat(expected, dim=1), atol=1e-6)
    with pytest.raises(RuntimeError, match="bind"):
        cell(steps[0], start)
