"""Benchmarks of the harness itself: each is a package that runs with ``python -m benchmarks.NAME``."""
