"""Run one task, record attempts at it, publish its result, and check results."""
