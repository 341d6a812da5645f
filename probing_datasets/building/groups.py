"""What makes the group of a text: rows of one group are never in both training and test rows.

A collection takes the group from a column of its source (``--group_column``: a document, a person). Without such a
value the functions below decide.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any


def group_of_row(value: Any, number: int) -> str:
    """Return the group that a row of a table names; a row that names none is a group."""
    return str(value) if value not in (None, "") else f"row {number}"


def group_of_text(text: str) -> str:
    """Return the group of a text for sources without groups: texts that are the same are one group."""
    return hashlib.blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=8).hexdigest()


def group_of_file(path: Path, root: Path) -> str:
    """Return the group of a source file: the first folder below ``root``, which is its package or project."""
    return path.relative_to(root).parts[0]
