"""L1-regularised paths."""
