"""Metrics of probes on held-out rows."""
