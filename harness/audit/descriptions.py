"""Tables 1 to 3 and 9: sums, widths, the registry of models, and the case study."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from harness import models
from harness.audit.classes import definition_of
from harness.audit.finding import Finding, Severity, box
from harness.published import Network, Prediction, Printed, Tables
from harness.spec import MODALITIES, SPLITS, NonVerbal, Task
from harness.wording import listing

__all__ = ["cases", "networks", "settings", "sizes", "sub_features"]

_FILES = "as sure as the definition, whose files people can check with harness data"


def sizes(tables: Tables) -> Iterator[Finding]:
    """Add up the splits of Table 1, and compare them with the data sets as the harness defines them."""
    for size in tables.sizes:
        splits: dict[str, Printed] = {"train": size.train, "valid": size.valid, "test": size.test}
        total = sum(split.value for split in splits.values())
        if total != size.total.value:
            why = "the three splits add up to another number"
            yield Finding(
                "sum", 1, size.row, "Total", size.total.text, f"{total:,}", "error", why, "certain that one is wrong"
            )
        samples = definition_of(size.dataset).samples or {}
        for name in SPLITS:
            if name in samples and splits[name].value != samples[name]:
                why = "the data set has another number of utterances"
                column, text = name.capitalize(), splits[name].text
                yield Finding("size", 1, size.row, column, text, f"{samples[name]:,}", "error", why, _FILES)


def sub_features(tables: Tables) -> Iterator[Finding]:
    """Compare the widths and names of Table 2 with the data sets as the harness defines them.

    The names are compared as printed, spaces aside; the printed order is the columns' order.
    """
    for row in tables.sub_features:
        definition = definition_of(row.dataset)
        modality: NonVerbal = "audio" if row.modality == "audio" else "vision"
        where = f"{definition.title} {row.modality}"
        width = definition.widths[modality]
        if row.dimension.value != width:
            why = "the modality has another width"
            yield Finding("width", 2, where, "Dimension", row.dimension.text, str(width), "error", why, _FILES)
        groups = list(definition.groups.get(modality, {}))
        printed = row.text.split(", ") if row.names else []
        bare = [name.replace(" ", "") for name in printed]
        if bare == groups:
            continue
        if len(bare) != len(groups):
            why = f"{len(groups)} sub-features are known"
            expected = ", ".join(groups) or "none"
            yield Finding("sub-features", 2, where, "Fine-grained features", row.text, expected, "error", why, _FILES)
            continue
        for name, group in zip(bare, groups, strict=True):
            if name != group:
                why = "the sub-feature at this place has another name"
                yield Finding("sub-features", 2, where, "Fine-grained features", name, group, "note", why, _FILES)


def networks(tables: Tables) -> Iterator[Finding]:
    """Compare Table 3 with the registry, and its ticks with the result tables.

    A tick speaks of a task: a model that has one should have own rows on any data set of that task's tables.
    """
    printed = {(cell.model, cell.task, cell.dataset) for cell in tables.cells if cell.own and cell.value is not None}
    ticks = {network.model: network for network in tables.networks}
    known = models.names()
    for network in tables.networks:
        if network.model not in known:
            why, sure = "the harness has no such model", "certain of the harness, not of the paper"
            yield Finding("network", 3, network.row, "Model", network.row, "a known model", "warning", why, sure)
            continue
        subnets = models.entry(network.model).subnets
        texts = (network.text, network.acoustics, network.vision)
        for modality, column, text in zip(MODALITIES, ("Text", "Acoustics", "Vision"), texts, strict=True):
            if text != subnets[modality]:
                why = "the model reads this modality with another network"
                sure = "as sure as the harness's own description of the model"
                yield Finding("network", 3, network.row, column, text, subnets[modality], "warning", why, sure)
        yield from _ticks(network, "regression", printed)
        yield from _ticks(network, "classification", printed)
    for model, task, dataset in sorted(printed):
        if model not in ticks:
            why = f"it has {task} results on {definition_of(dataset).title}"
            yield Finding("network", 3, model, "Model", "no row", "a row", "warning", why, "certain")


def _ticks(network: Network, task: Task, printed: set[tuple[str, Task, str]]) -> Iterator[Finding]:
    """Compare one tick of a model with the tables of its task."""
    tick = network.regression if task == "regression" else network.classification
    has = sorted(dataset for model, done, dataset in printed if (model, done) == (network.model, task))
    place = (3, network.row, task.capitalize())
    if tick and not has:
        why = f"ticked, but no {task} results are printed"
        yield Finding("network", *place, "\u2713", "results", "note", why, "certain of what is printed")
    elif has and not tick:
        where = listing([definition_of(dataset).title for dataset in has])
        why = f"not ticked, but {task} results on {where} are printed"
        yield Finding("network", *place, "\u2013", "\u2713", "warning", why, "certain")


def settings(tables: Tables) -> Iterator[Finding]:
    """Compare the data setting of Table 4 with the one that each model's public configuration asks for."""
    seen: set[tuple[int, int]] = set()
    for cell in tables.cells:
        if cell.setting is None or cell.model not in models.names() or (cell.table, cell.place) in seen:
            continue
        seen.add((cell.table, cell.place))
        hyper = models.entry(cell.model).defaults(definition_of(cell.dataset).hyperparameters)
        if hyper is None:
            continue
        wanted = "aligned" if hyper["need_data_aligned"] else "unaligned"
        if wanted != cell.setting:
            why, sure = "the model's public configuration asks for the other setting", "likely"
            place = (cell.table, cell.row, "Data Setting")
            yield Finding("setting", *place, cell.setting, wanted, "warning", why, sure)


def cases(tables: Tables) -> Iterator[Finding]:
    """Recompute Table 9's distances to the truth, and check that scores and truth lie in CH-SIMS's [-1, 1].

    A distance that only unrounded scores could give is a warning. A truth is a mean of five annotators' -1, 0 or 1.
    """
    low, high = definition_of("sims").label_range
    for case in tables.cases:
        where = f"example {case.number}"
        if not low <= case.truth.value <= high:
            why = "outside the range of CH-SIMS's labels"
            yield Finding("range", 9, where, "GT", case.truth.text, f"from {low} to {high}", "error", why, "certain")
        for column, prediction in (("L(Ori)", case.original), ("L(Fg)", case.fg)):
            yield from _distance(where, column, prediction, case.truth)


def _distance(where: str, column: str, prediction: Prediction, truth: Printed) -> Iterator[Finding]:
    expected = abs(prediction.value.value - truth.value)
    if expected == prediction.error.value:
        return
    slack = (Fraction(prediction.value.unit) + Fraction(truth.unit)) / 2
    low, high = box(prediction.error)
    within = low <= Fraction(expected) + slack and Fraction(expected) - slack <= high
    why = f"the printed numbers, {prediction.value.text} against {truth.text}, are that far apart"
    severity: Severity = "warning" if within else "error"
    sure = "certain that the three numbers do not go together"
    yield Finding("case", 9, where, column, prediction.error.text, str(expected), severity, why, sure)
