"""Tables and sheets that are hard to print: originals of others, costs, nasty names, Chinese, long words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.costs import CellCosts, CellKey
from harness.plan import Plan
from harness.reports.layout import build
from harness.reports.sheets import Head, Line, Sheet, heads
from harness.reports.tables import Block, CostColumn, Number, Row, Table
from tests.reports import fakes

NASTY = r"A&B_100% #1 $x^2$ ~\ {b} <i> ?`!` 'q' ``--''"
CHINESE = "不太理想，话题太高端。"


def table(plan: Plan | None = None, store: fakes.FakeStore | None = None) -> Table:
    """The one table of a plan; by default three models in four variants over five seeds."""
    plan = plan or fakes.plan()
    [made] = build(fakes.compared(plan, store or fakes.filled(plan, fakes.typical_error)), plan)
    return made


def with_costs(made: Table) -> Table:
    """The same table with two columns of costs."""

    def row(one: Row) -> Row:
        return replace(one, costs=("+0.20", "") if one.kind == "delta" else ("5.04e6", "3.54e9"))

    blocks = tuple(replace(block, rows=tuple(map(row, block.rows))) for block in made.blocks)
    return replace(made, costs=(CostColumn("Params", "trainable"), CostColumn("MACs", "of one")), blocks=blocks)


def with_published(made: Table) -> Table:
    """The same table with an original of others in every block, the last column of which nobody printed."""

    def block(one: Block) -> Block:
        first = one.rows[0]
        numbers = (*(Number(f"{70 + place:.2f}") for place in range(len(made.columns) - 1)), Number())
        others = Row(
            "published", f"{one.model}*", "original", first.setting, "", numbers, costs=("",) * len(made.costs)
        )
        ours = (replace(row, label=f"#{row.label}") if row.kind == "value" else row for row in one.rows)
        return replace(one, rows=(others, *ours))

    return replace(made, blocks=tuple(map(block, made.blocks)))


def counted(made: Table) -> dict[CellKey, CellCosts]:
    """Costs of every cell of a table: fg costs a tenth more than the original."""
    costs = {}
    for block in made.blocks:
        for row in block.rows:
            more = 110 if row.variant == "fg" else 100
            key = (made.dataset, row.setting, made.task, block.model, row.variant)
            costs[key] = CellCosts(1, 1, params_paper=5720 * more, macs_paper=14_800_000 * more, batch_size=4)
    return costs


def cases(**changes: Any) -> Sheet:
    """A case study in Chinese with names that LaTeX would choke on."""
    given: dict[str, Any] = {
        "slug": "toy-cases",
        "caption": f"{NASTY}, regression: MulT beside MulT-fg on single utterances.",
        "about": f"Predictions are means over 5 seeds, ± their standard deviation. {NASTY}",
        "synthetic": True,
        "first": "Utterance",
        "columns": heads(
            *(Head("Chosen as", words=True), Head("Text", words=True), Head("Translation", words=True)),
            *("Truth", "MulT", "|Δ|", Head("Nearer", words=True)),
        ),
        "lines": (
            Line("video_0001$_$0004", ("largest gain", CHINESE, "Not really.", "-0.60", "0.02 ± 0.10", "0.62", "MulT")),
            Line("b", ("largest loss", CHINESE * 12, "word " * 60, "0.40", "-0.84 ± 0.01", "1.24", ""), opens=True),
            Line("c", ("middle", "Ж" * 90 + " W" * 40, "W" * 200, "", "", "", NASTY), holds=True, opens=True),
        ),
    }
    return Sheet(**(given | changes))
