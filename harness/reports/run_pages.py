"""A page per run: what was asked, how it went, what came out, and what it predicts for the test split.

A record never changes, and a suite may have a thousand, so a page is written again only where something that stands on
it, or the code that makes it, is another than before: the page carries a hash of both.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray
from scipy.special import softmax

from harness.errors import StoreError
from harness.figures.separation import SENTIMENTS
from harness.metrics import Metric, metrics_for
from harness.reports.latex import TEMPLATES
from harness.reports.loss_chart import loss_chart
from harness.reports.pages import flat, page, write
from harness.reports.sheets import Head, Line, Sheet, heads
from harness.results import Predictions, Results, RunDetails
from harness.sources import fingerprint_of

if TYPE_CHECKING:
    from harness.plan import Plan
    from harness.spec import RunSpec

__all__ = ["MOST_ROWS", "run_pages"]

MOST_ROWS = 1000
"""Predictions that a page lists; of more, those with the largest errors."""

_FOLDER = "runs"
_PAGE = re.compile(r'<meta name="harness-run" content="(?P<key>[0-9a-f]*)">')
_HEAD = 2000
"""Bytes at the beginning of a page in which its mark stands."""
_PRIVATE = {"host", "worker_pid"}
"""Parts of the provenance that name a machine: they stay in the record, since a report is passed on."""


@dataclass(frozen=True)
class Tested:
    """Predictions as a page shows them: a summary, and rows of a table that are escaped already."""

    summary: Sheet
    columns: tuple[Head, ...]
    rows: Markup
    shown: int
    total: int


def run_pages(results: Results, plan: Plan, folder: Path) -> dict[str, str]:
    """Write the pages of all runs that are done or failed, and remove those of runs that the suite no longer has.

    Parameters
    ----------
    results : Results
        What `harness.results.collect` read.
    plan : Plan
        The suite, whose report the pages lead back to.
    folder : Path
        The folder of the suite's report; the pages go into its folder ``runs``.

    Returns
    -------
    dict
        Run id to the page's address relative to `folder`.

    Raises
    ------
    StoreError
        If a record cannot be read any more, or a page cannot be written.
    """
    scored: dict[str, dict[str, tuple[float, float]]] = {}
    columns = (results.values[name] for name in ("run_id", "metric", "value", "mmsa"))
    for run_id, metric, value, mmsa in zip(*columns, strict=True):
        scored.setdefault(run_id, {})[metric] = (value, mmsa)
    titles = {cell.dataset.name: cell.dataset.title for cell in plan.cells}
    addresses: dict[str, str] = {}
    for run in results.runs.to_dict("records"):
        run_id = run["run_id"]
        if run_id not in results.details:
            continue
        addresses[run_id] = f"{_FOLDER}/{run_id}.html"
        path, told = folder / addresses[run_id], results.details[run_id]
        about = {
            "suite": {"name": plan.suite.name, "title": plan.suite.title or plan.suite.name},
            "title": titles[told.spec.data.dataset],
            "run": run,
        }
        scores = scored.get(run_id, {})
        key = _key(about, told, scores)
        # Without their hash nobody can tell whether the predictions are those of before.
        if "predictions.parquet" not in told.files or _key_of(path) != key:
            write(path, _page(about, told, scores, results.predictions.get(run_id), key))
    _remove_others(folder / _FOLDER, {folder / address for address in addresses.values()})
    return addresses


def _page(
    about: Mapping[str, Any],
    told: RunDetails,
    scores: Mapping[str, tuple[float, float]],
    predictions: Predictions | None,
    key: str,
) -> str:
    synthetic, history = told.spec.data.synthetic, told.history()
    return page(
        "run.html",
        **about,
        key=key,
        synthetic=synthetic,
        asked=_asked(told.spec),
        scores=_scores(told.spec, scores) if scores else None,
        chart=loss_chart(history),
        history=_history(history, synthetic=synthetic) if history else None,
        tested=_tested(predictions, synthetic=synthetic) if predictions else None,
        log=told.log,
        traceback=told.traceback,
        provenance=_provenance(told.provenance()),
    )


def _asked(spec: RunSpec) -> dict[str, dict[str, str]]:
    """Return the spec in groups of named facts."""
    asked = spec.model_dump(mode="json")
    groups = {
        "Data": asked.pop("data"),
        "Hyper-parameters": asked.pop("hyper"),
        "Fine-grained extractor": asked.pop("finegrained"),
        "Text encoder": asked.pop("text_encoder"),
    }
    return {"Run": dict(flat(asked))} | {title: dict(flat(group)) for title, group in groups.items() if group}


def _provenance(told: Mapping[str, Any]) -> dict[str, str]:
    kept = {name: value for name, value in told.items() if name not in _PRIVATE}
    return dict(flat(kept | kept.pop("environment", {})))


def _scores(spec: RunSpec, scores: Mapping[str, tuple[float, float]]) -> Sheet:
    known = [metric for metric in metrics_for(spec.task, spec.data.convention) if metric.name in scores]
    others = {metric.name: _of_mmsa(metric, *scores[metric.name]) for metric in known}
    column = [Head("MMSA", title="as MMSA rounds it, where that is another value")] if any(others.values()) else []
    return Sheet(
        slug="scores",
        caption=f"{spec.label}: metrics of the test split.",
        about="Computed from the stored predictions, accuracies and F1 in percent."
        + (" MMSA: what MMSA prints after rounding, where it is another value." if column else ""),
        synthetic=spec.data.synthetic,
        first="Metric",
        columns=heads("Value", *column, Head("Better", words=True), Head("Signature", words=True)),
        lines=tuple(
            Line(
                metric.name,
                (
                    _value(metric, scores[metric.name][0]),
                    *([others[metric.name]] if column else []),
                    *("higher" if metric.higher_is_better else "lower", metric.signature),
                ),
            )
            for metric in known
        ),
    )


def _value(metric: Metric, value: float) -> str:
    return "" if np.isnan(value) else f"{value * (100 if metric.percent else 1):.4f}"


def _of_mmsa(metric: Metric, value: float, mmsa: float) -> str:
    """Return MMSA's number, which it rounds to four digits, where ours rounded alike is another."""
    if np.isnan(mmsa) or round(value, 4) == mmsa:
        return ""
    return f"{mmsa * 100:.2f}" if metric.percent else f"{mmsa:.4f}"


