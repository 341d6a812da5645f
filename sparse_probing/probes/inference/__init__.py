"""Tests and confidence intervals of held-out metrics."""
