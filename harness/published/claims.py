"""What the paper's running text says about its tables, sentence by sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from harness.published.files import choice, read_csv, whole
from harness.published.numbers import Printed, parse
from harness.spec import VARIANTS, Variant

__all__ = ["Claim", "ClaimKind", "read_claims"]

ClaimKind = Literal[
    "advantage",
    "best",
    "closer",
    "count",
    "datasets",
    "every",
    "exceed",
    "extremes",
    "general",
    "growth",
    "limited",
    "lower",
    "numbers",
    "order",
    "polarity",
    "reproduction",
    "setting",
    "sum",
    "top",
    "untold",
]
"""What a sentence says, in a form that tables can decide:

* about differences of scores: *numbers* (the models' differences in the metrics are the values), *top* (the models have
  the largest ones), *extremes* (the values are the largest and the smallest of the models'), *exceed* (the models'
  are all larger than the others'), *every* (all are improvements), *general* (the variant is better over models),
  *lower* (it is worse), *datasets* (they are larger in ``tables`` than in ``against``), *limited* (they are
  improvements, and smaller than those of the metrics ``beside``);
* about scores: *best* (the model has the best ones of the variant's rows), *reproduction* (the authors' own rows are
  near the rows that they took over);
* about costs: *growth* (they grow), *advantage* (only the models named pay for the method);
* about Tables 1, 2, 4 and 9: *count* (the places hold the values), *sum* (the values add up to the place), *order*
  (of each pair of places the first holds more), *setting* (the models use that data), *polarity* and *closer* (what
  the examples show);
* *untold*: what no table can decide; ``reason`` says why.
"""

_KINDS: Mapping[str, ClaimKind] = {kind: kind for kind in get_args(ClaimKind)}
_VARIANTS: Mapping[str, Variant | None] = {"": None, **{variant: variant for variant in VARIANTS}}
_DELTAS = ("tables", "variant", "baseline")
_NEEDS: Mapping[ClaimKind, tuple[str, ...]] = {
    "advantage": ("tables", "models", "metrics"),
    "best": ("tables", "variant", "models"),
    "closer": ("places",),
    "count": ("places", "values"),
    "datasets": (*_DELTAS, "against"),
    "every": _DELTAS,
    "exceed": (*_DELTAS, "models", "metrics"),
    "extremes": (*_DELTAS, "models", "metrics", "values"),
    "general": _DELTAS,
    "growth": ("tables", "metrics"),
    "limited": (*_DELTAS, "metrics", "beside"),
    "lower": _DELTAS,
    "numbers": (*_DELTAS, "models", "metrics", "values"),
    "order": ("places",),
    "polarity": ("places",),
    "reproduction": _DELTAS,
    "setting": ("tables", "models", "places"),
    "sum": ("places", "values"),
    "top": (*_DELTAS, "models", "metrics"),
    "untold": ("reason",),
}
"""The attributes that a kind cannot do without."""

_HEADER = (
    *("id", "section", "kind", "quote", "reading", "tables", "against", "variant", "baseline"),
    *("models", "metrics", "beside", "places", "values", "reason"),
)


@dataclass(frozen=True)
class Claim:
    """One thing that a sentence of the paper says; a sentence that says two things gives two of these.

    Attributes
    ----------
    id : str
        A short name, unique.
    section : str
        Number of the section, or ``Abstract``.
    quote : str
        The words as the paper's text has them, joined over line breaks and tables that interrupt a sentence.
    kind : ClaimKind
        What is said; which of the other attributes it needs follows from that.
    reading : str
        What the words are taken to say.
    tables, against : tuple of int
        The result tables that it speaks about, and those that they are compared with.
    variant, baseline : Variant or None
        The contrast.
    models : tuple of str
        The models named, as the harness spells them; empty for all of them.
    metrics, beside : tuple of str
        The metrics or costs meant (empty for all metrics), and those that they are compared with.
    places : tuple of str
        Where else to look: ``table/row/column`` of Tables 1, 2 and 9, or a data setting.
    values : tuple of Printed
        The numbers in the quote, in its order.
    reason : str
        Why tables cannot decide it, or why the quote cannot mean what it says; else empty.
    """

    id: str
    section: str
    kind: ClaimKind
    quote: str
    reading: str
    tables: tuple[int, ...]
    against: tuple[int, ...]
    variant: Variant | None
    baseline: Variant | None
    models: tuple[str, ...]
    metrics: tuple[str, ...]
    beside: tuple[str, ...]
    places: tuple[str, ...]
    values: tuple[Printed, ...]
    reason: str

    @property
    def contrast(self) -> tuple[Variant, Variant]:
        """Variant and baseline; ValueError where the claim names none."""
        if self.variant is None or self.baseline is None:
            raise ValueError(f"claim {self.id} names no contrast")
        return self.variant, self.baseline


def read_claims(folder: Path | None = None) -> tuple[Claim, ...]:
    """Read the claims in the order of the paper.

    Raises
    ------
    InputError
        If the file cannot be read, or a line of it makes no sense or has the name of another.
    """
    seen: set[str] = set()

    def build(line: Mapping[str, str]) -> Claim:
        if not line["id"] or line["id"] in seen:
            raise ValueError(f"the name {line['id']!r} is empty or stands twice")
        seen.add(line["id"])
        claim = Claim(
            id=line["id"],
            section=line["section"],
            kind=choice(line["kind"], _KINDS),
            quote=line["quote"],
            reading=line["reading"],
            tables=tuple(map(whole, _parts(line["tables"]))),
            against=tuple(map(whole, _parts(line["against"]))),
            variant=choice(line["variant"], _VARIANTS),
            baseline=choice(line["baseline"], _VARIANTS),
            models=_parts(line["models"]),
            metrics=_parts(line["metrics"]),
            beside=_parts(line["beside"]),
            places=_parts(line["places"]),
            values=tuple(map(_value, _parts(line["values"]))),
            reason=line["reason"],
        )
        _check(claim)
        return claim

    return read_csv("claims.csv", _HEADER, build, folder)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(text.split("; ")) if text else ()


def _check(claim: Claim) -> None:
    """Raise ValueError where a claim lacks what its kind needs, or has it in the wrong number."""
    missing = [name for name in _NEEDS[claim.kind] if not getattr(claim, name)]
    if missing:
        raise ValueError(f"a claim of kind {claim.kind} needs {' and '.join(missing)}")
    lengths = {
        "numbers": (len(claim.values), len(claim.models) * len(claim.metrics)),
        "count": (len(claim.values), len(claim.places)),
        "extremes": (len(claim.values), 2),
        "datasets": (len(claim.against), len(claim.tables)),
        "order": (len(claim.places) % 2, 0),
        "limited": (len(claim.tables), 1),
        **dict.fromkeys(("sum", "setting"), (len(claim.places), 1)),
    }
    found, wanted = lengths.get(claim.kind, (0, 0))
    if found != wanted:
        raise ValueError(f"the parts of a claim of kind {claim.kind} do not go together: {found} instead of {wanted}")


def _value(text: str) -> Printed:
    number = parse(text)
    if number is None:
        raise ValueError("a dash is no value")
    return number
