"""Trained linear probes that are kept and applied to new texts."""
