"""Optimal sparse probes: the best support of k neurons, and the proof that no other is better."""
