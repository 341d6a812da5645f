"""What probes are fitted to: checks, scaling, and blocks in float64."""
