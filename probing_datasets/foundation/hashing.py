"""Digests that name inputs and guard files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, cast

import xxhash
from numpy.typing import NDArray


def digest_json(value: Any) -> str:
    """Return the SHA-256 (hex) of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def checksum(chunks: Iterable[bytes | memoryview | NDArray]) -> str:
    """Return the 128-bit xxh3 (hex) of the concatenated chunks: fast, for damage, not for attackers."""
    state = xxhash.xxh3_128()
    for chunk in chunks:
        state.update(cast(bytes, chunk))
    return state.hexdigest()
