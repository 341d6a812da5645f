"""Held-out scores of probes."""
