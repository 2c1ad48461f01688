"""Benchmark reproduction harness for multimodal sentiment analysis (MSA)."""

__all__ = ["__version__"]

__version__ = "0.1.0"
