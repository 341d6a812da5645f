"""Plan a harvest, resume an existing store, compute and write its parts."""
