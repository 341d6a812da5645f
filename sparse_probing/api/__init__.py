"""The Python face: one call for everything that a command does."""
