"""Stage 2 as tasks: plan, run, publish."""
