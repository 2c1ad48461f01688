"""TETFN: the published counts of parameters and multiplications, part by part, with and without -fg."""

from __future__ import annotations

import pytest
from torch import nn

from harness.models.tetfn import FrontEnd
from harness.models.tetfn_entry import ENTRY
from tests.models.counts import BERT_MACS, BERT_PARAMS, BERT_TRAINABLE, leaf_parameters, multiplications, trainable
from tests.models.tetfn_model import SHAPES, full_size, inputs_for

BATCH = {"mosei": 32, "sims": 64}


@pytest.mark.parametrize(
    ("column", "params", "total"), [("mosei", 86_615_052, 110_739_600), ("sims", 86_887_660, 103_797_616)]
)
def test_parameters_are_the_published_ones(column: str, params: int, total: int) -> None:
    model = full_size(column)
    assert leaf_parameters(model) + BERT_PARAMS == params
    assert trainable(model) + BERT_TRAINABLE[column] == total


@pytest.mark.parametrize(
    ("column", "text", "audio", "vision", "audio_head", "vision_head"),
    [
        ("mosei", 38_400, (13_824, 1_600), (8_832, 1_600), 2_721, 1_105),
        ("sims", 115_200, (3_264, 4_000), (198_400, 16_000), 1_105, 2_721),
    ],
)
def test_parameters_of_each_part(
    column: str, text: int, audio: tuple[int, int], vision: tuple[int, int], audio_head: int, vision_head: int
) -> None:
    model = full_size(column)

    def both(*parts: nn.Module) -> tuple[int, int]:
        return leaf_parameters(*parts), trainable(*parts)

    assert both(model.text_model) == (0, 0)
    assert both(model.project_text) == (text, text)
    for front, expected in ((model.audio_model, audio), (model.video_model, vision)):
        assert isinstance(front, FrontEnd)
        assert (trainable(front.lstm), trainable(front.conv)) == expected
    cross = (model.text_from_audio, model.text_from_vision, model.audio_from_text, model.vision_from_text)
    assert both(*cross) == (184_400, 245_600)
    assert both(cross[0]) == (46_100, 61_400)
    assert both(model.audio_from_vision.lower) == (23_100, 30_750)
    assert both(model.audio_from_vision, model.vision_from_audio) == (138_400, 184_300)
    assert both(model.memory_text) == (182_200, 242_800)
    assert both(model.memory_text, model.memory_audio, model.memory_vision) == (546_600, 728_400)
    heads = (model.fusion_head, model.text_head, model.audio_head, model.vision_head)
    assert [trainable(head) for head in heads] == [23_489, 7_489, audio_head, vision_head]


@pytest.mark.parametrize(
    ("column", "fine", "macs"),
    [
        ("mosei", False, 137_540_015_104),
        ("sims", False, 215_043_783_168),
        ("mosei", True, 137_867_208_704),
        ("sims", True, 215_666_144_768),
    ],
)
def test_multiplications_are_the_published_ones(column: str, fine: bool, macs: int) -> None:
    """Every one of them is per utterance, so that two stand for the whole batch."""
    counted = multiplications(full_size(column, fine=fine), *inputs_for(SHAPES[column], 2)).total()
    assert BATCH[column] * (counted // 2 + BERT_MACS[column]) == macs


@pytest.mark.parametrize(
    ("column", "params", "total"), [("mosei", 86_726_526, 110_851_074), ("sims", 87_100_044, 104_010_000)]
)
def test_fine_grained_parameters_are_the_published_ones(column: str, params: int, total: int) -> None:
    model = full_size(column, fine=True)
    assert leaf_parameters(model) + BERT_PARAMS == params
    assert trainable(model) + BERT_TRAINABLE[column] == total


def test_batch_sizes_are_those_of_the_published_costs() -> None:
    for column, size in BATCH.items():
        defaults = ENTRY.defaults(column)
        assert defaults is not None
        assert defaults["batch_size"] == size
