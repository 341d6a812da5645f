"""Probes that are trained while the model runs: no activations are stored."""
