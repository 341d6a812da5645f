"""Feature data sets: tokens with labels, one file per feature collection."""
