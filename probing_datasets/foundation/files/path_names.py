"""Names that were read from a file, before they become a part of a path."""

from __future__ import annotations

from probing_datasets.foundation.errors import DamagedFileError

MAX_NAME_BYTES = 255
"""Longest name that common file systems take."""


def path_name(name: str, what: str) -> str:
    """Return a name that may become one component of a path; ``what`` says in the message where it came from.

    Raises
    ------
    DamagedFileError
        When the name is empty, ``.`` or ``..``, too long, or contains a separator or a control character.

    Examples
    --------
    >>> path_name("mlp.hook_post", "the plan of a store")
    'mlp.hook_post'
    """
    unsafe = not name or name in (".", "..") or any(c in "/\\:" or not c.isprintable() for c in name)
    if unsafe or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise DamagedFileError(
            f"{what} contains the name {name[:80]!r}, which cannot be the name of a file. "
            "This project writes no such name: use another one, or do not use the file that it comes from."
        )
    return name
