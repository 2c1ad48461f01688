"""A suite and its data sets to the list of runs: which cells exist, which share a record, which cannot be."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness import metrics, models
from harness.data.definitions import load_definition
from harness.errors import DataError, InputError
from harness.models import text
from harness.models.entry import ModelEntry
from harness.sources import fingerprint_of
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
from harness.yamlfile import suggest

__all__ = [
    "Cell",
    "Plan",
    "Selection",
    "Source",
    "encoder_choice",
    "load_datasets",
    "make_plan",
    "narrow",
    "setting_for",
    "sources_fingerprint",
]

_ROOMS = ("data", "models", "training")
Named = TypeVar("Named")


@dataclass(frozen=True)
class Source:
    """One feature file that a suite needs: a data set in one setting."""

    dataset: DatasetSpec
    setting: SettingName


@dataclass(frozen=True)
class Selection:
    """What a user picked on the command line; empty means everything. Seeds need not be the suite's own."""

    datasets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Cell:
    """A model in one variant on one data set and task: a place in a table, with its runs.

    Parameters
    ----------
    dataset, setting, task, model, variant
        Where the cell stands.
    alias_of : Variant or None
        Another variant of the same table whose runs these are: counted once, shown twice.
    runs : tuple of RunSpec
        One run a seed; empty if the cell does not exist.
    skipped : str
        Why the cell does not exist; empty if it does.
    """

    dataset: DatasetSpec
    setting: SettingName
    task: Task
    model: str
    variant: Variant
    alias_of: Variant | None
    runs: tuple[RunSpec, ...]
    skipped: str = ""


@dataclass(frozen=True)
class Plan:
    """A suite expanded: its cells in table order."""

    suite: Suite
    cells: tuple[Cell, ...]

    @property
    def runs(self) -> tuple[RunSpec, ...]:
        """Every run once, in the order of the cells."""
        return tuple({run.run_id: run for cell in self.cells for run in cell.runs}.values())

    @property
    def sources(self) -> tuple[Source, ...]:
        """The feature files that the runs need."""
        named = {(c.dataset.name, c.setting): Source(c.dataset, c.setting) for c in self.cells if c.runs}
        return tuple(named.values())


def load_datasets(suite: Suite, base: Path) -> tuple[DatasetSpec, ...]:
    """Load a suite's data set definitions.

    Raises
    ------
    InputError
        If one is unknown, wrong, or two bear the same name.
    """
    try:
        loaded = tuple(load_definition(ref, base=base) for ref in suite.datasets)
    except DataError as error:
        raise DataError(error.what, where=error.where or "datasets of the suite", hint=error.hint) from error
    names = [d.name for d in loaded]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"two data sets are named '{name}'", where="datasets", hint="give one of them another 'name'"
            )
    return loaded


def narrow(suite: Suite, datasets: Sequence[DatasetSpec], pick: Selection) -> tuple[Suite, tuple[DatasetSpec, ...]]:
    """Keep only what was picked on the command line; seeds may be new ones.

    Raises
    ------
    InputError
        If something picked is not in the suite, or a variant picked by name splits nothing in any of its data sets.
    """
    for model in pick.models:
        _known(model, "--models")
    kept = tuple(d for d in datasets if d.name in _pick("datasets", [d.name for d in datasets], pick.datasets))
    changes: dict[str, Any] = {
        "models": _pick("models", suite.models, pick.models),
        "variants": _pick("variants", suite.variants, pick.variants),
        "seeds": pick.seeds or suite.seeds,
    }
    for variant in pick.variants:
        if all(d.canonical(variant) is None for d in kept):  # type: ignore[arg-type]
            raise InputError(
                f"variant '{variant}' splits nothing in {', '.join(d.name for d in kept)}: "
                "no named sub-features in that modality",
                where="--variants",
                hint="leave it out, or give the data set definition groups for that modality",
            )
    return suite.model_copy(update=changes), kept


