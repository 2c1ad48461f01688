"""What the runner costs besides training, as ratios: ``python -m benchmarks.runner``."""
