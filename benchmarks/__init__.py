"""Speed, memory and quality compared with a peer: one script per claim, run as ``python -m benchmarks.<name>``."""
