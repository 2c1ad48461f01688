"""The paper's tables as they are printed, in one long CSV, and the reading of its numbers to the printed digit.

``tables.csv`` was typed from the paper's text: one line a cell, with the row's label and the cell's text as printed
(labels may spell a model otherwise: the paper's MuT is MulT). The label tells who vouches for a row: ``#`` marks the
authors' own runs, ``*`` numbers taken over from MMSA's results page, no mark those from a model's own paper;
``variant`` is ``delta`` in rows of differences. So far it holds the cost columns of Tables 4 and 5.
"""

from harness.published.numbers import Printed, parse
from harness.published.tables import DATASET_OF_TABLE, Cell, load, own_results

__all__ = ["DATASET_OF_TABLE", "Cell", "Printed", "load", "own_results", "parse"]
