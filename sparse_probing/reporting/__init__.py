"""What one does with results: load, rank neurons, draw; nothing here fits a probe."""
