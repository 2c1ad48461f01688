"""Case studies as sections of a page: what was said, and what two models make of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from harness.cases import Case, CaseStudy, Remark, Side
from harness.reports.sections import Section
from harness.reports.sheets import Head, Line, Sheet, heads
from harness.reports.tables import Table
from harness.wording import listing

__all__ = ["CASES", "case_sections"]

CASES = (
    "What two models say of single utterances. Such cases illustrate and prove nothing; they are chosen so that losses "
    "stand beside gains."
)

Texts = Mapping[str, Mapping[str, str]]
"""Data set to utterance id to what is said."""


def case_sections(
    tables: Sequence[Table], studies: Sequence[CaseStudy], texts: Texts, remarks: Mapping[str, Remark]
) -> list[Section]:
    """Return the case study of each table that has one.

    Parameters
    ----------
    tables, studies
        What is shown.
    texts : mapping
        What is said, by data set and utterance; an utterance that is not there has an empty cell.
    remarks : mapping
        Translations and notes by utterance.
    """
    by_place: dict[tuple[str, str], CaseStudy] = {(study.dataset, study.task): study for study in studies}
    found = [(table, by_place.get((table.dataset, table.task))) for table in tables]
    return [_section(table, study, texts.get(table.dataset, {}), remarks) for table, study in found if study]


def _section(table: Table, study: CaseStudy, texts: Mapping[str, str], remarks: Mapping[str, Remark]) -> Section:
    base, other = study.names
    known = [remarks.get(case.id, Remark()) for case in study.cases]
    columns = [name for name in ("translation", "acoustic", "visual") if any(getattr(one, name) for one in known)]
    spoken = any(texts.get(case.id) for case in study.cases)
    words = [*(["text"] if spoken else []), *columns]
    return Section(
        table.heading,
        tuple(_sentences(study, spoken=spoken)),
        Sheet(
            slug=f"{table.slug}-cases",
            caption=f"{table.title}, {table.task}: {base} beside {other} on single utterances.",
            about=_about(study),
            synthetic=study.synthetic,
            first="Utterance",
            columns=heads(
                Head("Chosen as", words=True),
                *(Head(name.capitalize(), words=True) for name in words),
                Head("Truth", words=study.task == "classification"),
                *(base, f"{_measure(study)} of {base}", other, f"{_measure(study)} of {other}"),
                Head("Nearer", words=True),
            ),
            lines=tuple(
                _line(case, study, [texts.get(case.id, "")] * spoken + [getattr(one, name) for name in columns])
                for case, one in zip(study.cases, known, strict=True)
            ),
        ),
    )


def _measure(study: CaseStudy) -> str:
    return "|Δ|" if study.task == "regression" else "Miss"


def _sentences(study: CaseStudy, *, spoken: bool) -> Iterator[str]:
    base, other = study.names
    yield study.rule
    yield (
        f"{other} is nearer to the truth than {base} on {100 * study.better:.1f} % of all {study.utterances} "
        f"utterances; the median gain is {_signed(study.median_gain)}."
    )
    if not spoken:
        yield "What is said stands in the feature file, which has not been converted on this machine."


def _signed(gain: float) -> str:
    return f"{gain:+.3f}".replace("-", "\N{MINUS SIGN}")


def _about(study: CaseStudy) -> str:
    if len(study.seeds) == 1:
        return _about_one(study)
    over = f"over {len(study.seeds)} seeds ({listing([str(seed) for seed in study.seeds])})"
    if study.task == "regression":
        return (
            f"Predictions are means {over}, ± their standard deviation. |Δ|: distance of that mean from the truth. "
            "Nearer: the model with the smaller |Δ|."
        )
    return (
        f"The class that most seeds predict, and the probability of the true class as a mean {over}, ± its standard "
        "deviation. Miss: one minus that probability. Nearer: the model that misses less."
    )


def _about_one(study: CaseStudy) -> str:
    seed = study.seeds[0]
    if study.task == "regression":
        return (
            f"Predictions of seed {seed}. |Δ|: their distance from the truth. Nearer: the model with the smaller |Δ|."
        )
    return (
        f"The class that the run of seed {seed} predicts, and its probability of the true class. Miss: one minus that "
        "probability. Nearer: the model that misses less."
    )


def _line(case: Case, study: CaseStudy, words: Sequence[str]) -> Line:
    nearer = "" if case.gain == 0 else study.names[case.gain > 0]
    sides = [text for side in (case.baseline, case.variant) for text in (_said(side), f"{side.error:.2f}")]
    return Line(case.id, (case.group, *words, case.truth, *sides, nearer))


def _said(side: Side) -> str:
    spread = "" if math.isnan(side.sd) else f" ± {side.sd:.2f}"
    return f"{side.said} {side.mean:.2f}{spread}".strip()
