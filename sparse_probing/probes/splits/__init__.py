"""Splits and folds of rows with whole groups."""
