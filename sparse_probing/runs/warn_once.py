"""Warnings that a process gives once, however often it reads the same damaged file."""

from __future__ import annotations

import logging
from functools import cache

logger = logging.getLogger(__name__)


@cache
def warn_once(text: str) -> None:
    """Log a warning, unless this process has logged the same text."""
    logger.warning("%s", text)
