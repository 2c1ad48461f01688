"""Feature files: definitions, safe reading, checking, the memory-mapped cache, synthetic sets."""

from __future__ import annotations

from harness.data.cache import Features, Split, cache_folder, load_features, open_features
from harness.data.checks import CheckReport, Finding, check
from harness.data.definitions import load_definition, shipped
from harness.data.describe import table1, table2
from harness.data.files import fingerprint, locate
from harness.data.safe_pickle import read_pickle
from harness.data.synthetic import SyntheticGroup, generate, plan, write_pickle

__all__ = [
    "CheckReport",
    "Features",
    "Finding",
    "Split",
    "SyntheticGroup",
    "cache_folder",
    "check",
    "fingerprint",
    "generate",
    "load_definition",
    "load_features",
    "locate",
    "open_features",
    "plan",
    "read_pickle",
    "shipped",
    "table1",
    "table2",
    "write_pickle",
]
