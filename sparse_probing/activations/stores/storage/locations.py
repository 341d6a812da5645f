"""The place of a store: a folder, or a URL that fsspec opens.

A place is a :class:`pathlib.Path` or, for a URL such as ``s3://bucket/activations``, a
:class:`upath.UPath`.

S3, and servers with its protocol, need ``pip install s3fs``. Address and credentials come from the
arguments of ``UPath(url, endpoint_url=..., key=..., secret=...)`` or from what botocore reads:
``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``,
``AWS_DEFAULT_REGION``, ``AWS_PROFILE`` and the files in ``~/.aws``.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from upath import UPath

from probing_datasets.foundation.errors import SparseProbingError, StoreError

StorePath = Path | UPath


def parse_place(text: str) -> StorePath:
    """Return the folder or URL of a text; StoreError when this kind of URL is not known."""
    try:
        place = UPath(text)
        _ = place / "plan.json"  # without a bucket, the error is here
    except (ValueError, ImportError) as error:
        raise StoreError(f"{text!r} is neither a folder nor a URL that can be opened: {error}.") from error
    local = local_path(place)
    return place if local is None else Path(local)


def local_path(path: StorePath) -> Path | None:
    """Return a path on a disk of this machine, or None for a path behind a URL."""
    if isinstance(path, Path):
        return path
    return Path(path.path) if path.protocol in ("file", "local") else None


def is_local(path: StorePath) -> bool:
    """Whether a path is on a disk of this machine."""
    return local_path(path) is not None


@contextmanager
def remote_files(path: StorePath) -> Iterator[tuple[Any, str]]:
    """Yield the file system and the name of a path on it; turn the errors of the file system into StoreError."""
    try:
        remote = UPath(path)
        remote.fs.invalidate_cache()  # other processes write too, so a cached listing may be wrong
        yield remote.fs, remote.path
    except SparseProbingError:
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, str(error), str(path)) from error
    except ImportError as error:
        raise StoreError(f"{path} cannot be opened: {error} (pip install s3fs, for s3://).") from error
    except Exception as error:  # each file system raises its own errors, and few of them are OSError
        raise unreachable(path, error) from error


def unreachable(path: StorePath, error: Exception) -> StoreError:
    """Return the error for a remote place, with what to check."""
    first_line = (str(error).splitlines() or ["no reason is given"])[0].rstrip(".")
    return StoreError(
        f"{path} cannot be read or written: {type(error).__name__}: {first_line}. Check the address, the network and "
        "your credentials (for s3://: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_PROFILE), "
        "and run the same command again; finished parts are kept."
    )
