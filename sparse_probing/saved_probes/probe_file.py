"""A saved probe as a folder of two files, which can come from another person.

::

    FOLDER/
        probe.safetensors     support, coef, intercept, mean, scale, prior and temperature; queries of attention
        probe.json            everything else, sealed, with the checksum of probe.safetensors

Nothing in them is run or unpickled, and no name in them becomes a path.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from probing_datasets.foundation.errors import DamagedFileError, ProbeError, ProbeFormatError
from probing_datasets.foundation.files.atomic_files import atomic_folder
from probing_datasets.foundation.files.regular_files import names_in, read_regular_file
from probing_datasets.foundation.files.sealed_json import seal, shaped, unseal
from probing_datasets.model_names import model_slug
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_metadata import MODEL_NAME, ProbeMetadata, is_text

FORMAT_VERSION = 1
METADATA, TENSORS, CARD = "probe.json", "probe.safetensors", "README.md"
MAX_METADATA_BYTES, MAX_TENSOR_BYTES = 2**24, 2**30
"""Larger files are not read: 16 MiB, and 1 GiB (a dense probe of 10,000 neurons and 10,000 classes)."""

ARRAYS = ("support", "coef", "intercept", "mean", "scale", "prior")


@dataclass(frozen=True)
class ProbeRecord:
    """The content of ``probe.json``."""

    format_version: int
    tensors_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    probe: ProbeMetadata


def write_probe(probe: ProbeData, folder: Path, overwrite: bool = False, card: str = "") -> None:
    """Write a probe as a folder, which appears complete or not at all.

    Parameters
    ----------
    probe : ProbeData
    folder : Path
    overwrite : bool
        Replace a probe that is there.
    card : str
        Text of a ``README.md`` beside the probe.

    Raises
    ------
    ProbeError
        When something else than a probe is in the folder, or a probe that is not to be replaced, or the probe says
        something that no file may say.
    """
    check_probe_folder(folder, overwrite)
    files = probe_bytes(probe)
    with atomic_folder(folder, replace=overwrite) as temporary:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        if card:
            (temporary / CARD).write_text(card, encoding="utf-8")


def check_probe_folder(folder: Path, overwrite: bool = False) -> None:
    """Raise ProbeError unless a probe can be written to a folder: a new one, or one with a probe to replace."""
    existing = names_in(folder)
    if not set(existing) <= {METADATA, TENSORS, CARD} or (existing and METADATA not in existing):
        raise ProbeError(f"{folder} holds other files than a saved probe. Choose another folder.")
    if existing and not overwrite:
        raise ProbeError(
            f"{folder} holds a saved probe. Choose another folder, or replace the probe with --overwrite "
            "(overwrite=True in Python)."
        )
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ProbeError(f"{folder} is not a folder. Choose another name.")


def probe_bytes(probe: ProbeData) -> dict[str, bytes]:
    """Return the content of ``probe.json`` and ``probe.safetensors``.

    Of a model in a local folder only the last part of its name is in them: a path means nothing on another machine.

    Raises
    ------
    ProbeError
        When the probe says something that no file may say, such as a name of thousands of letters.
    """
    arrays = {name: np.ascontiguousarray(getattr(probe, name)) for name in ARRAYS}
    if probe.queries is not None:
        arrays["queries"] = np.ascontiguousarray(probe.queries)
    tensors = save_tensors({**arrays, "temperature": np.array([probe.temperature])})
    metadata = {f.name: getattr(probe, f.name) for f in fields(ProbeMetadata)}
    if _is_folder(probe.model) or not re.fullmatch(MODEL_NAME, probe.model):
        metadata |= {"model": model_slug(probe.model).lstrip(".-") or "model", "model_is_folder": True}
    record = asdict(ProbeRecord(FORMAT_VERSION, hashlib.sha256(tensors).hexdigest(), ProbeMetadata(**metadata)))
    try:
        _checked(record)
    except ValueError as error:
        raise ProbeError(f"The probe of {probe.feature!r} cannot be saved: {error}.") from error
    return {METADATA: seal(record), TENSORS: tensors}


def read_probe(folder: Path) -> ProbeData:
    """Read a probe from a folder.

    Raises
    ------
    ProbeError
        When the folder holds no probe.
    ProbeFormatError
        When another version of this code wrote it.
    DamagedFileError
        When a file is not what was written, or says something that no probe can be.
    """
    try:
        content = unseal(read_regular_file(folder / METADATA, MAX_METADATA_BYTES))
        version = content.get("format_version")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ProbeError(f"There is no saved probe in {folder}: it has no {METADATA}.") from error
    except ValueError as error:
        raise DamagedFileError(_damaged(folder, error)) from error
    if version != FORMAT_VERSION:
        raise ProbeFormatError(
            f"{folder} has the format {version!r:.20}, and this version of sparse-probing reads format "
            f"{FORMAT_VERSION}. Save the probe again, or install the version that wrote it."
        )
    try:
        record = _checked(content)
        tensors = read_regular_file(folder / TENSORS, MAX_TENSOR_BYTES)
        if hashlib.sha256(tensors).hexdigest() != record.tensors_sha256:
            raise ValueError(f"{TENSORS} does not have the checksum in {METADATA}")
        probe = ProbeData(**vars(record.probe), **_arrays(tensors))
    except FileNotFoundError as error:
        raise DamagedFileError(_damaged(folder, f"it has no {TENSORS}")) from error
    except ValueError as error:
        raise DamagedFileError(_damaged(folder, error)) from error
    # A folder of the working directory that has the name of the model on the hub is not chosen by a file.
    return replace(probe, model_is_folder=True) if _is_folder(probe.model) else probe


def _checked(content: dict[str, Any]) -> ProbeRecord:
    """Return the content of ``probe.json``; ValueError when a field or a number is not possible."""
    for value in _leaves(content):
        if isinstance(value, float) and not isfinite(value):
            raise ValueError("a number is not finite")
        if isinstance(value, str) and not is_text(value):
            raise ValueError(f"{value[:50]!r} has half of a surrogate pair")
    return shaped(content, ProbeRecord)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if not isinstance(value, list | tuple):
        yield value
        return
    for item in value:
        yield from _leaves(item)


def _arrays(tensors: bytes) -> dict[str, Any]:
    """Return the fields that are in ``probe.safetensors``; ValueError when others are, or other types."""
    try:
        arrays: dict[str, NDArray] = load_tensors(tensors)
    except (SafetensorError, KeyError, TypeError) as error:  # not the format, or a type that NumPy does not have
        raise ValueError(f"{TENSORS} holds no tensors: {error}") from error
    if arrays.keys() - {"queries"} != {*ARRAYS, "temperature"}:
        raise ValueError(f"{TENSORS} has the tensors {sorted(arrays)[:10]}")
    temperature = arrays.pop("temperature")
    if temperature.shape != (1,) or temperature.dtype != np.float64 or arrays["support"].ndim != 1:
        raise ValueError("temperature must be one float64, and support one row of numbers")
    return {**arrays, "temperature": float(temperature[0])}


def _is_folder(model: str) -> bool:
    return model != "demo" and Path(model).expanduser().is_dir()


def _damaged(folder: Path, reason: object) -> str:
    return f"The probe in {folder} is damaged ({reason}). Restore it, or save the probe again."
