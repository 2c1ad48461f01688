"""TETFN: cross-modal Transformers in which audio and vision meet each other only by way of text.

Wang, Guo, Tian, Liu, He and Luo: *TETFN: A text enhanced transformer fusion network for multimodal sentiment
analysis*, Pattern Recognition 136 (2023) 109259. Written afresh; where the paper leaves something open, the choice is
that of the port in MMSA's repository, called the reference below. It differs from the paper in its visual features:
those of the feature file, not a vision Transformer's. True lengths are never used: padding takes part in everything
but the text encoder's attention.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from harness.models.entry import Blueprint, Hyper

__all__ = ["TETFN", "FrontEnd", "Head", "Positions", "TextEnhanced", "pool_frames", "rebuild_front_end"]

_DEPTH = 2
"""Layers of an encoder. The reference has a setting for it and does not read it."""


class TETFN(nn.Module):
    """The whole model.

    Its sub-modules ``text_model``, ``audio_model`` and ``video_model`` are what the recipe trains at rates of their
    own; the convolution over text is not among them (reference).

    Parameters
    ----------
    blueprint : Blueprint
        With a text encoder. Batches may have other lengths than its shapes say.
    """

    def __init__(self, blueprint: Blueprint) -> None:
        super().__init__()
        if blueprint.encoder is None:
            raise ValueError("TETFN reads token ids: its blueprint must hold a text encoder")
        hyper, widths = blueprint.hyper, blueprint.shapes.widths
        width, kernel = hyper["dst_feature_dims"], hyper["conv1d_kernel_size_a"]
        self.text_model = blueprint.encoder
        # The kernel of audio for vision too, whatever a kernel of its own may be set to (reference).
        self.audio_model: nn.Module = FrontEnd(widths["audio"], hyper["a_lstm_hidden_size"], width, kernel)
        self.video_model: nn.Module = FrontEnd(widths["vision"], hyper["v_lstm_hidden_size"], width, kernel)
        self.project_text = nn.Conv1d(widths["text"], width, hyper["conv1d_kernel_size_l"], bias=False)

        self.text_from_audio = _encoder(hyper, "attn_dropout_a")
        self.text_from_vision = _encoder(hyper, "attn_dropout_v")
        self.audio_from_text = _encoder(hyper)
        self.vision_from_text = _encoder(hyper)
        self.audio_from_vision = TextEnhanced(hyper)
        self.vision_from_audio = TextEnhanced(hyper)
        self.memory_text = _encoder(hyper, parts=2)
        self.memory_audio = _encoder(hyper, parts=2)
        self.memory_vision = _encoder(hyper, parts=2)

        self.fusion_head = Head(6 * width, hyper["post_fusion_dim"], hyper["post_fusion_dropout"])
        self.text_head = Head(width, hyper["post_text_dim"], hyper["post_text_dropout"])
        self.audio_head = Head(width, hyper["post_audio_dim"], hyper["post_audio_dropout"])
        self.vision_head = Head(width, hyper["post_video_dim"], hyper["post_video_dropout"])

    def forward(self, text: torch.Tensor, audio: torch.Tensor, vision: torch.Tensor) -> dict[str, torch.Tensor]:
        """Predict from all modalities and from each alone.

        Parameters
        ----------
        text : torch.Tensor
            (B, 3, L_t): token ids, attention mask and segment ids.
        audio, vision : torch.Tensor
            (B, L_a, d_a) and (B, L_v, d_v), both pooled to L_t steps here.

        Returns
        -------
        dict
            ``M``, ``T``, ``A``, ``V``: the predictions (B, 1); ``Feature_f``, ``Feature_t``, ``Feature_a``,
            ``Feature_v``: what the heads made them from (B, width of the head).
        """
        steps = text.shape[-1]
        words = self.project_text(self.text_model(text).transpose(1, 2)).permute(2, 0, 1)
        sounds = self.audio_model(pool_frames(audio, steps)).transpose(0, 1)
        sights = self.video_model(pool_frames(vision, steps)).transpose(0, 1)

        fused = torch.cat(
            [
                _last(
                    self.memory_text,
                    self.text_from_audio(words, sounds, sounds),
                    self.text_from_vision(words, sights, sights),
                ),
                _last(
                    self.memory_audio,
                    self.audio_from_text(sounds, words, words),
                    self.audio_from_vision(sights, sounds, words),
                ),
                _last(
                    self.memory_vision,
                    self.vision_from_text(sights, words, words),
                    self.vision_from_audio(sounds, sights, words),
                ),
            ],
            dim=-1,
        )
        m, feature_f = self.fusion_head(fused)
        t, feature_t = self.text_head(words.max(dim=0).values)
        a, feature_a = self.audio_head(sounds.max(dim=0).values)
        v, feature_v = self.vision_head(sights.max(dim=0).values)
        return {
            "M": m,
            "T": t,
            "A": a,
            "V": v,
            "Feature_f": feature_f,
            "Feature_t": feature_t,
            "Feature_a": feature_a,
            "Feature_v": feature_v,
        }


def pool_frames(x: torch.Tensor, steps: int) -> torch.Tensor:
    """Average consecutive frames so that (B, L, d) becomes (B, steps, d).

    Every step is the mean of the same number of frames, the smallest that is enough; the last frame is repeated until
    they can be shared out (reference; MMSA 2.2.1 averages frames that stand a target length apart).
    """
    length = x.shape[1]
    if length == steps:
        return x
    size = -(-length // steps)
    missing = size * steps - length
    if missing:
        x = torch.cat([x, x[:, -1:].expand(-1, missing, -1)], dim=1)
    return x.reshape(len(x), steps, size, -1).mean(dim=2)


class FrontEnd(nn.Module):
    """What first reads audio and vision: an LSTM over all steps, padding included, then a convolution.

    Parameters
    ----------
    features : int
        Width of the modality.
    hidden : int
        Of the LSTM: one layer, one direction.
    width : int
        Of the result.
    kernel : int
        Steps that the convolution spans; it has neither padding nor bias.
    """

    def __init__(self, features: int, hidden: int, width: int, kernel: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, batch_first=True)
        self.conv = nn.Conv1d(hidden, width, kernel, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, features) to (B, T - kernel + 1, width)."""
        states, _ = self.lstm(x)
        steps: torch.Tensor = self.conv(states.transpose(1, 2))
        return steps.transpose(1, 2)


