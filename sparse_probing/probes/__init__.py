"""Sparse probes: splits, bases, rankings, fits, metrics, controls and tests, on plain arrays (float64 inside)."""
