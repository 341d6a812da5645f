"""The names of all folders of results.

::

    RESULTS_DIR/
        activations/<model>/<data set>/<hook point>.<rows>/             a store
        <experiment type>/<model>/<data set>/<hook point>/              tables of stage 1
        harvests/<model>/<data set>/<hook point>.<rows>/                submissions of stage 1 to Slurm
        probing/<experiment>/<model>/<data set>/<hook point>.<aggregation>/<studies>-<digest of the settings>/
                                                                        the runs of one configuration of stage 2
        online_probes/<experiment>/<model>/<data set>/<digest of the settings>/
                                                                        probes that were trained while the model ran

    INTERPRETABLE_NEURONS_DIR/
        <model>/<data set>.<hook point>.<aggregation>.<studies>[.<digest of further settings>].csv
                                                                        an exported table of ranked neurons

Settings may come from a file of another person: each becomes one component of a path, or is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from probing_datasets.foundation.errors import SettingsError
from probing_datasets.foundation.files.path_names import path_name
from probing_datasets.model_names import model_slug
from sparse_probing.config.activations import ActivationsConfig

if TYPE_CHECKING:
    from upath import UPath


def model_name(activations: ActivationsConfig) -> str:
    """Return the short name of the model with its revision, and with the seed of random weights: ``demo+random0``."""
    name = model_slug(activations.model)
    path_name(name, "The setting model")  # before the rest is added: `..+random0` is a valid name
    name += f"@{model_slug(activations.revision)}" if activations.revision else ""
    return path_name(name + (f"+random{activations.seed}" if activations.random_init else ""), "The setting model")


def dataset_name(activations: ActivationsConfig) -> str:
    """Return the short name of the feature data set."""
    return path_name(Path(activations.feature_dataset).name, "The setting feature_dataset")


def store_folder(
    activations: ActivationsConfig, hook_point: str | None = None, every_token: bool = False
) -> Path | UPath:
    """Return the folder of an activation store; a UPath when it is at a URL.

    Parameters
    ----------
    activations : ActivationsConfig
    hook_point : str, optional
        Default: that of the settings, ``probe_location``.
    every_token : bool
        Whether the store holds every token (``all_activations``), not only the rows of the features.

    Raises
    ------
    SettingsError
        When ``activations_dir`` is a URL of an unknown kind, or without a bucket.
    """
    if activations.activations_dir is None:
        root = activations.results_dir / "activations"
    else:
        from upath import UPath  # here: most settings name local folders, and the import takes a tenth of a second

        try:
            root = UPath(activations.activations_dir)
            _ = root / "store"  # without a bucket, the error is here
        except (ValueError, ImportError) as error:
            raise SettingsError(
                f"--activations_dir {activations.activations_dir!r} is neither a folder nor a URL that can be opened: "
                f"{error}."
            ) from error
    rows = activations.activation_aggregation
    rows += ".next_token" if activations.probe_next_token_feature else ""
    rows += ".all" if every_token else ""
    name = path_name(f"{hook_point or activations.probe_location}.{rows}", "The setting probe_location")
    return root / model_name(activations) / dataset_name(activations) / name


def tables_folder(activations: ActivationsConfig, experiment_type: str, hook_point: str) -> Path:
    """Return the folder of the tables that an experiment type of stage 1 makes of a hook point."""
    root = activations.results_dir / path_name(experiment_type, "The setting experiment_type")
    place = path_name(hook_point, "The setting probe_location")
    return root / model_name(activations) / dataset_name(activations) / place


def harvest_submissions_folder(activations: ActivationsConfig, every_token: bool = False) -> Path:
    """Return the folder of the Slurm submissions that make a store; all runs that need the store share it."""
    root = activations.results_dir / "harvests"
    store = store_folder(activations, every_token=every_token)
    return root / model_name(activations) / dataset_name(activations) / store.name


def settings_folder(
    activations: ActivationsConfig, experiment_name: str, experiment_type: tuple[str, ...], digest: str
) -> Path:
    """Return the folder of the runs of one configuration of stage 2.

    Parameters
    ----------
    activations : ActivationsConfig
    experiment_name : str
    experiment_type : tuple of str
        The studies; the folder is named after the first.
    digest : str
        Of the settings that decide the results.
    """
    first, *others = experiment_type
    studies = f"{first}+{len(others)}" if others else first
    rows = path_name(f"{activations.probe_location}.{activations.activation_aggregation}", "The setting probe_location")
    root = activations.results_dir.joinpath("probing", *_experiment(experiment_name))
    return root / model_name(activations) / dataset_name(activations) / rows / f"{studies}-{digest}"


def online_folder(activations: ActivationsConfig, experiment_name: str, digest: str) -> Path:
    """Return the folder of probes that are trained while the model runs; ``digest`` is that of the settings."""
    root = activations.results_dir.joinpath("online_probes", *_experiment(experiment_name))
    return root / model_name(activations) / dataset_name(activations) / digest


def _experiment(name: str) -> list[str]:
    return [path_name(part, "The setting experiment_name") for part in name.split("/")]


def exported_table(activations: ActivationsConfig, experiment_type: tuple[str, ...], digest: str) -> Path:
    """Return the name of an exported table of ranked neurons, below INTERPRETABLE_NEURONS_DIR.

    Parameters
    ----------
    activations : ActivationsConfig
    experiment_type : tuple of str
        The studies.
    digest : str
        Of the settings that are not in the rest of the name; empty when they have their default values.
    """
    rows = f"{activations.probe_location}.{activations.activation_aggregation}.{'+'.join(experiment_type)}"
    name = ".".join(filter(None, [dataset_name(activations), rows, digest, "csv"]))
    return Path(model_name(activations)) / path_name(name, "A setting of the run")
