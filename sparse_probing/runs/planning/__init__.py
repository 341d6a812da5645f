"""Create runs: check the inputs of a configuration of stage 2 and cut it into tasks."""