def _history(history: Sequence[Mapping[str, Any]], *, synthetic: bool) -> Sheet:
    return Sheet(
        slug="epochs",
        caption="History: losses as means over batches, one line per epoch.",
        about="Best: epochs whose validation loss was the lowest so far; the last of them was tested.",
        synthetic=synthetic,
        first="Epoch",
        columns=heads("Training loss", "Validation loss", "Learning rate", "Seconds", Head("Best", words=True)),
        lines=tuple(
            Line(
                str(epoch.get("epoch", place)),
                (
                    *(_short(epoch.get(name), "#.4g") for name in ("train_loss", "valid_loss")),
                    *(_short(epoch.get("learning_rate"), ".4g"), _short(epoch.get("seconds"), ".1f")),
                    "best" if epoch.get("best") else "",
                ),
            )
            for place, epoch in enumerate(history, 1)
        ),
    )


def _short(value: float | None, form: str) -> str:
    return "" if value is None or not np.isfinite(value) else format(value, form)


def _tested(found: Predictions, *, synthetic: bool) -> Tested:
    if found.task == "regression":
        label, pred = (np.asarray(values, dtype=float) for values in (found.label, found.pred))
        error = pred - label
        summary = _spread(label, pred, error, synthetic=synthetic)
        columns = heads("Truth", "Prediction", "Error", "|Error|")
        values = [label, pred, error, np.abs(error)]
    else:
        truth, shares = found.label.astype(int), softmax(found.pred.astype(float), axis=1)
        guessed, names = shares.argmax(axis=1), np.array(SENTIMENTS)
        summary = _confusion(truth, guessed, synthetic=synthetic)
        columns = heads(
            *(Head(name, words=True) for name in ("Truth", "Prediction")),
            *(f"P({name})" for name in SENTIMENTS),
            "Miss",
        )
        values = [names[truth], names[guessed], *shares.T, 1 - shares[np.arange(len(truth)), truth]]
    # A prediction that is not a number misses by more than any that is.
    order = np.argsort(-np.nan_to_num(values[-1], nan=np.inf), kind="stable")[:MOST_ROWS]
    cells = zip(*(_cells(column[order].tolist()) for column in values), strict=True)
    rows = "\n".join(
        f'<tr><th scope="row" class="name">{escape(name)}</th>{"".join(row)}</tr>'
        for name, row in zip(found.ids[order], cells, strict=True)
    )
    # Ids are escaped above, all else is numbers and names of classes; a template would take ten times as long.
    return Tested(summary, columns, Markup(rows), len(order), len(found.ids))  # noqa: S704


