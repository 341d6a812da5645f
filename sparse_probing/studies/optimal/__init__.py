"""Studies of optimal sparse probes: which k neurons are best, proved over the whole layer."""
