"""Plans: a suite expanded into cells and runs."""

from harness.plan.cell import encoder_choice, setting_for
from harness.plan.expand import load_datasets, make_plan, narrow
from harness.plan.fingerprint import sources_fingerprint
from harness.plan.parts import Cell, Plan, Selection, Source

__all__ = [
    "Cell",
    "Plan",
    "Selection",
    "Source",
    "encoder_choice",
    "load_datasets",
    "make_plan",
    "narrow",
    "setting_for",
    "sources_fingerprint",
]
