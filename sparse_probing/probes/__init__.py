"""Sparse probes on plain arrays: splits, bases, rankings, fits, metrics, controls and tests; float64 inside."""
