"""Learn from batches as they come, without keeping their rows: the pass, its split, its state, its result rows."""
