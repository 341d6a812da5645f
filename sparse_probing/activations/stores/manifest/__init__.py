"""What a store records about itself: plan, parts, rows, provenance, checksums."""
