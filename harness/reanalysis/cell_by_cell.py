"""Claims that single printed numbers decide, without a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from harness.published import Case, Claim, Tables
from harness.reanalysis.deltas import Delta, Growth, deltas, growths, lower_is_better
from harness.reanalysis.outcome import Judged, Support
from harness.reanalysis.over_models import Material
from harness.reanalysis.stated import look_up, parts, signed
from harness.statistics import sign_test

__all__ = ["advantage", "closer", "every", "growth", "order", "polarity", "reproduction", "stated", "untold"]

_DIGITS = "Printed digits against printed digits: exact."
_NO_SPREAD = "Printed means over seeds, without their spread: a single cell's change cannot be told from noise."
_ABSENT = "None of these numbers is printed."
_NAMED = 12
"""So many exceptions are named one by one; more are counted by model."""


def stated(material: Material, claim: Claim) -> Judged:
    """Judge a number, count or rank: *supported* if all of its parts agree, *contradicted* if none does.

    A number that is not printed where it should be does not agree; where nothing is left to rank, *cannot be told*.
    """
    found = parts(material.tables, claim)
    wrong = [part for part in found if not part.agrees]
    # A lone part speaks for itself below.
    evidence = [f"{len(found) - len(wrong)} of {len(found)} parts agree."] if len(found) != 1 else []
    evidence += [
        f"Table {part.table}, {part.row}, {part.column}: the text says {part.stated}, the table {part.found}."
        for part in (wrong or found)[:_NAMED]
    ]
    evidence += list(dict.fromkeys(part.note for part in found if part.note))
    strength = [_DIGITS] if claim.variant is None else [_DIGITS, _NO_SPREAD]
    if claim.variant is not None and claim.values:
        strength.append("The values are percentage points, which the text writes as %.")
    return Judged(claim, _share(len(found) - len(wrong), len(found)), tuple(evidence), " ".join(strength))


def every(material: Material, claim: Claim) -> Judged:
    """Judge that all of the cells improve.

    One exception breaks it. *Partly supported*: still more cells improve than decline, and so for every model in every
    table, or as many.
    *Contradicted*: a clear majority goes the other way, that is, more models decline in most of their cells than
    improve, and a two-sided sign test over the models says so; cells are no rows for it, since those of a model go
    together. Else *not supported*. An unchanged number is no improvement. "Significantly" is left aside here, as
    printed means cannot speak to it for a single model. MMSA's defective columns are left out.
    """
    found = [
        delta
        for table in claim.tables
        for delta in deltas(material.tables, table, *claim.contrast, defects=False)
        if (not claim.models or delta.model in claim.models) and (not claim.metrics or delta.metric in claim.metrics)
    ]
    exceptions = [delta for delta in found if delta.value <= 0]
    balance: dict[tuple[str, int], int] = {}
    for delta in found:
        row = (delta.model, delta.cell.table)
        balance[row] = balance.get(row, 0) + _sign(delta.value)
    falling = [f"{model} (Table {table})" for (model, table), count in balance.items() if count < 0]
    if not found:
        return Judged(claim, "cannot be told", (_ABSENT,), _NO_SPREAD)
    rising = sum(balance.values()) > 0 and not falling
    support: Support = "supported" if not exceptions else "partly supported" if rising else "not supported"
    if _opposite(balance, material.alpha):
        support = "contradicted"
    declined = sum(delta.value < 0 for delta in found)
    improved, same = len(found) - len(exceptions), len(exceptions) - declined
    evidence = [f"{improved} of {len(found)} cells improve, {declined} decline, {same} stay the same."]
    evidence += [f"Declining in more metrics than improving: {', '.join(falling)}."] if falling else []
    evidence += _exceptions(exceptions)
    return Judged(claim, support, tuple(evidence), " ".join([_NO_SPREAD, *_small(material.tables, found)]))


def reproduction(material: Material, claim: Claim) -> Judged:
    """Judge that the authors' own originals are near the rows that they took over.

    "Reliable" is measured by what is to be shown: an original that lies further from the row taken over than -fg lies
    from the original is a less reliable yardstick than the effect asks for. *Supported* if that is so in at most half
    of the cells, else *not supported*.
    """
    gaps = [gap for table in claim.tables for gap in _gaps(material.tables, claim, table)]
    wider = sum(abs(gap) > abs(delta.value) for gap, delta in gaps)
    below = sum(gap < 0 for gap, _ in gaps)
    above = sum(gap + delta.value > 0 for gap, delta in gaps)
    evidence = (
        f"In {wider} of {len(gaps)} cells the own original lies further from the row taken over than -fg from it.",
        f"The own original is worse than the row taken over in {below} of them.",
        f"-fg is better than the row taken over in {above} of them.",
    )
    support: Support = "supported" if 2 * wider <= len(gaps) else "not supported"
    return Judged(claim, support if gaps else "cannot be told", evidence, _NO_SPREAD)


def growth(material: Material, claim: Claim) -> Judged:
    """Judge that costs grow: *supported* if none falls, *partly* if some do, *contradicted* if none grows.

    A cost that is printed the same has grown by less than its printed digits show, or not at all.
    """
    found = [one for table in claim.tables for one in _paid(material.tables, table, claim) if _named(claim, one)]
    same, fallen = [one for one in found if one.value == 0], [one for one in found if one.value < 0]
    grown = [one for one in found if one.value > 0]
    evidence = [f"{len(grown)} of {len(found)} printed costs grow, by {_span(grown)}."]
    evidence += [f"Printed the same: {_list(same)}."] if same else []
    evidence += [f"Smaller: {_list(fallen)}."] if fallen else []
    support: Support = "supported" if not fallen else "partly supported" if grown else "contradicted"
    return Judged(claim, support if grown or fallen else "cannot be told", tuple(evidence), _DIGITS)


def advantage(material: Material, claim: Claim) -> Judged:
    """Judge that only the models named pay for the method.

    *Supported* if no cost of another model grows; *partly* if they grow, but less than the dearer of the models named
    in the same column; else *not supported*.
    """
    grown: list[Growth] = []
    dearer: list[Growth] = []
    for table in claim.tables:
        for metric in claim.metrics:
            column = [one for one in _paid(material.tables, table, claim) if one.cell.metric == metric]
            others = [one for one in column if not _named(claim, one)]
            limit = max((one.value for one in column if _named(claim, one)), default=None)
            grown += [one for one in others if one.value > 0]
            dearer += [one for one in others if limit is not None and one.value >= limit]
    others = [one for table in claim.tables for one in _paid(material.tables, table, claim) if not _named(claim, one)]
    fallen = sum(one.value < 0 for one in others)
    evidence = [
        f"Of the other models' {len(others)} printed costs {len(grown)} grow and {fallen} fall: {_span(others)}."
    ]
    if dearer:
        evidence.append(f"Dearer than both {' and '.join(claim.models)}: {_list(dearer)}.")
    support: Support = "not supported" if dearer else "partly supported" if grown else "supported"
    strength = (
        f"{_DIGITS} FLOPs are printed per batch, and batch sizes differ; growth in percent is not touched by that."
    )
    return Judged(claim, support if others else "cannot be told", tuple(evidence), strength)


def order(material: Material, claim: Claim) -> Judged:
    """Judge that of each pair of places in Tables 1 and 2 the first holds more; absent pairs are left out."""
    places = [look_up(material.tables, place) for place in claim.places]
    pairs = [(one, other) for one, other in zip(places[::2], places[1::2], strict=True) if one and other]
    evidence = [
        f"Table {first.table}, {first.column}: {first.row} {first.value:,}, {second.row} {second.value:,}."
        for first, second in pairs
    ]
    right = sum(first.value > second.value for first, second in pairs)
    reason = [_sentence(claim.reason)] if claim.reason else []
    return Judged(claim, _share(right, len(pairs)), tuple(reason + evidence) or (_ABSENT,), _DIGITS)


def polarity(material: Material, claim: Claim) -> Judged:
    """Judge that the method's score has the sign of the truth and the original's has not; 0 is a sign of its own."""
    cases = _cases(material.tables, claim)
    right = sum(
        _sign(case.fg.value.value) == _sign(case.truth.value) != _sign(case.original.value.value) for case in cases
    )
    return Judged(claim, _share(right, len(cases)), tuple(map(_example, cases)), _FEW)


def closer(material: Material, claim: Claim) -> Judged:
    """Judge that the method's score is nearer to the truth than the original's; distances are computed anew."""
    cases = _cases(material.tables, claim)
    right = sum(_off(case, case.fg.value.value) < _off(case, case.original.value.value) for case in cases)
    return Judged(claim, _share(right, len(cases)), tuple(map(_example, cases)), _FEW)


def untold(material: Material, claim: Claim) -> Judged:  # noqa: ARG001 - all judges are called alike
    """Say why no table can decide a claim."""
    return Judged(claim, "cannot be told", (_sentence(claim.reason),), "Nothing printed bears on it.")


_FEW = "One model's scores on examples that the authors chose: they say nothing about the rest of the test split."


def _opposite(balance: Mapping[tuple[str, int], int], alpha: float) -> bool:
    """Whether models that decline in more cells than they improve in outnumber the others by more than chance."""
    models: dict[str, int] = {}
    for (model, _), count in balance.items():
        models[model] = models.get(model, 0) + count
    signs = [_sign(Decimal(count)) for count in models.values()]
    return sum(signs) < 0 and sign_test(signs, alpha).p < alpha


def _share(right: int, count: int) -> Support:
    if not count:
        return "cannot be told"
    return "supported" if right == count else "partly supported" if right else "contradicted"


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _exceptions(found: Sequence[Delta]) -> Iterator[str]:
    """Name the cells that do not improve, or count them by model."""
    if len(found) > _NAMED:
        counts = {delta.model: 0 for delta in found}
        for delta in found:
            counts[delta.model] += 1
        yield f"Not improved, cells by model: {', '.join(f'{model} {count}' for model, count in counts.items())}."
    elif found:
        named = [f"{one.model} {one.metric} {signed(one.value)} (Table {one.cell.table})" for one in found]
        yield f"Not improved: {', '.join(named)}."


def _small(tables: Tables, found: Sequence[Delta]) -> Iterator[str]:
    """Say how many changes of accuracy are less than one test utterance."""
    step = {size.dataset: Decimal(100) / size.test.value for size in tables.sizes if size.test.value}
    accuracies = [one for one in found if one.cell.column.startswith("Acc-") and one.cell.dataset in step]
    small = sum(abs(one.value) < step[one.cell.dataset] for one in accuracies)
    if accuracies:
        verb = "is" if small == 1 else "are"
        yield f"{small} of the {len(accuracies)} changes of an accuracy {verb} smaller than one test utterance."


def _gaps(tables: Tables, claim: Claim, table: int) -> Iterator[tuple[Decimal, Delta]]:
    """Return own original minus the row taken over, turned so that + is better, with what -fg changed."""
    rows = tables.rows(table)
    for delta in deltas(tables, table, *claim.contrast, defects=False):
        own = delta.before.value
        for source in ("mmsa", "paper"):
            taken = rows.get((delta.model, "original", source), {}).get(delta.metric)
            if own is not None and taken is not None and taken.value is not None:
                yield (taken.value - own if lower_is_better(taken) else own - taken.value), delta


def _paid(tables: Tables, table: int, claim: Claim) -> list[Growth]:
    return [one for one in growths(tables, table) if one.cell.metric in claim.metrics]


def _named(claim: Claim, found: Growth) -> bool:
    return not claim.models or found.cell.model in claim.models


def _span(found: Sequence[Growth]) -> str:
    if not found:
        return "nothing"
    values = [float(one.value) for one in found]
    return f"{min(values):+.2f} % to {max(values):+.2f} %"


def _list(found: Sequence[Growth]) -> str:
    return ", ".join(
        f"{one.cell.model} {one.cell.metric} {float(one.value):+.2f} % (Table {one.cell.table})" for one in found
    )


def _cases(tables: Tables, claim: Claim) -> list[Case]:
    return [case for case in tables.cases if f"9/{case.number}" in claim.places]


def _example(case: Case) -> str:
    before, after = case.original.value, case.fg.value
    return (
        f"Example {case.number}: truth {case.truth.text}, original {before.text}, -fg {after.text}, "
        f"so {_off(case, before.value)} and {_off(case, after.value)} off."
    )


def _off(case: Case, value: Decimal) -> Decimal:
    return abs(value - case.truth.value)


def _sign(value: Decimal) -> int:
    return (value > 0) - (value < 0)
