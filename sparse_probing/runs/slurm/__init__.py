"""Slurm: batch scripts, arrays, the queue, the program of a job."""
