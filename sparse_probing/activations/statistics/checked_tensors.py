"""Files of tensors that contain the checksum of everything in them, and what they belong to: checkpoints and bins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from probing_datasets.foundation.files.atomic_files import atomic_file
from probing_datasets.foundation.hashing import checksum
from sparse_probing.activations.stores.storage.files import file_size
from sparse_probing.activations.tables.recorded_files import writing_errors

CHECKSUM, OWNER = "xxh3_128", "owner"

Tensors = Mapping[str, torch.Tensor]
Texts = Mapping[str, str]


def save_tensors(path: Path, owner: str, tensors: Tensors, texts: Texts) -> None:
    """Write tensors of the host and texts atomically, with their checksum.

    Parameters
    ----------
    path : Path
    owner : str
        Digest of what the file belongs to: a plan, and the name of the file. A copy of the file of another plan or
        process has its checksum, and must not be taken for this one.
    tensors, texts : mapping
        Content, by name.

    Raises
    ------
    StoreError
        When the file cannot be written.
    """
    with writing_errors(path.parent, path), atomic_file(path) as temporary:
        save_file(dict(tensors), temporary, _sealed(owner, tensors, texts))


def tensor_bytes(owner: str, tensors: Tensors, texts: Texts) -> bytes:
    """Return the bytes of the file that `save_tensors` writes."""
    return save(dict(tensors), _sealed(owner, tensors, texts))


def load_tensors(path: Path, owner: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors and the texts that `save_tensors` wrote.

    Raises
    ------
    FileNotFoundError
        When there is no file.
    CorruptStoreError
        When anything in it has changed since it was written.
    StoreError
        When it has another owner.
    """
    file_size(path)  # not of a pipe, which has no end
    try:
        with safe_open(path, "pt") as file:
            texts = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (SafetensorError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if texts.pop(CHECKSUM, None) != checksum(_content(tensors, texts)):
        raise _damaged(path, "checksum differs")
    if texts.pop(OWNER, None) != owner:
        raise StoreError(
            f"{path} belongs to another plan or another process. Put the right file there, or delete it: the same "
            "command then counts again."
        )
    return tensors, texts


def read_texts(path: Path) -> dict[str, str]:
    """Return the texts and the owner, which are not compared with the checksum; errors as `load_tensors`."""
    file_size(path)
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, ValueError) as error:
        raise _damaged(path, str(error)) from error


def _sealed(owner: str, tensors: Tensors, texts: Texts) -> dict[str, str]:
    content = {**texts, OWNER: owner}
    return {**content, CHECKSUM: checksum(_content(tensors, content))}


def _content(tensors: Tensors, texts: Texts) -> Iterator[bytes | np.ndarray]:
    yield json.dumps(texts, sort_keys=True).encode()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        yield json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode()
        if tensor.numel():  # an empty tensor may have strides that cannot be viewed as bytes
            yield tensor.reshape(-1).view(torch.uint8).numpy()


def _damaged(path: Path, reason: str) -> CorruptStoreError:
    return CorruptStoreError(f"{path} is damaged ({reason}). Delete it: the same command then counts again.")
