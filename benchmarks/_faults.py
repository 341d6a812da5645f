"""What can be wrong with a file: damage by a disk or an editor, and files that someone made on purpose."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from probing_datasets.foundation.files.atomic_files import TEMPORARY_PREFIX
from probing_datasets.foundation.files.sealed_json import seal

Fault = Callable[[Path, random.Random], None]
"""Changes a file in place; random choices come from the generator."""


def flip_bit(path: Path, generator: random.Random) -> None:
    """Flip one bit at a random place."""
    content = bytearray(path.read_bytes())
    content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)


def cut(path: Path, generator: random.Random) -> None:
    """Keep the first bytes, as a full disk does that nobody noticed."""
    path.write_bytes(path.read_bytes()[: generator.randrange(path.stat().st_size)])


def add_bytes(path: Path, generator: random.Random) -> None:
    """Append bytes."""
    path.write_bytes(path.read_bytes() + generator.randbytes(7))


def zero_block(path: Path, generator: random.Random) -> None:
    """Overwrite a block with zeros, as a disk does after a power failure."""
    content = bytearray(path.read_bytes())
    start = generator.randrange(len(content))
    content[start : start + 512] = bytes(len(content[start : start + 512]))
    path.write_bytes(content)


def exchange(path: Path, generator: random.Random) -> None:
    """Put the bytes of another file of the same kind into this one."""
    others = [other for other in files_below(path.parent) if other.suffix == path.suffix and other != path]
    path.write_bytes(generator.choice(others).read_bytes() if others else b"\0")


def _content(data: bytes) -> Fault:
    return lambda path, _: (path.write_bytes(data), None)[1]


def _instead(make: Callable[[Path], object]) -> Fault:
    def put(path: Path, _generator: random.Random) -> None:
        path.unlink()
        make(path)

    return put


DAMAGE: dict[str, Fault] = {
    "bit flipped": flip_bit,
    "cut": cut,
    "bytes added": add_bytes,
    "block of zeros": zero_block,
    "bytes of another file": exchange,
    "empty": _content(b""),
    "null": _content(b"null"),
    "{}": _content(b"{}"),
    "nested 100,000 times": _content(b"[" * 100_000),
    "deleted": lambda path, _: path.unlink(),
    "a pipe": _instead(os.mkfifo),
    "a link to /dev/zero": _instead(lambda path: path.symlink_to("/dev/zero")),
    "a folder": _instead(lambda path: path.mkdir()),
}
"""Faults of files of all kinds, by name."""

ESCAPED = Path(tempfile.gettempdir(), "escaped")
"""A place that no command may write to."""

HOSTILE_VALUES: tuple[Any, ...] = (
    "../../../escaped",
    str(ESCAPED),
    "\x1b[2J=1+1",
    -1,
    10**12,
    2**70,
    1e308,
    None,
    True,
    [],
    {},
    ["../escaped"] * 3,
)
"""Values that replace one value of a sealed file, which is then sealed again."""


def forge(path: Path, generator: random.Random) -> None:
    """Replace one value of a JSON file by a hostile one, and seal the file again."""
    content = json.loads(path.read_bytes())
    sealed = isinstance(content, dict) and content.keys() == {"content", "digest"}
    tree = content["content"] if sealed else content
    container, key = generator.choice(list(_places(tree)))
    container[key] = generator.choice(HOSTILE_VALUES)
    path.write_bytes(seal(tree) if sealed else json.dumps(tree).encode())


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container with a key or an index of it."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list) and tree[key]:
            yield from _places(tree[key])


def files_below(folder: Path) -> list[Path]:
    """Return the files that hold results, in order: neither locks nor leftovers of a killed process."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(p for p in paths if p.suffix != ".lock" and not any(x.startswith(TEMPORARY_PREFIX) for x in p.parts))


def copy_tree(source: Path, destination: Path) -> None:
    """Replace a folder by a copy of another, with the times of its files."""
    shutil.rmtree(destination, ignore_errors=True)
    shutil.copytree(source, destination)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of everything below a folder."""
    return {str(p): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in folder.rglob("*") if not p.is_dir()}
