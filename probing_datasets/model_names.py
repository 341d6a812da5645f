"""What a model is called: from the name a person gives to a path or hub id, and to a folder name."""

from __future__ import annotations

import re
from pathlib import Path

from probing_datasets.demo import DEMO_MODEL_PATH


def resolve_model_name(name: str) -> str:
    """Return the local path or hub id behind a model name.

    Parameters
    ----------
    name : str
        ``demo``, a local folder, a TransformerLens alias such as ``pythia-70m``, or a hub id.
    """
    if name == "demo":
        return str(DEMO_MODEL_PATH)
    if Path(name).expanduser().is_dir():
        return str(Path(name).expanduser().resolve())
    from transformer_lens.tools.model_registry.registry_io import resolve_model_alias  # slow to import

    return resolve_model_alias(name) or name


def model_identity(name: str) -> str:
    """Return what tells two models of one short name apart: hub id or path, and ``demo`` for the bundled one."""
    return name if name == "demo" else resolve_model_name(name)


def model_slug(name: str) -> str:
    """Return a short name of a model, fit for a folder: the last part of its path or hub id."""
    return re.sub(r"[^\w.-]+", "-", Path(name).name or name)
