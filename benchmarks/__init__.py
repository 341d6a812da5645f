"""Speed, memory and quality beside a peer: one script per claim, run as ``python -m benchmarks.<name>``."""
