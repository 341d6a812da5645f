"""Files that may be damaged, hostile or half written: atomic writes, checked reads, and names that may be paths."""
