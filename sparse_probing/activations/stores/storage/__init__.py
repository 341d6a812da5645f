"""Files on a disk or behind a URL, and their checksums."""
