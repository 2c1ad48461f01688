"""What models cost: parameters and operations, from built models alone, beside what the paper prints.

Two conventions stand side by side. *fvcore's* is the primary one: multiply-accumulates of one sample from a torch
trace, with handlers of our own for what it leaves at zero (`harness.costs.trace`, `harness.costs.handlers`). The
*paper's* is thop's: modules that thop knows and that ran, over one full batch (`harness.costs.paper`). No data and no
download: a text encoder is built from its configuration with random weights.

Models are counted in eval mode at batch size 1 and full length, and multiplied; groups of the fine-grained method are
computed one after another, as it is defined, not by the faster kernels that training uses.

`plan_costs` keeps what it counts (`harness.costs.kept`), so that importing this room must not import torch: what
counts is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from harness.costs.kept import CellCosts, CellKey, plan_costs

if TYPE_CHECKING:
    from harness.costs.counting import Costs, count
    from harness.costs.runs import RunCounter
    from harness.costs.table import CostCell, CostRow, cost_cells, cost_row

__all__ = [
    "CellCosts",
    "CellKey",
    "CostCell",
    "CostRow",
    "Costs",
    "RunCounter",
    "cost_cells",
    "cost_row",
    "count",
    "plan_costs",
]

if not TYPE_CHECKING:  # else a type checker would believe that the room has every name
    _IMPORTS_TORCH = {
        **dict.fromkeys(("Costs", "count"), "counting"),
        "RunCounter": "runs",
        **dict.fromkeys(("CostCell", "CostRow", "cost_cells", "cost_row"), "table"),
    }

    def __getattr__(name: str) -> Any:
        """Import what counts when it is first asked for."""
        if name not in _IMPORTS_TORCH:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_IMPORTS_TORCH[name]}"), name)
