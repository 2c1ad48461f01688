"""A BERT as the models of this house take it: token ids, mask and segments in, hidden states out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from harness.errors import InputError
from harness.spec import TextEncoder

__all__ = ["BertEncoder", "pretrained_encoder", "random_encoder"]


class BertEncoder(nn.Module):
    """Hidden states of the last layer of a BERT.

    Parameters
    ----------
    model : nn.Module
        A transformers ``BertModel``.
    width : int
        Width of its hidden states.
    finetune : bool
        Whether it is trained; if not, it runs without gradients.
    """

    def __init__(self, model: nn.Module, width: int, finetune: bool = True) -> None:
        super().__init__()
        self.model = model
        self.width = width
        self.finetune = finetune
        model.requires_grad_(finetune)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, L), rows token ids, attention mask and segment ids, to hidden states (B, L, width)."""
        ids, mask, segments = text[:, 0].long(), text[:, 1].float(), text[:, 2].long()
        with contextlib.nullcontext() if self.finetune else torch.no_grad():
            outputs = self.model(input_ids=ids, attention_mask=mask, token_type_ids=segments)
        states: torch.Tensor = outputs[0]
        return states


def random_encoder(spec: TextEncoder, finetune: bool = True) -> BertEncoder:
    """Build an encoder with fresh weights, drawn from torch's global generator."""
    from transformers import BertConfig, BertModel

    settings: dict[str, Any] = dict(spec.config)
    with _quiet():
        model: nn.Module = BertModel(BertConfig(**settings))
    return BertEncoder(model, spec.width, finetune)


def pretrained_encoder(spec: TextEncoder, folder: Path, finetune: bool = True) -> BertEncoder:
    """Build an encoder with the weights in a local folder, in single precision.

    Raises
    ------
    InputError
        If they cannot be read, or do not fit the folder's configuration.
    """
    from safetensors import SafetensorError
    from transformers import BertConfig, BertModel

    settings: dict[str, Any] = dict(spec.config)
    try:
        with _quiet():
            # By the spec and not by all that the folder's config.json says: the spec is what identifies a run.
            loaded: Any = BertModel.from_pretrained(
                str(folder),
                config=BertConfig(**settings),
                local_files_only=True,
                output_loading_info=True,
                weights_only=True,
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError, UnpicklingError) as error:
        raise InputError(
            f"the weights of the text encoder cannot be read: {str(error)[:300]}",
            where=str(folder),
            hint="get the whole model anew",
        ) from error
    model, info = loaded
    missing = sorted(name for name in info["missing_keys"] if "pooler" not in name)
    if missing:
        raise InputError(
            f"the text encoder lacks {len(missing)} of its weights, {missing[0]} among them",
            where=str(folder),
            hint="use a folder whose weights are those of a BertModel",
        )
    return BertEncoder(model.float(), spec.width, finetune)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars and load reports out of logs and of the live display."""
    from transformers.utils import logging as library

    logging: Any = library
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
