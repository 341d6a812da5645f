"""Stage 2 as runs: plan a run, do its tasks here or on Slurm, follow it."""
