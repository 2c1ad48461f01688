"""One cell of a plan: whether it exists, and its runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness import models
from harness.errors import InputError
from harness.models.entry import ModelEntry
from harness.plan.fingerprint import sources_fingerprint
from harness.plan.parts import Cell
from harness.spec import (
    DatasetSpec,
    EncoderChoice,
    NonVerbal,
    RunData,
    RunSpec,
    SettingName,
    Shapes,
    Suite,
    Task,
    TextEncoder,
    Variant,
)

__all__ = ["encoder_choice", "make_cell", "setting_for"]


def make_cell(
    suite: Suite,
    dataset: DatasetSpec,
    task: Task,
    model: str,
    variant: Variant,
    fingerprint: Callable[[str, SettingName], str],
    encoder_of: Callable[[EncoderChoice], TextEncoder],
) -> Cell:
    """Decide whether a cell exists, and expand it into one run a seed.

    Raises
    ------
    InputError
        If hyper-parameters, data and text encoder cannot work together.
    """
    entry = models.entry(model)
    canonical = dataset.canonical(variant)
    skipped = _why_not(dataset, task, model, variant, canonical)
    hyper: dict[str, Any] = {}
    if entry.defaults(dataset.hyperparameters) is not None:
        hyper = models.resolve_hyper(model, dataset.hyperparameters, suite.hyper, dataset=dataset.name)
    setting = setting_for(hyper, dataset)
    if skipped or canonical is None:
        return Cell(dataset, setting, task, model, variant, None, (), skipped)
    encoder = encoder_of(encoder_choice(suite, dataset, hyper)) if hyper.get("use_bert") else None
    if encoder and entry.encoder_width:
        _take_width(hyper, entry, dataset, encoder.width)
    data = _run_data(dataset, setting, dataset.splits(canonical), entry.packs_by(hyper), model)
    data = data.model_copy(update={"sha256": fingerprint(dataset.name, setting)})
    split = dataset.splits(canonical)
    if entry.check is not None:
        entry.check(hyper, data.shapes, split)
    runs = tuple(
        RunSpec(
            model=model,
            task=task,
            variant=canonical,
            plugin=models.plugin_of(model),
            data=data,
            hyper=hyper,
            text_encoder=encoder,
            finegrained=suite.finegrained if split else None,
            seed=seed,
            threads=suite.threads,
            max_epochs=suite.max_epochs,
            sources=sources_fingerprint(),
        )
        for seed in sorted(suite.seeds)
    )
    alias = canonical if canonical != variant and canonical in suite.variants else None
    return Cell(dataset, setting, task, model, variant, alias, runs)


def _take_width(hyper: dict[str, Any], entry: ModelEntry, dataset: DatasetSpec, width: int) -> None:
    """Give the hyper-parameter that must be the text encoder's width that width."""
    key = entry.encoder_width
    default = (entry.defaults(dataset.hyperparameters) or {})[key]
    if hyper[key] not in (default, width):
        raise InputError(
            f"{key} is the width of the text encoder, which is {width}, not {hyper[key]}",
            where=f"hyper.{entry.name}.{key}",
            hint="leave it out",
        )
    hyper[key] = width


def setting_for(hyper: Mapping[str, Any], dataset: DatasetSpec) -> SettingName:
    """Return the data setting that a model asks for, or the one that there is."""
    wanted: SettingName = "aligned" if hyper.get("need_data_aligned") else "unaligned"
    return wanted if wanted in dataset.settings else next(iter(dataset.settings))


def encoder_choice(suite: Suite, dataset: DatasetSpec, hyper: Mapping[str, Any]) -> EncoderChoice:
    """Return the text encoder that a suite names for a data set's language, else the model's own default."""
    named = suite.text_encoder.get(dataset.language) or suite.text_encoder.get("*")
    return named or EncoderChoice(hub=str(hyper["pretrained"]))


def _run_data(
    dataset: DatasetSpec, setting: SettingName, split: tuple[NonVerbal, ...], packs_by: str, model: str
) -> RunData:
    shapes = dataset.shapes(setting)
    lengths, text_length = dict(shapes.lengths), shapes.lengths["text"]
    repeated: list[NonVerbal] = []
    for modality in ("audio", "vision") if packs_by == "text" else ():
        if lengths[modality] == 1 < text_length and dataset.repeat_single_steps:
            lengths[modality] = text_length
            repeated.append(modality)
        elif lengths[modality] < text_length:
            steps = "1 step" if lengths[modality] == 1 else f"{lengths[modality]} steps"
            raise InputError(
                f"{model} packs {modality} by the text lengths, but {dataset.title} has {steps} of it "
                f"and {text_length} of text",
                where=f"data set '{dataset.name}'",
                hint="set repeat_single_steps in its definition if it has one vector an utterance, or leave the model "
                "out",
            )
    return RunData(
        dataset=dataset.name,
        setting=setting,
        sha256="",
        convention=dataset.convention,
        hyperparameters=dataset.hyperparameters,
        synthetic=dataset.synthetic is not None,
        shapes=Shapes(widths=shapes.widths, lengths=lengths),
        groups={m: tuple(dataset.groups[m].items()) for m in split},
        repeated=tuple(repeated),
    )


def _why_not(dataset: DatasetSpec, task: Task, model: str, variant: Variant, canonical: Variant | None) -> str:
    """Return why a cell does not exist, or nothing."""
    entry = models.entry(model)
    if task not in entry.tasks:
        return f"{model} does no {task} (Table 3)"
    if entry.defaults(dataset.hyperparameters) is None:
        return f"{model} has no hyper-parameters for {dataset.hyperparameters}"
    if entry.unimodal_labels and not dataset.unimodal_labels:
        return f"{model} learns from labels per modality, which {dataset.title} does not have"
    if canonical is None:
        what = {"fg": "audio or vision", "a": "audio", "v": "vision"}[variant]
        return f"{dataset.title} has no named sub-features in {what}: -{variant} does not apply"
    return ""
