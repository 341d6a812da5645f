"""Branch and bound over supports: the solver that proves."""
