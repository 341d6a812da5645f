"""Optimal supports by a Gurobi master problem with lazy cuts."""
