"""What the registry knows of a model, built-in and plug-in alike: one small frozen record per model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from harness.spec import Modality, NonVerbal, Shapes, Task

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["Blueprint", "Hyper", "ModelEntry", "Site", "Taps"]

Hyper: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Blueprint:
    """What a model is built from.

    Attributes
    ----------
    hyper : mapping
        The full hyper-parameters.
    shapes : Shapes
        Widths and lengths of the features that the model will get; for a model with a text encoder the text width is
        the encoder's.
    task : Task
        One output in regression, three logits in classification.
    column : str
        MMSA's name of the data set column: "mosi", "mosei" or "sims".
    device : str
        Where the model shall live.
    encoder : nn.Module or None
        The text encoder, (B, 3, L) to (B, L, width), of a model whose hyper-parameters set ``use_bert``; built before
        the rest of the model, as MMSA does.
    """

    hyper: Hyper
    shapes: Shapes
    task: Task
    column: str
    device: str = "cpu"
    encoder: nn.Module | None = None

    @property
    def outputs(self) -> int:
        """Width of the prediction."""
        return 1 if self.task == "regression" else 3


@dataclass(frozen=True)
class Site:
    """Where a modality's extractor sits in the built model.

    ``path`` is its dotted name, ``layout`` how it takes its input (see `harness.models.finegrained.Layout`),
    ``width`` gives h, the width of its output, and ``rebuild`` makes a fresh extractor for
    another input width (None: a standard layer, rebuilt by type). ``kernel`` says how the fine-grained method computes
    all groups at once: a name in `harness.models.grouped.KERNELS`, so that planning a suite imports no torch, or a
    callable such as those there (None: a standard layer, or one group after another).
    """

    path: str
    layout: Literal["features_last", "channels_first", "cell", "packed"]
    width: Callable[[Blueprint], int]
    rebuild: Callable[[nn.Module, int], nn.Module] | None = None
    kernel: str | Callable[..., torch.Tensor] | None = None


@dataclass(frozen=True)
class Taps:
    """How to read a model's learned features, each (B, width), after a forward pass.

    ``captured`` names modules whose input is wanted; ``read`` gets the model, its outputs and those inputs, and
    returns features under ``text``, ``audio``, ``vision`` and ``fusion``, as far as the model has them.
    """

    read: Callable[[nn.Module, Mapping[str, Any], Mapping[str, torch.Tensor]], dict[str, torch.Tensor]]
    captured: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelEntry:
    """A model as the harness sees it.

    Parameters
    ----------
    name : str
        As spelt in the paper, or by its author.
    subnets : mapping
        Kind of network that first reads each modality (Table 3).
    tasks : tuple of Task
        Tasks it takes (Table 3).
    defaults : callable
        Hyper-parameters by MMSA's data set column ("mosi", "mosei", "sims"), or None where there are none. They hold
        ``need_data_aligned``, the data setting the model is run in where the data set offers both (Table 4).
    build : callable
        From a `Blueprint` to the model, ready on the device; it is called like ``model(text, audio, vision)`` and
        returns a mapping with the prediction under ``M``.
    recipe : str or callable
        Name of a training recipe, or what makes one from model, hyper-parameters and task (a class derived from
        `harness.training.recipes.Recipe`).
    sites : mapping
        Where the fine-grained method attaches.
    taps : Taps
        How to read learned features.
    packs_by : callable
        By what it packs audio and vision, given its hyper-parameters: ``text`` lengths (they must be at least as long
        as the text), their own ``lengths``, or nothing.
    encoder_width : str
        The hyper-parameter that must be the width of the text encoder, if there is one.
    unimodal_labels : bool
        Whether it is trained on labels per modality.
    no_lone_sample : str
        Why it cannot learn from a batch of one utterance; empty if it can.
    lone_evaluation : bool
        Whether it can evaluate a batch of one utterance.
    check : callable, optional
        Given hyper-parameters, shapes and the modalities to split, raises `InputError` where they cannot work together.
    notes : tuple of str
        What a reader of a report should know about the reference implementation.
    """

    name: str
    subnets: Mapping[Modality, str]
    tasks: tuple[Task, ...]
    defaults: Callable[[str], dict[str, Any] | None]
    build: Callable[[Blueprint], nn.Module]
    recipe: str | Callable[[nn.Module, Hyper, Task], Any]
    sites: Mapping[NonVerbal, Site]
    taps: Taps
    packs_by: Callable[[Hyper], Literal["text", "lengths", ""]] = lambda _hyper: ""
    encoder_width: str = ""
    unimodal_labels: bool = False
    no_lone_sample: str = ""
    lone_evaluation: bool = True
    check: Callable[[Hyper, Shapes, tuple[NonVerbal, ...]], None] | None = None
    notes: tuple[str, ...] = field(default=())
