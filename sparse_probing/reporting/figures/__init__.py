"""Figures: each is one function, in a file of the same name, that returns a matplotlib figure."""
