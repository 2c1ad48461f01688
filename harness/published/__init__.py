"""The paper's Tables 1 to 9 as they are printed, and the reading of their numbers to the printed digit.

The CSV files were typed from the paper's text. What is printed is never altered: where the text extraction or the
paper itself went wrong, ``corrected`` says what must be meant and ``reason`` why, and values come from the correction.

* ``table4.csv`` to ``table8.csv``, the results, are long: one line a printed cell. ``place`` counts the table's rows
  from 1 and ``row`` is the row's label (which spells MulT as MuT outside Table 8). ``source`` is read off the label:
  ``reproduction`` for ``#``, ``mmsa`` for ``*`` (taken over from MMSA's results page), ``paper`` for no mark (a model's
  own paper) and ``delta`` for the differences, whose ``variant`` is the one compared with the original. ``setting`` is
  printed in Table 4 alone. ``heading`` is the column's as printed, ``column`` the metric in it; ``halves`` says which
  number is which in a cell that holds two. Values and printed precision follow from the text, and stand nowhere else.
* ``table1.csv`` to ``table3.csv`` are laid out as printed, with the harness's own names in a column beside it, and
  ``table9.csv``, the case study, has one line a printed cell. ``captions.csv`` holds the captions.
* ``claims.csv`` holds what the running text says about the tables: the words as they are, and a reading of them that
  tables can decide (see `ClaimKind`). ``; `` stands between the parts of a list.

A dash, of whatever length, is an absent value. Bold type, which marks improvements in Tables 4 to 7 and the best
results in Tables 8 and 9, did not survive the text extraction at all, underlines (second best in Table 8) in part.
"""

from harness.published.cells import COSTS, Cell, Half, Source
from harness.published.claims import Claim, ClaimKind
from harness.published.descriptions import Case, DatasetSize, Network, Prediction, SubFeatures
from harness.published.numbers import Printed, parse, parse_cell
from harness.published.tables import Tables, frame, load, own_results

__all__ = [
    "COSTS",
    "Case",
    "Cell",
    "Claim",
    "ClaimKind",
    "DatasetSize",
    "Half",
    "Network",
    "Prediction",
    "Printed",
    "Source",
    "SubFeatures",
    "Tables",
    "frame",
    "load",
    "own_results",
    "parse",
    "parse_cell",
]
