"""Sparse probes: splits, rankings, logistic fits, metrics and controls (numpy alone, float64 inside)."""
