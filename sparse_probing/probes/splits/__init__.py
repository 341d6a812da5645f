"""Splits and folds that keep groups whole."""
