"""TMT: tokens that gather what modalities share and what is each one's own, and two encoders that exchange them.

Yin et al.: *Token-disentangling Mutual Transformer for multimodal emotion recognition*, Engineering Applications of
Artificial Intelligence 133 (2024) 108348. Written afresh; where the paper leaves something open, the choice is that of
the authors' public reference implementation, marked as such below. Padding takes part in all attention. The losses that
make the tokens what they are called stand in `harness.training.recipes.scheduled`.
"""

from __future__ import annotations

import torch
from torch import nn

from harness.models.blocks import CrossBlock, SelfBlock
from harness.models.entry import Blueprint, Hyper

__all__ = ["TMT", "JointEncoder", "MutualEncoder"]


class TMT(nn.Module):
    """The whole model.

    Parameters
    ----------
    blueprint : Blueprint
        The joint positional table has a row for every step of the lengths in its shapes, so that every batch must
        have exactly those lengths.
    """

    def __init__(self, blueprint: Blueprint) -> None:
        super().__init__()
        hyper, shapes = blueprint.hyper, blueprint.shapes
        width, hidden = hyper["hidden_dim"], hyper["post_fusion_dim"]
        self.shared_tokens, self.specific_tokens = hyper["shared_tokens"], hyper["specific_tokens"]
        self.input_dropout = nn.Dropout(hyper["input_dropout"])
        self.project_vision = nn.Linear(shapes.widths["vision"], width)
        self.project_audio = nn.Linear(shapes.widths["audio"], width)
        self.project_text = nn.Linear(shapes.widths["text"], width)
        tokens = self.shared_tokens + 3 * self.specific_tokens
        self.joint_encoder = JointEncoder(hyper, tokens, sum(shapes.lengths.values()))
        self.specific_reads_shared = MutualEncoder(hyper)
        self.shared_reads_specific = MutualEncoder(hyper)
        # One linear map in two steps, with nothing in between (reference implementation).
        self.head = nn.Sequential(nn.Linear(width, hidden), nn.Linear(hidden, blueprint.outputs))

    def forward(self, text: torch.Tensor, audio: torch.Tensor, vision: torch.Tensor) -> dict[str, torch.Tensor]:
        """Predict, and return what the losses are computed from.

        Parameters
        ----------
        text : torch.Tensor
            (B, L_t, d_t): ready text features, not token ids.
        audio, vision : torch.Tensor
            (B, L_a, d_a) and (B, L_v, d_v).

        Returns
        -------
        dict
            ``M``, the prediction (B, outputs); ``sequence_text``, ``sequence_audio``, ``sequence_vision``, the
            projected modalities (B, L_m, width); ``specific_text``, ``specific_audio``, ``specific_vision``, their
            tokens (B, 2, width); ``shared``, the tokens of all (B, 6, width); ``fusion``, what is regressed (B, width).
        """
        seen = self.project_vision(self.input_dropout(vision))
        heard = self.project_audio(self.input_dropout(audio))
        read = self.project_text(self.input_dropout(text))
        tokens = self.joint_encoder(torch.cat([seen, heard, read], dim=1))
        shared, specific = tokens[:, : self.shared_tokens], tokens[:, self.shared_tokens :]
        specific_vision, specific_audio, specific_text = specific.split(self.specific_tokens, dim=1)
        fusion = self.specific_reads_shared(shared, specific) + self.shared_reads_specific(specific, shared)
        return {
            "M": self.head(fusion),
            "sequence_text": read,
            "sequence_audio": heard,
            "sequence_vision": seen,
            "specific_text": specific_text,
            "specific_audio": specific_audio,
            "specific_vision": specific_vision,
            "shared": shared,
            "fusion": fusion,
        }


class JointEncoder(nn.Module):
    """One Transformer over learned tokens and all modalities' steps.

    Parameters
    ----------
    hyper : Hyper
        Of the model.
    count : int
        Number of learned tokens, put in front.
    length : int
        Number of steps of all modalities together.
    """

    def __init__(self, hyper: Hyper, count: int, length: int) -> None:
        super().__init__()
        width = hyper["hidden_dim"]
        self.tokens = nn.Parameter(torch.randn(1, count, width))
        self.positions = nn.Parameter(torch.randn(1, count + length, width))
        self.dropout = nn.Dropout(hyper["embedding_dropout"])
        self.blocks = nn.ModuleList(
            SelfBlock(
                width,
                hyper["num_heads"],
                hyper["head_dim"],
                hyper["joint_mlp_dim"],
                hyper["block_dropout"],
            )
            for _ in range(hyper["joint_depth"])
        )

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        """Map the modalities' steps (B, N, width) to the learned tokens (B, count, width)."""
        tokens: torch.Tensor = torch.cat([self.tokens.expand(len(steps), -1, -1), steps], dim=1)
        tokens = self.dropout(tokens + self.positions)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens[:, : self.tokens.shape[1]]


class MutualEncoder(nn.Module):
    """One kind of tokens reads the other; the mean of what it becomes is the result.

    The positional tables are longer than there are tokens (reference implementation): their other rows are counted
    among the trainable parameters and never trained.
    """

    def __init__(self, hyper: Hyper) -> None:
        super().__init__()
        width, rows = hyper["hidden_dim"], hyper["mutual_positions"]
        self.source_positions = nn.Parameter(torch.randn(1, rows, width))
        self.target_positions = nn.Parameter(torch.randn(1, rows, width))
        self.dropout = nn.Dropout(hyper["embedding_dropout"])
        self.blocks = nn.ModuleList(
            CrossBlock(
                width,
                hyper["num_heads"],
                hyper["head_dim"],
                hyper["mutual_mlp_dim"],
                hyper["block_dropout"],
            )
            for _ in range(hyper["mutual_depth"])
        )

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Map source (B, S, width) and target (B, T, width) to the mean of the target's tokens (B, width)."""
        source = self.dropout(source + self.source_positions[:, : source.shape[1]])
        target = self.dropout(target + self.target_positions[:, : target.shape[1]])
        for block in self.blocks:
            target = block(source, target)
        return target.mean(dim=1)
