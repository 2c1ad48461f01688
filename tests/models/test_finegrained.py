"""The fine-grained method: the printed parameter counts, closed forms of the attention, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from harness import models
from harness.data import load_definition
from harness.errors import InputError
from harness.models.finegrained import FineGrainedCell, FineGrainedExtractor, HeadAttention, resized
from harness.plan import load_datasets, make_plan
from harness.spec import FineGrainedOptions, RunSpec, Suite, Variant

# Table 4 and 5's Params to the unit, as the model sheets give them: leaf modules only, no raw parameters.
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
}
COUNTED = (nn.Linear, nn.Conv1d, nn.LSTM, nn.LSTMCell, nn.BatchNorm1d, nn.LayerNorm)


def spec_for(dataset: Any, model: str, variant: Variant, **changes: Any) -> RunSpec:
    from pathlib import Path

    suite = Suite(name="t", datasets=(dataset,), models=(model,), variants=(variant,), seeds=(7,), **changes)
    return make_plan(suite, load_datasets(suite, Path()), lambda _dataset, _setting: "0" * 64).runs[0]


def built(spec: RunSpec) -> nn.Module:
    models.seed_everything(spec.seed)
    return models.build(spec)


def leaf_parameters(model: nn.Module) -> int:
    return sum(p.numel() for m in model.modules() if isinstance(m, COUNTED) for p in m.parameters(recurse=False))


@pytest.mark.parametrize(("dataset", "model", "variant"), sorted(PRINTED))
def test_params_are_the_printed_ones(dataset: str, model: str, variant: Variant) -> None:
    assert leaf_parameters(built(spec_for(dataset, model, variant))) == PRINTED[dataset, model, variant]


@pytest.mark.parametrize("model", models.names())
@pytest.mark.parametrize("variant", ["fg", "a", "v"])
def test_only_the_extractors_change(model: str, variant: Variant) -> None:
    """Other parts have the original's names and, for the same seed, its very weights."""
    small = {"base": "synthetic"}
    hyper = {"TFN": {"hidden_dims": [16, 8, 12], "text_out": 10}}
    original = built(spec_for(small, model, "original", hyper=hyper)).state_dict()
    changed_spec = spec_for(small, model, variant, hyper=hyper)
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


@pytest.mark.parametrize("model", models.names())
@pytest.mark.parametrize("variant", ["original", "fg"])
def test_outputs_and_features_have_the_original_shapes(model: str, variant: Variant) -> None:
    spec = spec_for({"base": "synthetic"}, model, variant, hyper={"TFN": {"hidden_dims": [16, 8, 12], "text_out": 10}})
    network = built(spec).eval()
    shapes = spec.data.shapes
    lengths = {m: 1 if spec.hyper.get("need_normalized") and m != "text" else n for m, n in shapes.lengths.items()}
    inputs = [torch.randn(5, lengths[m], shapes.widths[m]) for m in ("text", "audio", "vision")]
    with torch.no_grad():
        first, second = network(*inputs), network(*inputs)
    assert first["M"].shape == (5, 1)
    assert torch.equal(first["M"], second["M"])
    features = models.entry(model).taps.read(network, first, {})
    assert set(features) == {"text", "audio", "vision", "fusion"}
    assert all(tensor.shape[0] == 5 and tensor.dim() == 2 for tensor in features.values())
    for modality in ("audio", "vision"):
        site = models.entry(model).sites[modality]
        factor = 2 if model == "MulT" else 1  # MulT's feature is the pair of its two cross-modal streams
        assert features[modality].shape[1] == factor * site.width(spec.hyper)


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
