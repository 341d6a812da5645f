"""Names of models: from the name that a user gives to a path or hub id, and to the name of a folder."""

from __future__ import annotations

import importlib.util
import json
import re
from functools import cache
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
    return next((official for official, aliases in _aliases().items() if name in aliases), name)


@cache
def _aliases() -> dict[str, list[str]]:
    """Return the aliases of TransformerLens by official name, from its data: importing the library takes seconds."""
    package = importlib.util.find_spec("transformer_lens")
    for folder in (package and package.submodule_search_locations) or ():
        path = Path(folder) / "tools" / "model_registry" / "data" / "model_aliases.json"
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))["aliases"]
    from transformer_lens.tools.model_registry.registry_io import load_model_aliases  # another version

    return load_model_aliases()


def model_identity(name: str) -> str:
    """Return a name that no other model has: hub id or path, and ``demo`` for the bundled model."""
    return name if name == "demo" else resolve_model_name(name)


def model_slug(name: str) -> str:
    """Return a short name of a model that is valid as a folder name: the last part of its path or hub id."""
    return re.sub(r"[^\w.-]+", "-", Path(name).name or name)
