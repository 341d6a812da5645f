"""Stage 1: activations of a model at the probed positions, and where they are stored."""
