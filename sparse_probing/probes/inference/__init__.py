"""Tests and intervals of held-out scores."""