def rebuild_front_end(module: nn.Module, features: int) -> nn.Module:
    """Build a fresh `FrontEnd` for another input width."""
    assert isinstance(module, FrontEnd), "the site of the fine-grained method is a front end"
    return FrontEnd(features, module.lstm.hidden_size, module.conv.out_channels, module.conv.kernel_size[0])


class TextEnhanced(nn.Module):
    """A target modality reads a source modality that has read text before; both steps with positions."""

    def __init__(self, hyper: Hyper) -> None:
        super().__init__()
        self.lower = _encoder(hyper, depth=1, positions=True)
        self.upper = _encoder(hyper, positions=True)

    def forward(self, source: torch.Tensor, target: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Map source (S, B, width), target (T, B, width) and text (L, B, width) to the new target (T, B, width)."""
        informed = self.lower(source, text, text)
        enhanced: torch.Tensor = self.upper(target, informed, informed)
        return enhanced


class Head(nn.Module):
    """Regress a vector by way of two hidden layers, the first of which is the learned feature.

    Parameters
    ----------
    features, width : int
        Of what comes in and of the hidden layers.
    dropout : float
        Probability of dropping an element of what comes in.
    """

    def __init__(self, features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.layer_1 = nn.Linear(features, width)
        self.layer_2 = nn.Linear(width, width)
        self.layer_3 = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (B, features) to the prediction (B, 1) and the feature (B, width)."""
        feature = functional.relu(self.layer_1(self.dropout(x)))
        return self.layer_3(functional.relu(self.layer_2(feature))), feature


class Positions(nn.Module):
    """Sinusoidal positions counted from 1; a step whose first channel is exactly 0 counts as padding and gets none.

    With E channels the first half are sines and the second half cosines of p * 10000^(-k / (E/2 - 1)), as fairseq has
    them. MMSA's own module, which computes the same, keeps its counter in a buffer that all models of a process share
    and that torch warns about when it grows.

    Parameters
    ----------
    width : int
        E: even, at least 4.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rates = width // 2

    def forward(self, first: torch.Tensor) -> torch.Tensor:
        """Map the first channel (B, T) of a sequence to its positions (B, T, width)."""
        place = torch.arange(1, first.shape[1] + 1, dtype=torch.float32, device=first.device)
        pace = torch.exp(torch.arange(self.rates, device=first.device) * -(math.log(10000) / (self.rates - 1)))
        angle = place.unsqueeze(1) * pace
        table = torch.cat([angle.sin(), angle.cos()], dim=1).to(first.dtype)
        return table * first.ne(0).unsqueeze(-1)


def _encoder(
    hyper: Hyper, dropout: str = "attn_dropout", *, parts: int = 1, depth: int = _DEPTH, positions: bool = False
) -> nn.Module:
    """Build MMSA's Transformer encoder, masked so that a step does not see later ones, for `parts` joined sequences.

    It is called with a query (T, B, width) and, unless it attends to itself, with a key and a value (S, B, width).
    """
    from MMSA.models.subNets.transformers_encoder.transformer import TransformerEncoder

    width = parts * hyper["dst_feature_dims"]
    encoder: Any = TransformerEncoder(
        embed_dim=width,
        num_heads=hyper["nheads"],
        layers=depth,
        attn_dropout=hyper[dropout],
        relu_dropout=hyper["relu_dropout"],
        res_dropout=hyper["res_dropout"],
        embed_dropout=hyper["embed_dropout"],
        attn_mask=True,
    )
    if positions:
        encoder.embed_positions = Positions(width)
    module: nn.Module = encoder
    return module


def _last(memory: nn.Module, *read: torch.Tensor) -> torch.Tensor:
    """Let what a modality read from the other two, (T, B, E) each, attend to itself; return the last step, (B, 2E)."""
    steps: torch.Tensor = memory(torch.cat(read, dim=-1))
    return steps[-1]
