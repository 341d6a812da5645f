"""Ranked neurons: choose them from results and export them as CSV."""
