"""Share saved probes on the Hugging Face hub: three files in a repository, through `huggingface_hub`.

The address of the hub (``HF_ENDPOINT``), the token and the cache are those of `huggingface_hub`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from probing_datasets.foundation.errors import ProbeError, first_line, first_names
from sparse_probing.saved_probes.card import probe_card
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_file import (
    CARD,
    MAX_METADATA_BYTES,
    MAX_TENSOR_BYTES,
    METADATA,
    TENSORS,
    probe_bytes,
)

if TYPE_CHECKING:
    from huggingface_hub.hf_api import HfApi, ModelInfo

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""Owner and name."""

TIMEOUT = 30
LIMITS = {METADATA: MAX_METADATA_BYTES, TENSORS: MAX_TENSOR_BYTES}
"""Files that are downloaded, and the largest size of each."""

OF_A_PROBE = (METADATA, TENSORS, CARD, ".gitattributes")
"""Files in the repository of a probe; the hub itself adds the last one."""


def push_to_hub(
    probe: ProbeData,
    name: str,
    private: bool | None = None,
    revision: str | None = None,
    message: str = "Save a probe",
) -> str:
    """Publish a probe in a repository of the hub, which is created where it does not exist.

    Parameters
    ----------
    probe : ProbeData
    name : str
        ``owner/name``.
    private : bool, optional
        Whether a new repository is private. Default: that of the owner.
    revision : str, optional
        Branch, which must exist. Default: main.
    message : str
        Message of the commit.

    Returns
    -------
    str
        Hash of the commit, which :func:`sparse_probing.load_probe` takes as ``revision``.

    Raises
    ------
    ProbeError
        When the name is not one of a repository, the repository holds something else than a probe, or the hub cannot
        be reached or refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi  # slow to import

    _check_name(name)
    api = HfApi()
    files = {**probe_bytes(probe), CARD: probe_card(probe, name).encode()}
    operations = [CommitOperationAdd(file, content) for file, content in files.items()]
    try:
        api.create_repo(name, private=private, exist_ok=True)
        existing = _names(api.model_info(name, revision=revision, timeout=TIMEOUT))
        if others := sorted(set(existing) - set(OF_A_PROBE)):
            raise ProbeError(
                f"The repository {name} holds other files than a probe ({first_names(others)}), and its card would be "
                "replaced. Choose another name."
            )
        return api.create_commit(name, operations, commit_message=message, revision=revision).oid
    except ProbeError:
        raise
    except Exception as error:  # of the network, of the hub, or of a name that it does not allow
        raise ProbeError(
            f"The probe could not be published as {name}: {type(error).__name__}: {first_line(error)}. "
            "Log in with `hf auth login`, and check the name and the network."
        ) from error


def download_probe(name: str, revision: str | None = None) -> Path:
    """Return the folder in the cache of the hub that holds a probe, downloaded where it is not there.

    Without a network the cached files of the revision are used.

    Parameters
    ----------
    name : str
        ``owner/name``.
    revision : str, optional
        Branch, tag or commit. Default: main.

    Raises
    ------
    ProbeError
        When there is no such probe, or a file is larger than any probe.
    """
    from huggingface_hub import HfApi  # slow to import
    from huggingface_hub.errors import LocalEntryNotFoundError

    _check_name(name)
    api = HfApi()
    info = _info(api, name, revision)
    if info is not None:
        sizes = {file.rfilename: file.size for file in info.siblings or ()}
        for file, limit in LIMITS.items():
            if file not in sizes:
                raise ProbeError(f"The repository {name} holds no saved probe: it has no {file}.")
            if (sizes[file] or 0) > limit:
                raise ProbeError(f"{file} of {name} has {sizes[file]:,} bytes; at most {limit:,} are read.")
    try:  # by the name of the revision, not by its commit: without a network only the name is known
        files = [api.hf_hub_download(name, file, revision=revision, local_files_only=info is None) for file in LIMITS]
    except LocalEntryNotFoundError as error:
        raise ProbeError(
            f"The hub cannot be reached, and the probe {name} is not in its cache (HF_HOME). Check the network, "
            "HF_ENDPOINT and HF_HUB_OFFLINE."
        ) from error
    except Exception as error:  # of the network or of the hub
        raise ProbeError(
            f"The probe {name} could not be downloaded: {type(error).__name__}: {first_line(error)}."
        ) from error
    folders = {Path(file).parent for file in files}
    if len(folders) > 1:
        raise ProbeError(f"The repository {name} was changed during the download. Load the probe again.")
    return folders.pop()


def _info(api: HfApi, name: str, revision: str | None) -> ModelInfo | None:
    """Return what the hub says about a repository; None when it cannot be reached."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        return api.model_info(name, revision=revision, files_metadata=True, timeout=TIMEOUT)
    except OfflineModeIsEnabled:
        return None
    except HfHubHTTPError as error:
        if error.response.status_code >= 500:
            return None
        raise ProbeError(
            f"There is no probe {name} on the hub{f' at revision {revision!r}' if revision else ''}, or it is private: "
            f"{type(error).__name__}. Check the name, or log in with `hf auth login`."
        ) from error
    except Exception:  # of the network: each library has errors of its kind
        return None


def _names(info: ModelInfo) -> list[str]:
    return [file.rfilename for file in info.siblings or ()]


def _check_name(name: str) -> None:
    if not REPOSITORY.fullmatch(name):
        raise ProbeError(f"{name!r} is not the name of a repository on the hub. Pass owner/name.")
