"""Saved probes at work: apply them to texts, stores and generations; pool scores of tokens into one of the text."""
