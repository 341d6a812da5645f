"""Whether a name on the Hugging Face hub can be read, known before libraries that take seconds to import."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from probing_datasets.foundation.environment import datasets_cache
from probing_datasets.foundation.errors import first_line


def why_not_on_hub(name: str, kind: Literal["model", "dataset"], revision: str | None = None) -> str:
    """Return why a repository can be neither reached nor found in the cache; empty where it can be, and for folders.

    Parameters
    ----------
    name : str
        A hub id, or a local folder.
    kind : {'model', 'dataset'}
    revision : str, optional
    """
    if Path(name).is_dir():
        return ""
    from huggingface_hub import HfApi, constants  # slow to import

    try:
        HfApi().repo_info(name, repo_type=kind, revision=revision, timeout=10)
    except Exception as error:  # of the network, of the hub, or of a name that it does not allow
        hub_cache, built_cache = Path(constants.HF_HUB_CACHE), datasets_cache(Path(constants.HF_HOME))
        cached = [hub_cache / f"{kind}s--{name.replace('/', '--')}", built_cache / name.replace("/", "___")]
        if any(folder.is_dir() for folder in cached):
            return ""
        return f"{type(error).__name__}: {first_line(error).rstrip('.')}"
    return ""