def _cells(values: Sequence[float | str]) -> list[str]:
    return [
        f'<td class="text">{value}</td>' if isinstance(value, str) else f"<td>{_rounded(value)}</td>"
        for value in values
    ]


def _rounded(value: float) -> str:
    # Adding zero turns a rounded -0.0 into 0.0.
    return "" if math.isnan(value) else f"{round(value, 3) + 0.0:.3f}".replace("-", "−")


def _spread(label: NDArray[Any], pred: NDArray[Any], error: NDArray[Any], *, synthetic: bool) -> Sheet:
    named = {"Truth": label, "Prediction": pred, "Error": error, "|Error|": np.abs(error)}
    return Sheet(
        slug="spread",
        caption="Predictions of the test split: their spread beside that of the truth.",
        about="Error: prediction minus truth. SD: standard deviation over utterances (n − 1).",
        synthetic=synthetic,
        first="Quantity",
        columns=heads("Utterances", "Mean", "SD", "Minimum", "Median", "Maximum"),
        lines=tuple(Line(name, _summary(values[~np.isnan(values)])) for name, values in named.items()),
    )


def _summary(values: NDArray[Any]) -> tuple[str, ...]:
    if not len(values):
        return ("0", "", "", "", "", "")
    sd = f"{values.std(ddof=1):.3f}" if len(values) > 1 else ""
    ordered = (values.min(), float(np.median(values)), values.max())
    return (str(len(values)), f"{values.mean():.3f}", sd, *(f"{value:.3f}" for value in ordered))


def _confusion(label: NDArray[Any], guessed: NDArray[Any], *, synthetic: bool) -> Sheet:
    counts = np.zeros((3, 3), dtype=int)
    np.add.at(counts, (label, guessed), 1)
    return Sheet(
        slug="confusion",
        caption="Predictions of the test split: utterances by true and predicted class.",
        about="Recall: the share of a class's utterances that are predicted as such.",
        synthetic=synthetic,
        first="Truth",
        columns=heads(*(f"Predicted {name}" for name in SENTIMENTS), "Utterances", "Recall (%)"),
        lines=tuple(
            Line(
                name,
                (
                    *(str(count) for count in row),
                    *(str(row.sum()), f"{100 * row[i] / row.sum():.1f}" if row.sum() else ""),
                ),
            )
            for i, (name, row) in enumerate(zip(SENTIMENTS, counts, strict=True))
        ),
    )


def _key(about: Mapping[str, Any], told: RunDetails, scores: Mapping[str, tuple[float, float]]) -> str:
    """Hash what stands on a page, the predictions by the hash of their file, and what makes it.

    Definitions of metrics and names of classes stand on it too, and are made in other rooms than this one.
    """
    spec = told.spec
    metrics = [(m.name, m.signature, m.higher_is_better) for m in metrics_for(spec.task, spec.data.convention)]
    shown = (
        *(_made_by(), about, spec.model_dump(mode="json"), scores, metrics),
        SENTIMENTS if spec.task == "classification" else None,
        *(told.log, told.traceback, told.files),
    )
    return hashlib.sha256(json.dumps(shown, sort_keys=True, default=str).encode()).hexdigest()[:16]


@cache
def _made_by() -> str:
    """Return a fingerprint of this room's modules and templates."""
    room = Path(__file__).parent
    texts = [path.read_bytes() for path in sorted(TEMPLATES.iterdir()) if path.is_file()]
    return fingerprint_of(room.glob("*.py"), room) + hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


def _key_of(path: Path) -> str | None:
    """Return the key that a page carries; None for what is no page of a run."""
    try:
        with path.open("rb") as file:
            found = _PAGE.search(file.read(_HEAD).decode("utf-8", errors="replace"))
    except OSError:
        return None
    return found["key"] if found else None


def _remove_others(folder: Path, kept: set[Path]) -> None:
    """Remove pages that bear our mark; whatever else people keep there stays."""
    try:
        for path in folder.glob("*.html"):
            if path not in kept and _key_of(path) is not None:
                path.unlink()
    except OSError as error:
        raise StoreError(
            f"cannot remove the page of a run that the suite no longer has: {error.strerror or error}",
            where=str(folder),
            hint="check the permissions there, or remove the folder: it is written again",
        ) from error
