"""The feature collections: one file or folder for each name of ``make``."""
