"""Cut a configuration of stage 2 into tasks, and check its inputs."""
