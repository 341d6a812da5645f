"""Names of models: from the name that a user gives to a path or hub id, and to the name of a folder."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.util import find_spec
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
    return _official_names().get(name, name)


def model_identity(name: str) -> str:
    """Return a name that no other model has: hub id or path, and ``demo`` for the bundled model."""
    return name if name == "demo" else resolve_model_name(name)


def model_slug(name: str) -> str:
    """Return a short name of a model that is valid as a folder name: the last part of its path or hub id."""
    return re.sub(r"[^\w.-]+", "-", Path(name).name or name)


@cache
def _official_names() -> dict[str, str]:
    """Return the hub id behind every alias of TransformerLens.

    Its table is read without importing it: the import takes seconds, in commands that load no model.
    """
    package = find_spec("transformer_lens")
    if package is None or not package.submodule_search_locations:
        return {}
    table = Path(package.submodule_search_locations[0], "tools", "model_registry", "data", "model_aliases.json")
    aliases: dict[str, list[str]] = json.loads(table.read_text(encoding="utf-8"))["aliases"]
    return {alias: official for official, names in reversed(aliases.items()) for alias in names}
