"""Which stored arrays a run reads, and whether a feature file has them. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.data.cache import Features, Split
from harness.errors import DataError
from harness.spec import SPLITS, Task, TextEncoder

__all__ = ["InputChoice", "require"]


@dataclass(frozen=True)
class InputChoice:
    """Which stored array feeds each modality: token ids or ready text features, all time steps or their mean."""

    text: str = "text"
    audio: str = "audio"
    vision: str = "vision"

    @classmethod
    def from_hyper(cls, hyper: Mapping[str, Any]) -> InputChoice:
        """Read MMSA's switches ``use_bert`` and ``need_normalized``."""
        suffix = "_mean" if hyper.get("need_normalized") else ""
        return cls("text_bert" if hyper.get("use_bert") else "text", f"audio{suffix}", f"vision{suffix}")


def require(
    features: Features,
    inputs: InputChoice,
    task: Task,
    *,
    who: str,
    lengths: bool = False,
    unimodal_labels: bool = False,
    encoder: TextEncoder | None = None,
) -> None:
    """Check that a feature file holds what a run reads.

    Parameters
    ----------
    features : Features
        The converted file.
    inputs, task
        What the run reads of it.
    who : str
        The model, for messages.
    lengths : bool
        Whether it packs audio and vision by their own lengths.
    unimodal_labels : bool
        Whether it learns from labels per modality.
    encoder : TextEncoder, optional
        Its text encoder, whose vocabulary and longest text bound the tokens.

    Raises
    ------
    DataError
        If an array or the labels of the task are missing in a split.
    """
    for name in SPLITS:
        split = features.splits[name]
        if missing := [key for key in vars(inputs).values() if key not in split.arrays]:
            raise DataError(
                f"the feature file has no '{missing[0]}' array, which {who} reads",
                where=f"split '{name}'",
                hint="use a feature file that holds it, or leave the model out",
            )
        for key in (task, *(f"{task}_{letter}" for letter in ("TAV" if unimodal_labels else ""))):
            if key not in split.labels:
                named = key.replace("_", "_labels_") if "_" in key else f"{key}_labels"
                raise DataError(
                    f"the feature file has no {named}, which {who} needs",
                    where=f"split '{name}'",
                    hint="run another task or model, or add them to the file",
                )
        if lengths:
            _require_lengths(split, who)
        if encoder is not None:
            _require_tokens(split, encoder, who)


def _require_lengths(split: Split, who: str) -> None:
    for modality in ("audio", "vision"):
        key = f"{modality}_lengths"
        if key not in split.arrays:
            raise DataError(
                f"the feature file has no {key}, by which {who} packs",
                where=f"split '{split.name}'",
                hint=f"add them, or set hyper.{who}.need_data_aligned for a file that is aligned",
            )
        steps = split.arrays[modality].shape[1]
        wrong = int(np.count_nonzero((split.arrays[key] < 1) | (split.arrays[key] > steps)))
        if wrong:
            raise DataError(
                f"{wrong} of the {key} are not between 1 and {steps}, and {who} packs by them",
                where=f"split '{split.name}'",
                hint="mend the file: an utterance without any step has length 1 and a row of zeros",
            )


def _require_tokens(split: Split, encoder: TextEncoder, who: str) -> None:
    tokens = split.arrays["text_bert"]
    size, longest = int(encoder.config["vocab_size"]), int(encoder.config["max_position_embeddings"])
    highest = int(tokens[:, 0].max(initial=0))
    if highest >= size:
        raise DataError(
            f"token ids reach {highest}, but the text encoder {encoder.name} of {who} knows {size} tokens",
            where=f"split '{split.name}'",
            hint="choose the encoder whose vocabulary the file was written with (text_encoder of the suite)",
        )
    if tokens.shape[2] > longest:
        raise DataError(
            f"texts are {tokens.shape[2]} tokens long, but the text encoder {encoder.name} of {who} takes {longest}",
            where=f"split '{split.name}'",
            hint="choose another encoder, or shorten the texts",
        )
    if empty := int(np.count_nonzero(tokens[:, 1].sum(axis=1) < 1)):
        raise DataError(
            f"{empty} utterances have no token at all, and {who} reads tokens",
            where=f"split '{split.name}'",
            hint="give them at least [CLS] and [SEP]",
        )
