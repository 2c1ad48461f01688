"""The tables that describe a suite, for any data sets and models: the paper's Tables 1, 2 and 3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import get_args

from harness import models
from harness.data import Features, table1, table2
from harness.plan import Plan
from harness.reports.sheets import Head, Line, Sheet, heads, ruled
from harness.spec import MODALITIES, SPLITS, DatasetSpec, Task
from harness.wording import listing

__all__ = ["descriptions"]

_TASKS: tuple[Task, ...] = get_args(Task)
_YES, _NO = "\N{CHECK MARK}", "\N{EN DASH}"


def descriptions(plan: Plan, features: Mapping[tuple[str, str], Features]) -> tuple[Sheet, ...]:
    """Return what the paper's Tables 1 to 3 hold, for the data sets and models of a plan.

    Parameters
    ----------
    plan : Plan
        The expanded suite.
    features : mapping
        Converted feature files by data set and setting, as `harness.figures.cached_features` finds them: what they
        hold is counted where others are taken from their definitions.
    """
    datasets = _datasets(plan)
    return (_sizes(datasets, plan, features), _sub_features(datasets), _networks(datasets, plan))


def _datasets(plan: Plan) -> tuple[DatasetSpec, ...]:
    """Return each data set of a plan once, under the name that its result tables have, which says what is synthetic."""
    titled = {
        cell.dataset.name: cell.dataset.model_copy(update={"title": cell.heading.removesuffix(f", {cell.task}")})
        for cell in plan.cells
    }
    return tuple(titled.values())


def _sizes(datasets: Sequence[DatasetSpec], plan: Plan, features: Mapping[tuple[str, str], Features]) -> Sheet:
    return Sheet(
        slug="data-sets",
        caption="Utterances in each split of the data sets, laid out as Table 1 of the paper.",
        about=(
            "Counted from: data, with the first digits of its SHA-256, where this machine holds the converted feature "
            "file; else the definition of the data set. Setting: the feature files that the suite runs on."
        ),
        synthetic=_all_synthetic(datasets),
        first="Data set",
        columns=heads(
            Head("Setting", words=True),
            *(split.capitalize() for split in SPLITS),
            *("Total", Head("Counted from", words=True)),
        ),
        lines=ruled(line for data in datasets for line in _size_lines(data, plan, features)),
    )


def _size_lines(data: DatasetSpec, plan: Plan, features: Mapping[tuple[str, str], Features]) -> Iterator[Line]:
    """Yield one line for all settings of a data set, or more where their feature files differ in size."""
    origins: dict[tuple[str, ...], dict[str, str]] = {}
    settings: list[str] = [source.setting for source in plan.sources if source.dataset.name == data.name]
    for setting in settings or [""]:
        held = features.get((data.name, setting))
        (row,) = table1([data], {data.name: held} if held else {})
        counts = (row[name] for name in (*map(str.capitalize, SPLITS), "Total"))
        sizes = tuple("" if count is None else f"{count:,}" for count in counts)
        origins.setdefault(sizes, {})[setting] = row["Counted from"]
    for sizes, by_setting in origins.items():
        counted_from = listing(list(dict.fromkeys(by_setting.values())))
        yield Line(data.title, (listing(list(by_setting)), *sizes, counted_from))


def _sub_features(datasets: Sequence[DatasetSpec]) -> Sheet:
    return Sheet(
        slug="sub-features",
        caption="Named sub-features of the acoustic and visual modality, laid out as Table 2 of the paper.",
        about=(
            "Widths stand in parentheses, in the order of the columns, and add up to the dimension; of two groups or "
            "more each gets an extractor of its own in the variants that split the modality. "
            f"{_NO}: the definition names none, and the modality stays whole."
        ),
        synthetic=_all_synthetic(datasets),
        first="Data set",
        columns=heads(
            *(Head(name, words=True) for name in ("Modality", "Fine-grained features")),
            *("Groups", "Dimension", Head("Tool", words=True)),
        ),
        lines=ruled(
            Line(
                row["Dataset"],
                (
                    *(row["Modality"], row["Fine-grained features"] or _NO, str(row["Groups"] or _NO)),
                    *(str(row["Dimension"]), row["Tool"]),
                ),
            )
            for row in table2(datasets)
        ),
    )


def _all_synthetic(datasets: Iterable[DatasetSpec]) -> bool:
    return all(data.synthetic is not None for data in datasets)


def _networks(datasets: Iterable[DatasetSpec], plan: Plan) -> Sheet:
    titles = {data.name: data.title for data in datasets}
    return Sheet(
        slug="sub-networks",
        caption="Sub-networks and tasks of the models, laid out as Table 3 of the paper.",
        about=(
            "Text, acoustics, vision: the kind of network that first reads the modality, in the paper's terms; FNN is "
            f"a feed-forward network, L-C an LSTM with a CNN. {_YES}: the model is tried on the task in the paper; "
            f"{_NO}: it is not. Setting: the feature files that the suite runs it on."
        ),
        synthetic=False,
        first="Model",
        columns=tuple(
            Head(name, words=True) for name in ("Text", "Acoustics", "Vision", *map(str.capitalize, _TASKS), "Setting")
        ),
        lines=tuple(_network_line(name, plan, titles) for name in dict.fromkeys(cell.model for cell in plan.cells)),
    )


def _network_line(name: str, plan: Plan, titles: Mapping[str, str]) -> Line:
    """Return what the registry knows of a model; empty cells where it knows nothing."""
    known = models.entry(name) if name in models.names() else None
    networks = [known.subnets.get(modality, "") if known else "" for modality in MODALITIES]
    ticks = [(_YES if task in known.tasks else _NO) if known else "" for task in _TASKS]
    return Line(name, (*networks, *ticks, _settings(name, plan, titles)))


def _settings(model: str, plan: Plan, titles: Mapping[str, str]) -> str:
    """Say which feature files a model runs on: ``unaligned``, or ``aligned on MOSEI, unaligned on CH-SIMS``."""
    used: dict[str, dict[str, str]] = {}
    for cell in plan.cells:
        if cell.model == model and cell.runs:
            used.setdefault(cell.setting, {})[cell.dataset.name] = titles[cell.dataset.name]
    if len(used) < 2:
        return "".join(used)
    return ", ".join(f"{setting} on {listing(list(on.values()))}" for setting, on in used.items())
