"""What models cost: parameters and operations, from built models alone, beside what the paper prints.

Two conventions stand side by side. *fvcore's* is the primary one: multiply-accumulates of one sample from a torch
trace, with handlers of our own for what it leaves at zero (`harness.costs.trace`, `harness.costs.handlers`). The
*paper's* is thop's: modules that thop knows and that ran, over one full batch (`harness.costs.paper`). No data and no
download: a text encoder is built from its configuration with random weights.

Models are counted in eval mode at batch size 1 and full length, and multiplied; groups of the fine-grained method are
computed one after another, as it is defined, not by the faster kernels that training uses.
"""

from harness.costs.counting import Costs, count
from harness.costs.runs import RunCounter
from harness.costs.table import CostCell, CostRow, cost_cells, cost_row

__all__ = ["CostCell", "CostRow", "Costs", "RunCounter", "cost_cells", "cost_row", "count"]
