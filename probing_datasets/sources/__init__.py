"""Where texts come from: tables, folders of texts or of source files, data sets of the hub."""
