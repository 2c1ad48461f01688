"""ALMT: a hyper-modality, learned under the guidance of language, that language then reads.

Zhang, Wang, Yin, Liu, Liu and Yu: *Learning Language-guided Adaptive Hyper-modality Representation for Multimodal
Sentiment Analysis*, EMNLP 2023, pages 756-767. Written afresh; where the paper leaves something open, the choice is
that of the authors' public reference implementation, marked as such below. Nothing is dropped out outside the text
encoder, and padding takes part in all attention but the text encoder's.
"""

from __future__ import annotations

import torch
from torch import nn

from harness.models.blocks import Attention, CrossBlock, SelfBlock
from harness.models.entry import Blueprint, Hyper

__all__ = ["ALMT", "Fusion", "HyperLayer", "ModalityEmbedding", "TextGuide"]


class ALMT(nn.Module):
    """The whole model.

    Parameters
    ----------
    blueprint : Blueprint
        With a text encoder. The positional tables are as long as its shapes say, so that every batch must have
        exactly those lengths.
    """

    def __init__(self, blueprint: Blueprint) -> None:
        super().__init__()
        if blueprint.encoder is None:
            raise ValueError("ALMT reads token ids: its blueprint must hold a text encoder")
        hyper, shapes = blueprint.hyper, blueprint.shapes
        width = hyper["hidden_dim"]
        self.text_model = blueprint.encoder
        self.text_embedding = ModalityEmbedding(hyper, shapes.widths["text"], shapes.lengths["text"])
        self.audio_embedding = ModalityEmbedding(hyper, shapes.widths["audio"], shapes.lengths["audio"])
        self.vision_embedding = ModalityEmbedding(hyper, shapes.widths["vision"], shapes.lengths["vision"])
        self.text_guide = TextGuide(hyper)
        # Ones, as in the reference implementation: the first layer normalises them to zero, and only their gradient
        # (about 316 times that of what they become) tells them apart.
        self.hyper_tokens = nn.Parameter(torch.ones(1, hyper["token_count"], width))
        self.hyper_layers = nn.ModuleList(
            HyperLayer(width, hyper["num_heads"], hyper["hyper_head_dim"]) for _ in range(hyper["hyper_depth"])
        )
        self.fusion = Fusion(hyper)
        self.head = nn.Linear(width, blueprint.outputs)

    def forward(self, text: torch.Tensor, audio: torch.Tensor, vision: torch.Tensor) -> dict[str, torch.Tensor]:
        """Predict, and return what was learned on the way.

        Parameters
        ----------
        text : torch.Tensor
            (B, 3, L_t): token ids, attention mask and segment ids.
        audio, vision : torch.Tensor
            (B, L_a, d_a) and (B, L_v, d_v).

        Returns
        -------
        dict
            ``M``, the prediction (B, outputs); ``tokens_text``, ``tokens_audio``, ``tokens_vision``, each modality's
            tokens (B, K, width); ``hyper``, the hyper-modality (B, K, width); ``fusion``, the class token (B, width).
        """
        tokens_text = self.text_embedding(self.text_model(text))
        tokens_audio = self.audio_embedding(audio)
        tokens_vision = self.vision_embedding(vision)
        guides = self.text_guide(tokens_text)
        hyper = self.hyper_tokens.expand(len(text), -1, -1)
        for layer, guide in zip(self.hyper_layers, guides, strict=True):
            hyper = layer(guide, tokens_audio, tokens_vision, hyper)
        fusion = self.fusion(hyper, guides[-1])
        return {
            "M": self.head(fusion),
            "tokens_text": tokens_text,
            "tokens_audio": tokens_audio,
            "tokens_vision": tokens_vision,
            "hyper": hyper,
            "fusion": fusion,
        }


