"""Run one task, record attempts at it, and publish its result."""
