"""What each rule says of itself, and which printed numbers it can object to.

A rule is described by its docstring. What it covers stands here and not in the rules, which yield findings and do not
count; a test holds it against them by printing nonsense in one cell after another.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.audit.balance import definitions, halves, neutral_answers
from harness.audit.bounds import F1_OF, f1_and_accuracy, nested_accuracies, ranges, rows_of
from harness.audit.confusion import confusions
from harness.audit.costs import CostKey, Counted, cost_order, printed_costs, with_counts
from harness.audit.deltas import deltas, plus_signs
from harness.audit.descriptions import cases, networks, settings, sizes, sub_features
from harness.audit.distances import mae_and_accuracies
from harness.audit.finding import Finding, Rule
from harness.audit.repeats import repeated_numbers, spellings
from harness.audit.seeds import seed_means
from harness.audit.stated import stated
from harness.audit.three_classes import three_class_f1
from harness.audit.underlines import underlines
from harness.published import COSTS, Cell, Tables

__all__ = ["Checked", "checked", "covered", "numbers_looked_at"]

Covers = Callable[[Tables], Iterable[Cell]]


@dataclass(frozen=True)
class Checked:
    """One rule and how it came out.

    Attributes
    ----------
    name : str
    claim : str
        The first paragraph of its docstring.
    proof : tuple of str
        The others.
    covers : str
        What it looked at, in words that may begin with a number; empty where that is not known.
    findings : tuple of Finding
    """

    name: str
    claim: str
    proof: tuple[str, ...]
    covers: str
    findings: tuple[Finding, ...]


def checked(
    tables: Tables, rules: Sequence[Rule], costs: Mapping[CostKey, Counted] | None = None
) -> tuple[Checked, ...]:
    """Run every rule by itself and say what it covers; with costs also the rule that needs them."""
    found = [_checked(rule, tables, list(with_counts(rule(tables), tables, costs))) for rule in rules]
    if costs is not None:
        found.append(_checked(printed_costs, tables, list(printed_costs(tables, costs))))
    return tuple(found)


def covered(rule: Callable[..., object], tables: Tables) -> tuple[Cell, ...]:
    """Return the numbers of Tables 4 to 8 that a rule can object to; none for a rule on anything else."""
    what = _COVERS.get(rule)
    return tuple(cell for cell in dict.fromkeys(what(tables)) if cell.printed) if what else ()


def numbers_looked_at(tables: Tables, rules: Iterable[Rule]) -> tuple[int, int]:
    """Return how many numbers of Tables 4 to 8 some rule can object to, and how many there are."""
    seen = {cell for rule in rules for cell in covered(rule, tables)}
    return len(seen), sum(cell.printed is not None for cell in tables.cells)


def _checked(rule: Callable[..., object], tables: Tables, findings: Sequence[Finding]) -> Checked:
    first, *rest = _paragraphs(rule)
    count = len(covered(rule, tables))
    words = _ELSE.get(rule, "")
    if count:
        numbers = sorted({cell.table for cell in covered(rule, tables)})
        words = f"{count} numbers of {_named(numbers)}"
    return Checked(rule.__name__, first, tuple(rest), words, tuple(findings))


def _named(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"Table {numbers[0]}"
    return f"Tables {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _paragraphs(rule: Callable[..., object]) -> list[str]:
    text = re.sub(r"\s*\(see `\w+`\)|\s*\(`[\w.]+`\)", "", inspect.getdoc(rule) or rule.__name__)
    return [" ".join(paragraph.split()).replace("`", "") for paragraph in text.split("\n\n")]


def _everything(tables: Tables) -> Iterator[Cell]:
    return (cell for row in rows_of(tables) for cell in row.values())


def _nested(tables: Tables) -> Iterator[Cell]:
    for row in rows_of(tables):
        for pair in (("Acc-7", "Acc-5"), ("Acc-5", "Acc-3")):
            yield from _together(row, pair)


def _with_f1(tables: Tables) -> Iterator[Cell]:
    for row in rows_of(tables):
        for pair in F1_OF.items():
            yield from _together(row, pair)


def _two_class_f1(tables: Tables) -> Iterator[Cell]:
    for row in rows_of(tables):
        for name, of in F1_OF.items():
            if name != "F1-3":
                yield from _together(row, (name, of))


def _three_classes(tables: Tables) -> Iterator[Cell]:
    for row in rows_of(tables):
        yield from _together(row, ("F1-3", "Acc-3"))


def _with_mae(tables: Tables) -> Iterator[Cell]:
    for row in rows_of(tables):
        for name in ("Acc-2", "Acc-5"):
            yield from (cell for cell in _together(row, (name, "MAE")) if cell.dataset == "sims")


def _halves(tables: Tables) -> Iterator[Cell]:
    for row in rows_of(tables):
        yield from _together(row, ("Acc-2/has-0", "Acc-2/non-0"))


def _classified_halves(tables: Tables) -> Iterator[Cell]:
    return (cell for cell in _halves(tables) if cell.task == "classification")


def _answers(tables: Tables) -> Iterator[Cell]:
    for row in rows_of(tables):
        for name in ("Acc-2", "Acc-2/has-0", "Acc-2/non-0"):
            yield from _together(row, ("Acc-3", name))


def _seeds(tables: Tables) -> Iterator[Cell]:
    # Five seeds of MOSEI's 4,659 utterances reach every percentage with two decimals.
    cells = (cell for cell in tables.cells if cell.dataset == "sims" and cell.source in ("reproduction", "mmsa"))
    return (cell for cell in cells if cell.column.startswith("Acc-"))


def _differences(tables: Tables) -> Iterator[Cell]:
    """Differences and the numbers that they are the difference of."""
    for number in (4, 5, 6, 7, 8):
        rows = tables.rows(number)
        for (model, variant, source), row in rows.items():
            if source == "delta":
                for other in ("original", variant):
                    pairs = rows.get((model, other, "reproduction"), {})
                    yield from (pairs[metric] for metric in row if metric in pairs)
                yield from row.values()


def _signs(tables: Tables) -> Iterator[Cell]:
    return (cell for cell in tables.cells if cell.source == "delta")


def _repeats(tables: Tables) -> Iterator[Cell]:
    places: dict[tuple[str, ...], list[Cell]] = {}
    for cell in tables.cells:
        if cell.printed:
            key = (cell.dataset, cell.task, cell.model, cell.variant, cell.source, cell.metric)
            places.setdefault(key, []).append(cell)
    return (cell for cells in places.values() if len(cells) > 1 for cell in cells)


def _grown(tables: Tables) -> Iterator[Cell]:
    for number in (4, 5):
        rows = tables.rows(number)
        for (model, variant, source), row in rows.items():
            original = rows.get((model, "original", source), {})
            if source != "delta" and variant != "original":
                yield from (cell for name in COSTS for cells in (original, row) if (cell := cells.get(name)))


def _own_costs(tables: Tables) -> Iterator[Cell]:
    return (cell for cell in tables.cells if cell.own and cell.column in COSTS)


def _ablation(tables: Tables) -> Iterator[Cell]:
    return iter(tables.table(8))


def _together(row: Mapping[str, Cell], names: Iterable[str]) -> Iterator[Cell]:
    """Yield the cells of these names if all of them hold a number."""
    cells = [row[name] for name in names if name in row and row[name].printed]
    if len(cells) == len(tuple(names)):
        yield from cells


_COVERS: Mapping[Callable[..., object], Covers] = {
    ranges: _everything,
    nested_accuracies: _nested,
    f1_and_accuracy: _with_f1,
    definitions: _classified_halves,
    halves: _halves,
    neutral_answers: _answers,
    confusions: _two_class_f1,
    three_class_f1: _three_classes,
    mae_and_accuracies: _with_mae,
    seed_means: _seeds,
    deltas: _differences,
    plus_signs: _signs,
    repeated_numbers: _repeats,
    cost_order: _grown,
    underlines: _ablation,
    printed_costs: _own_costs,
}
_ELSE: Mapping[Callable[..., object], str] = {
    sizes: "all of Table 1",
    sub_features: "all of Table 2",
    networks: "all of Table 3, and which models have rows in Tables 4 to 7",
    settings: "the data setting of every row of Table 4",
    cases: "the scores, truths and distances of Table 9",
    spellings: "the names of models in Tables 3 to 8",
    stated: "what the running text states in so many words",
}
