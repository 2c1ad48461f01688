"""Figures of a suite."""

from __future__ import annotations
