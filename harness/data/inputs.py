"""Which stored arrays a run reads, and whether a feature file has them. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.data.cache import Features
from harness.errors import DataError
from harness.spec import SPLITS, Task

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


def require(features: Features, inputs: InputChoice, task: Task, *, who: str) -> None:
    """Check that a feature file holds what a run reads.

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
        if task not in split.labels:
            raise DataError(
                f"the feature file has no {task} labels, which {who} needs",
                where=f"split '{name}'",
                hint=f"run another task, or add {task}_labels to the file",
            )