class ModalityEmbedding(nn.Module):
    """Squeeze a modality of any length into K tokens that a small Transformer lets read the sequence.

    Parameters
    ----------
    hyper : Hyper
        Of the model.
    features, length : int
        Width and number of steps of the modality.
    """

    def __init__(self, hyper: Hyper, features: int, length: int) -> None:
        super().__init__()
        width, count = hyper["hidden_dim"], hyper["token_count"]
        self.project = nn.Linear(features, width)
        self.tokens = nn.Parameter(torch.zeros(1, count, width))
        self.positions = nn.Parameter(torch.randn(1, count + length, width))
        self.blocks = nn.ModuleList(_self_block(hyper) for _ in range(hyper["embedding_depth"]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, L, features) to tokens (B, K, width): the first K positions, where the learned tokens were put."""
        tokens = torch.cat([self.tokens.expand(len(x), -1, -1), self.project(x)], dim=1) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return tokens[:, : self.tokens.shape[1]]


class TextGuide(nn.Module):
    """Text tokens at rising depth, which guide one layer of the hyper-modality each."""

    def __init__(self, hyper: Hyper) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, hyper["token_count"], hyper["hidden_dim"]))
        self.blocks = nn.ModuleList(_self_block(hyper) for _ in range(hyper["hyper_depth"] - 1))

    def forward(self, tokens: torch.Tensor) -> list[torch.Tensor]:
        """Map tokens (B, K, width) to one tensor (B, K, width) per hyper-modality layer.

        The first is what goes into the first block, positions included (reference implementation); the others are
        what comes out of each block.
        """
        levels = [tokens + self.positions]
        for block in self.blocks:
            levels.append(block(levels[-1]))
        return levels


class HyperLayer(nn.Module):
    """One step of adaptive hyper-modality learning: text queries audio and vision, the hyper-modality takes it in.

    With normalised text t, audio a, vision v and hyper-modality z, the result is
    z + W [softmax(q k_a / s) v_a + softmax(q k_v / s) v_v] + b, where q comes from t, keys and values from a and v, and
    s is the square root of the head width. The residual starts from the *normalised* z and there is no feed-forward
    part (reference implementation).

    Parameters
    ----------
    width : int
        Of all four sequences.
    heads, head_width : int
        Of the attention.
    """

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        inner = heads * head_width
        self.norm_text = nn.LayerNorm(width)
        self.norm_audio = nn.LayerNorm(width)
        self.norm_vision = nn.LayerNorm(width)
        self.norm_hyper = nn.LayerNorm(width)
        self.query = nn.Linear(width, inner, bias=False)
        self.key_audio = nn.Linear(width, inner, bias=False)
        self.value_audio = nn.Linear(width, inner, bias=False)
        self.key_vision = nn.Linear(width, inner, bias=False)
        self.value_vision = nn.Linear(width, inner, bias=False)
        self.attention = Attention(heads, head_width)
        self.out = nn.Linear(inner, width)

    def forward(
        self, text: torch.Tensor, audio: torch.Tensor, vision: torch.Tensor, hyper: torch.Tensor
    ) -> torch.Tensor:
        """Map four sequences (B, K, width) to the next hyper-modality (B, K, width)."""
        query, audio, vision = self.query(self.norm_text(text)), self.norm_audio(audio), self.norm_vision(vision)
        heard = self.attention(query, self.key_audio(audio), self.value_audio(audio))
        seen = self.attention(query, self.key_vision(vision), self.value_vision(vision))
        updated: torch.Tensor = self.norm_hyper(hyper) + self.out(heard + seen)
        return updated


class Fusion(nn.Module):
    """A class token, put in front of text and hyper-modality alike, reads the hyper-modality.

    Text is the target and the hyper-modality the source. As positions of a target do not see each other (see
    `CrossBlock`), text itself does not reach the result here, only through the hyper-modality, and the target's
    positions after the first are never trained. They are kept, as in the reference implementation, for the published
    costs.
    """

    def __init__(self, hyper: Hyper) -> None:
        super().__init__()
        width, count = hyper["hidden_dim"], hyper["token_count"]
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.source_positions = nn.Parameter(torch.randn(1, 1 + count, width))
        self.target_positions = nn.Parameter(torch.randn(1, 1 + count, width))
        self.blocks = nn.ModuleList(
            CrossBlock(width, hyper["num_heads"], hyper["head_dim"], hyper["mlp_dim"])
            for _ in range(hyper["fusion_depth"])
        )

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Map source and target, each (B, K, width), to the target's class token (B, width)."""
        token = self.token.expand(len(source), -1, -1)
        source = torch.cat([token, source], dim=1) + self.source_positions
        target = torch.cat([token, target], dim=1) + self.target_positions
        for block in self.blocks:
            target = block(source, target)
        return target[:, 0]


def _self_block(hyper: Hyper) -> SelfBlock:
    return SelfBlock(hyper["hidden_dim"], hyper["num_heads"], hyper["head_dim"], hyper["mlp_dim"])
