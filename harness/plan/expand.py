"""A suite and its data sets to the list of runs: which cells exist, which share a record, which cannot be."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from harness.data.definitions import load_definition
from harness.errors import DataError, InputError
from harness.models import text
from harness.plan.cell import make_cell
from harness.plan.checks import check_languages, check_names, known_model
from harness.plan.parts import Plan, Selection
from harness.spec import DatasetSpec, EncoderChoice, SettingName, Suite, TextEncoder
from harness.yamlfile import suggest

__all__ = ["load_datasets", "make_plan", "narrow"]

Named = TypeVar("Named")


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
        known_model(model, "--models")
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
    check_names(suite, datasets)
    fingerprint = functools.cache(lambda name, setting: sha256_of({d.name: d for d in datasets}[name], setting))
    known: dict[str, TextEncoder] = {}

    def encoder(choice: EncoderChoice) -> TextEncoder:
        key = choice.model_dump_json()
        if key not in known:
            known[key] = encoder_of(choice)
        return known[key]

    cells = [
        make_cell(suite, dataset, task, model, variant, fingerprint, encoder)
        for dataset in datasets
        for task in suite.tasks
        for model in suite.models
        for variant in suite.variants
    ]
    check_languages(suite, cells)
    if not any(cell.runs for cell in cells):
        reasons = sorted({cell.skipped for cell in cells})
        raise InputError(
            "the suite has nothing to run: " + "; ".join(reasons[:4]),
            where=f"suite '{suite.name}'",
            hint="pick other models, tasks or variants",
        )
    return Plan(suite, tuple(cells))


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
