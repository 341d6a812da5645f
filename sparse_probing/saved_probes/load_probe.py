"""Load a saved probe from a folder or from the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.saved_probes.hub import REPOSITORY, download_probe
from sparse_probing.saved_probes.probe_file import read_probe
from sparse_probing.saved_probes.saved_probe import SavedProbe


def load_probe(source: Path | str, revision: str | None = None) -> SavedProbe:
    """Load a saved probe.

    Nothing in the files is run, no name in them becomes a path, and the model is not loaded: it is checked when the
    probe scores something.

    Parameters
    ----------
    source : path or str
        A folder, or ``owner/name`` of a repository on the hub where there is no such folder.
    revision : str, optional
        Branch, tag or commit of the repository.

    Raises
    ------
    ProbeError
        When there is no probe.
    ProbeFormatError
        When another version of this code wrote it.
    DamagedFileError
        When a file is not what was written, or says something that no probe can be.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        if not isinstance(source, str) or not REPOSITORY.fullmatch(source):
            raise ProbeError(
                f"There is no folder {folder}. Pass the folder of a saved probe, or owner/name on the hub."
            )
        try:
            folder = download_probe(source, revision)
        except ProbeError as error:
            raise ProbeError(f"There is no folder {folder}. On the hub: {error}") from error
    elif revision is not None:
        raise ProbeError(f"{folder} is a local folder, which has no revision {revision!r}.")
    return SavedProbe(**vars(read_probe(folder)))
