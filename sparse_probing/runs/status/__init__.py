"""The state of every task of a run, its logs, and waiting for it."""
