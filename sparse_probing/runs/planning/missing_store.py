"""A store that is not there: the message, with the command of stage 1 that makes it; importing this is fast."""

from __future__ import annotations

import shlex
from pathlib import Path

from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import StoreError
from sparse_probing.config import ActivationsConfig
from sparse_probing.config.result_folders import store_folder
from sparse_probing.config.sections import FOLDERS


def missing_store(activations: ActivationsConfig) -> StoreError:
    """Return the error that there is no store."""
    return StoreError(
        f"There is no activation store in {store_folder(activations)}. "
        f"Make it with:\n  {stage_one_command(activations)}"
    )


def check_store_exists(activations: ActivationsConfig) -> None:
    """Raise StoreError when there is no store on this machine; one behind a URL is not looked for."""
    folder = store_folder(activations)
    if isinstance(folder, Path) and not (folder / "plan.json").exists():
        raise missing_store(activations)


def stage_one_command(activations: ActivationsConfig) -> str:
    """Return the command of stage 1 that makes a store."""
    names = ["model", "feature_dataset", "probe_location", "activation_aggregation"]
    names += ["revision"] if activations.revision else []
    names += ["seed"] if activations.random_init else []
    environment = read_settings()
    names += [name for name in FOLDERS if getattr(activations, name) != getattr(environment, name)]
    names += ["activations_dir"] if activations.activations_dir else []
    flags = [text for name in names for text in (f"--{name}", str(getattr(activations, name)))]
    flags += [f"--{name}" for name in ("random_init", "probe_next_token_feature") if getattr(activations, name)]
    return shlex.join(["python", "get_activations.py", *flags])
