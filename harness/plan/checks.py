"""Names in a suite that mean nothing, and choices that cannot go together."""

from __future__ import annotations

from collections.abc import Sequence

from harness import metrics, models
from harness.errors import InputError
from harness.models import text
from harness.models.entry import ModelEntry
from harness.plan.parts import Cell
from harness.spec import DatasetSpec, Suite, TextEncoder
from harness.yamlfile import suggest

__all__ = ["check_languages", "check_names", "known_model"]


def check_names(suite: Suite, datasets: Sequence[DatasetSpec]) -> None:
    """Check models, hyper-parameters, resources, languages and metrics.

    Raises
    ------
    InputError
        Naming the first that does not exist.
    """
    for model in suite.models:
        known_model(model, "models")
    _check_hyper(suite, datasets)
    for model in suite.resources:
        if model != "*":
            known_model(model, f"resources.{model}")
    languages = ["*", *dict.fromkeys(d.language for d in datasets)]
    for language in suite.text_encoder:
        if language not in languages:
            raise InputError(
                f"no data set of the suite is in '{language}'{suggest(language, languages[1:])}",
                where=f"text_encoder.{language}",
                hint=f"its languages: {', '.join(languages[1:])}; '*' means all",
            )
    known = {m.name for d in datasets for task in suite.tasks for m in metrics.metrics_for(task, d.convention)}
    asked = {
        "report.metrics": suite.report.metrics or (),
        "gate.metrics": suite.gate.metrics or (),
        "gate.floors": [name for name in suite.gate.floors if name != "*"],
    }
    for where, names in asked.items():
        for name in names:
            if name not in known:
                raise InputError(
                    f"unknown metric '{name}'{suggest(name, sorted(known))}",
                    where=where,
                    hint=f"these tasks and data sets have: {', '.join(sorted(known))}",
                )


def check_languages(suite: Suite, cells: Sequence[Cell]) -> None:
    """Check that a pretrained encoder reads the tokens of one language, unless the suite says otherwise.

    Raises
    ------
    InputError
        If it would read two.
    """
    read: dict[str, dict[str, TextEncoder]] = {}
    for cell in cells:
        for run in cell.runs[:1]:
            if run.text_encoder is not None and run.text_encoder.sha256 not in (None, text.UNREAD):
                read.setdefault(str(run.text_encoder.sha256), {})[cell.dataset.language] = run.text_encoder
    for by_language in read.values():
        if len(by_language) > 1 and not set(by_language) <= set(suite.text_encoder):
            raise InputError(
                f"the text encoder {next(iter(by_language.values())).name} would read data sets in "
                f"{' and '.join(sorted(by_language))}",
                where=f"text_encoder, or {text.VARIABLE}",
                hint=f"name one per language in the suite, or let {text.VARIABLE} be a folder with one sub-folder per "
                "hub name",
            )


def known_model(model: str, where: str) -> ModelEntry:
    """Look a model up for the field `where` of a suite.

    Raises
    ------
    InputError
        If there is no such model.
    """
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
            known_model(model, f"hyper.{section}")
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
