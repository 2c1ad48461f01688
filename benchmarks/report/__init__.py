"""What a report costs: ``python -m benchmarks.report``."""
