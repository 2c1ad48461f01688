"""Reports: tables as HTML, LaTeX and CSV, made from tidy results and nothing else."""

from __future__ import annotations

from harness.reports.render import render

__all__ = ["render"]
