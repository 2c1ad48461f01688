"""Imported once by the fork server: what every run needs and would otherwise import, or look up, for itself."""

from __future__ import annotations

import importlib

from harness import provenance

__all__ = ["MODULES"]

MODULES = (
    "harness.models.finegrained",
    "harness.training.run",
    "pandas.core.arrays.arrow.extension_types",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
)

for _name in MODULES:
    importlib.import_module(_name)
# Versions of packages stand in dozens of files; a run finds them read.
provenance.environment("cpu")
