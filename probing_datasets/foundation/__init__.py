"""What every package builds on: errors, settings, commands, atomic files, hashes, provenance, file languages."""
