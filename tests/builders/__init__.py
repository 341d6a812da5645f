"""Functions that build what several test modules need."""
