"""Files of tensors that contain the checksum of everything in them: checkpoints and bins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from probing_datasets.foundation.errors import CorruptStoreError
from probing_datasets.foundation.files.atomic_files import atomic_file
from probing_datasets.foundation.hashing import checksum
from sparse_probing.activations.stores.storage.files import file_size
from sparse_probing.activations.tables.recorded_files import writing_errors

CHECKSUM = "xxh3_128"


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors of the host and texts atomically, with their checksum.

    Raises
    ------
    StoreError
        When the file cannot be written.
    """
    sealed = {**metadata, CHECKSUM: checksum(_content(tensors, metadata))}
    with writing_errors(path.parent, path), atomic_file(path) as temporary:
        save_file(dict(tensors), temporary, sealed)


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors and the texts that `save_tensors` wrote.

    Raises
    ------
    FileNotFoundError
        When there is no file.
    CorruptStoreError
        When anything in it has changed since it was written.
    """
    file_size(path)  # not of a pipe, which has no end
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (SafetensorError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if metadata.pop(CHECKSUM, None) != checksum(_content(tensors, metadata)):
        raise _damaged(path, "checksum differs")
    return tensors, metadata


def read_texts(path: Path) -> dict[str, str]:
    """Return the texts only, which are then not compared with the checksum; errors as `load_tensors`."""
    file_size(path)
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, ValueError) as error:
        raise _damaged(path, str(error)) from error


def _content(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> Iterator[bytes | np.ndarray]:
    yield json.dumps(metadata, sort_keys=True).encode()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        yield json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode()
        yield tensor.reshape(-1).view(torch.uint8).numpy()


def _damaged(path: Path, reason: str) -> CorruptStoreError:
    return CorruptStoreError(f"{path} is damaged ({reason}). Delete it: the same command then counts again.")
