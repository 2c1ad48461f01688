"""A suite's cost table: one row per data set, model and variant, with the paper's numbers beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness import models
from harness.costs.counting import Costs
from harness.costs.runs import RunCounter
from harness.models import text
from harness.plan import Cell, Selection, load_datasets, make_plan, narrow
from harness.published import Printed, own_results
from harness.spec import EncoderChoice, RunSpec, TextEncoder, Variant
from harness.suites import load_suite

__all__ = ["KNOWN_MISSES", "CostCell", "CostRow", "cost_cells", "cost_row"]

KNOWN_MISSES: Mapping[tuple[str, str, str, str], tuple[int, str]] = {
    ("mosei", "Graph-MFN", "fg", "FLOPs"): (
        2_115_543_040,
        "unexplained: 2.11 would take a number cut off and not rounded, and the other rows are rounded",
    ),
    ("mosei", "Self-MM", "fg", "FLOPs"): (
        136_529_967_616,
        "counted at full lengths; a batch whose longest acoustic sequence has at most 456 of 500 steps would fit",
    ),
}
"""What is known of rows that miss, by data set, model, variant and column: our number, and the likely cause. A suite
that counts another number there gets no such explanation."""


@dataclass(frozen=True)
class CostCell:
    """A row to be: where it stands in the table, and the run that stands for all its seeds."""

    spec: RunSpec
    variant: Variant
    alias_of: Variant | None


@dataclass(frozen=True)
class CostRow:
    """The costs of one row, and what the paper prints for it.

    Attributes
    ----------
    cell : CostCell
    costs : Costs
        Of one utterance of full length.
    printed_params, printed_flops : Printed or None
        The paper's own numbers, where it prints some for just this row.
    """

    cell: CostCell
    costs: Costs
    printed_params: Printed | None
    printed_flops: Printed | None

    @property
    def batch_size(self) -> int:
        """Utterances in a full batch."""
        return int(self.cell.spec.hyper["batch_size"])

    @property
    def macs_paper(self) -> int:
        """The paper's convention: one full batch."""
        return self.batch_size * self.costs.paper.macs

    @property
    def params_match(self) -> bool | None:
        """Whether our parameters, in the paper's convention, equal every printed digit."""
        return self.printed_params.agrees(self.costs.paper.params) if self.printed_params else None

    @property
    def flops_match(self) -> bool | None:
        """Whether our multiply-accumulates, in the paper's convention, equal every printed digit."""
        return self.printed_flops.agrees(self.macs_paper) if self.printed_flops else None

    @property
    def label(self) -> str:
        """A short name for people: ``LF-DNN-fg on mosei``."""
        suffix = "" if self.cell.variant == "original" else f"-{self.cell.variant}"
        return f"{self.cell.spec.model}{suffix} on {self.cell.spec.data.dataset}"

    def misses(self) -> tuple[str, ...]:
        """Say, for each printed number that ours does not equal, what is known of it."""
        checked = (
            ("Params", self.params_match, self.costs.paper.params, self.printed_params),
            ("FLOPs", self.flops_match, self.macs_paper, self.printed_flops),
        )
        said = []
        for column, match, ours, printed in checked:
            if match is False and printed is not None:
                key = (self.cell.spec.data.dataset, self.cell.spec.model, self.cell.variant, column)
                known, cause = KNOWN_MISSES.get(key, (None, ""))
                note = f" ({cause})" if ours == known else ""
                said.append(f"{self.label}: {column} {ours:,}, printed {printed.plain}{note}")
        return tuple(said)

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        spec, costs = self.cell.spec, self.costs
        return {
            "dataset": spec.data.dataset,
            "model": spec.model,
            "variant": self.cell.variant,
            "alias_of": self.cell.alias_of,
            "task": spec.task,
            "setting": spec.data.setting,
            "text_encoder": spec.text_encoder.name if spec.text_encoder else None,
            "batch_size": self.batch_size,
            "params": costs.trainable,
            "params_registered": costs.registered,
            "params_unregistered": costs.traced.unregistered,
            "params_paper": costs.paper.params,
            "params_left_out": dict(costs.paper.left_out),
            "macs_per_sample": costs.traced.macs,
            "flops_per_sample": 2 * costs.traced.macs,
            "macs_by_operation": dict(costs.traced.by_operation),
            "macs_paper": self.macs_paper,
            "uncounted": dict(costs.traced.uncounted),
            "dropped": list(costs.traced.dropped),
            "never_used": list(costs.traced.never_used),
            "printed_params": float(self.printed_params.value) if self.printed_params else None,
            "printed_flops": float(self.printed_flops.value) if self.printed_flops else None,
            "params_match": self.params_match,
            "flops_match": self.flops_match,
            "notes": list(self.misses()),
        }


def cost_cells(ref: str, pick: Selection) -> tuple[CostCell, ...]:
    """Expand a suite into the rows of its cost table, without its data.

    A model that does both tasks of a suite stands in it once, for regression, which is what the paper prints.

    Parameters
    ----------
    ref : str
        A shipped suite's name or a YAML file.
    pick : Selection
        What the user picked from it.

    Raises
    ------
    InputError
        If the suite, or what was picked from it, makes no sense.
    """
    suite, base = load_suite(ref)
    suite, datasets = narrow(suite, load_datasets(suite, base), pick)

    def encoder_of(choice: EncoderChoice) -> TextEncoder:
        return text.describe(text.choose(choice, os.environ.get(text.VARIABLE)), base)

    # The content of feature files is part of a run's identity and of no cost.
    plan = make_plan(suite, datasets, lambda _dataset, _setting: "0" * 64, encoder_of)
    chosen: dict[tuple[str, str, Variant], Cell] = {}
    for cell in plan.cells:
        key = (cell.dataset.name, cell.model, cell.variant)
        if cell.runs and (key not in chosen or cell.task == "regression"):
            chosen[key] = cell
    order = {name: place for place, name in enumerate(models.names())}
    ranked = sorted(chosen.values(), key=lambda c: (datasets.index(c.dataset), order[c.model]))
    return tuple(CostCell(cell.runs[0], cell.variant, cell.alias_of) for cell in ranked)


def cost_row(cell: CostCell, counter: RunCounter) -> CostRow:
    """Count one row; `counter` remembers what it has counted."""
    spec = cell.spec
    key = (spec.data.dataset, spec.model, cell.variant)
    printed = {
        column: own_results(column).get(key) if spec.task == "regression" else None for column in ("Params", "FLOPs")
    }
    return CostRow(cell, counter.count(spec), printed["Params"], printed["FLOPs"])
