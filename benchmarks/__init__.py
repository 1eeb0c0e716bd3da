"""Timing of every way to call a SavedModel. Run `python -m benchmarks` from the repository root."""
