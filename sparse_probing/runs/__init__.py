"""Stage 2 as runs: create a run, run its tasks here or on Slurm, follow it."""
