"""What every package stands on: errors, settings, atomic files, hashes, provenance."""