def make_plan(
    suite: Suite,
    datasets: Sequence[DatasetSpec],
    sha256_of: Callable[[DatasetSpec, SettingName], str],
    encoder_of: Callable[[EncoderChoice], TextEncoder] = text.describe,
) -> Plan:
    """Expand a suite into cells and run specs.

    Parameters
    ----------
    suite : Suite
        What to run, already narrowed to what the user picked.
    datasets : sequence of DatasetSpec
        Its data sets.
    sha256_of : callable
        The SHA-256 of a data set's feature file in a setting; called once for each file that a run needs.
    encoder_of : callable
        What a text encoder is; called once for each that a run needs.

    Raises
    ------
    InputError
        If the suite names an unknown model, metric or hyper-parameter, or nothing is left to run.
    """
    _check_names(suite, datasets)
    fingerprint = functools.cache(lambda name, setting: sha256_of({d.name: d for d in datasets}[name], setting))
    known: dict[str, TextEncoder] = {}

    def encoder(choice: EncoderChoice) -> TextEncoder:
        key = choice.model_dump_json()
        if key not in known:
            known[key] = encoder_of(choice)
        return known[key]

    cells = [
        _cell(suite, dataset, task, model, variant, fingerprint, encoder)
        for dataset in datasets
        for task in suite.tasks
        for model in suite.models
        for variant in suite.variants
    ]
    if not any(cell.runs for cell in cells):
        reasons = sorted({cell.skipped for cell in cells})
        raise InputError(
            "the suite has nothing to run: " + "; ".join(reasons[:4]),
            where=f"suite '{suite.name}'",
            hint="pick other models, tasks or variants",
        )
    return Plan(suite, tuple(cells))


@functools.cache
def sources_fingerprint() -> str:
    """Hash the sources that can change a run's numbers: the rooms `data`, `models` and `training`.

    Comments, docstrings and layout are left out, so that better words cost no retraining.
    """
    package = Path(__file__).parent
    return fingerprint_of((path for room in _ROOMS for path in (package / room).rglob("*.py")), package)


def _pick(field: str, offered: Sequence[Named], picked: Sequence[Named]) -> tuple[Named, ...]:
    for name in picked:
        if name not in offered:
            near = suggest(str(name), [str(o) for o in offered])
            raise InputError(
                f"'{name}' is not among the suite's {field}{near}",
                where=f"--{field}",
                hint=f"the suite has: {', '.join(str(o) for o in offered)}",
            )
    return tuple(o for o in offered if not picked or o in picked)


def _check_names(suite: Suite, datasets: Sequence[DatasetSpec]) -> None:
    for model in suite.models:
        _known(model, "models")
    _check_hyper(suite, datasets)
    known = {m.name for d in datasets for task in suite.tasks for m in metrics.metrics_for(task, d.convention)}
    for name in suite.report.metrics or ():
        if name not in known:
            raise InputError(
                f"unknown metric '{name}'{suggest(name, sorted(known))}",
                where="report.metrics",
                hint=f"these tasks and data sets have: {', '.join(sorted(known))}",
            )


def _known(model: str, where: str) -> ModelEntry:
    try:
        return models.entry(model)
    except InputError as error:
        raise InputError(error.what, where=where, hint=error.hint) from None


def _check_hyper(suite: Suite, datasets: Sequence[DatasetSpec]) -> None:
    """Check what resolving does not see: sections that name nothing, and keys of ``*`` that no model has."""
    columns = {d.hyperparameters for d in datasets}
    known = {key for name in models.names() for column in columns for key in models.entry(name).defaults(column) or {}}
    names = [d.name for d in datasets]
    for section, values in suite.hyper.items():
        model, at, dataset = section.partition("@")
        if model != "*":
            _known(model, f"hyper.{section}")
        if at and dataset not in names:
            raise InputError(
                f"the suite has no data set '{dataset}'{suggest(dataset, names)}",
                where=f"hyper.{section}",
                hint=f"it has: {', '.join(names)}",
            )
        unknown = [key for key in values if key not in known] if model == "*" else []
        if unknown:
            raise InputError(
                f"no model has a hyper-parameter '{unknown[0]}'{suggest(unknown[0], sorted(known))}",
                where=f"hyper.{section}.{unknown[0]}",
                hint="mend its name, or leave it out",
            )


def _cell(
    suite: Suite,
    dataset: DatasetSpec,
    task: Task,
    model: str,
    variant: Variant,
    fingerprint: Callable[[str, SettingName], str],
    encoder_of: Callable[[EncoderChoice], TextEncoder],
) -> Cell:
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
        hyper[entry.encoder_width] = encoder.width
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
