"""Runs on Slurm: batch scripts, arrays, the queue, jobs."""
