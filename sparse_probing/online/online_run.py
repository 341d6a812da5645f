"""Probes that were trained while a model ran: their metrics, and each of them as a probe to apply and to save."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from probing_datasets.feature_dataset import FeatureDataset, load_feature_dataset
from probing_datasets.feature_dataset.merge import merge_datasets, merged_parts
from probing_datasets.foundation.errors import DamagedFileError, ProbeError, StoreError, TaskError, list_known
from probing_datasets.foundation.files.sealed_json import read_sealed
from sparse_probing.activations.tables.result_folder import DESCRIPTION, Description, read_description
from sparse_probing.config import OnlineConfig
from sparse_probing.models import LanguageModel
from sparse_probing.online.metrics import metrics_frame, probe_rows, with_places
from sparse_probing.online.places import Location, Place, row_aggregation
from sparse_probing.runs.probe_of_run import choose_row
from sparse_probing.saved_probes.from_run import probe_from_row
from sparse_probing.studies.base.result_rows import filled_columns, read_rows

if TYPE_CHECKING:
    import pandas as pd

    from sparse_probing.saved_probes.saved_probe import SavedProbe

REMEDY = "Run the command that made it again."

ROWS = "rows.parquet"
"""The result rows of all places."""

METRICS = "metrics.csv"
"""The measures of every probe, as in `OnlineRun.metrics`."""


class _Failures(Struct):
    """The entry of a description that says which label sets could not be split."""

    failures: dict[str, str]


class OnlineRun:
    """The probes of one run.

    Attributes
    ----------
    path : Path
        Folder of the run.
    config : OnlineConfig
        Its settings.
    places : list of Place
    failures : dict
        Label sets without a probe, each with the reason.
    """

    def __init__(
        self,
        path: Path,
        description: Description,
        datasets: Sequence[FeatureDataset] = (),
        model: LanguageModel | None = None,
    ) -> None:
        self.path = path
        self.config = OnlineConfig.from_record(description.config)
        self.places = [Place(Location(*each[:4]), each[4]) for each in description.plan["places"]]
        self._description, self._datasets, self._model = description, list(datasets), model
        for name, record in description.files.items():
            if reason := record.damage(path / name):
                raise DamagedFileError(f"{path / name} is damaged ({reason}). {REMEDY}")
        self.failures: dict[str, str] = read_sealed(path / DESCRIPTION, _Failures, REMEDY).failures

    @classmethod
    def open(
        cls, path: Path | str, datasets: Sequence[FeatureDataset] = (), model: LanguageModel | None = None
    ) -> OnlineRun:
        """Read a finished run from its folder.

        Parameters
        ----------
        path : path
        datasets : sequence of FeatureDataset
            Those of the run, when they are in memory. By default they are loaded by name when they are needed.
        model : LanguageModel, optional
            Likewise.

        Raises
        ------
        TaskError
            When the folder holds no finished run.
        DamagedFileError
            When a file is not what was written.
        """
        if not Path(path).is_dir():
            raise TaskError(f"There is no folder {path}. The command that trains probes prints the folder of its run.")
        try:
            description = read_description(Path(path))
        except StoreError as error:
            raise TaskError(f"{path} holds no finished run of online probes: {error}") from error
        if description.experiment_type != "online_probes":
            raise TaskError(f"{path} holds results of {description.experiment_type}, not of online_probes.")
        return cls(Path(path), description, datasets, model)

    @cached_property
    def all_rows(self) -> pd.DataFrame:
        """The result rows of every probe, its controls and the studies of ``--then``, with all columns."""
        return with_places(read_rows([self.path / ROWS]), self.places)

    @property
    def rows(self) -> pd.DataFrame:
        """The result rows, with the columns that at least one row fills."""
        return filled_columns(self.all_rows)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """The measures on test rows: one row for every place, pooling and label set."""
        return metrics_frame(self.all_rows)

    @cached_property
    def dataset(self) -> FeatureDataset:
        """The feature data set; with ``further_datasets`` all of them as one."""
        activations = self.config.activations
        if not self._datasets:
            names = (activations.feature_dataset, *self.config.further_datasets)
            self._datasets = [load_feature_dataset(name, activations.feature_dataset_dir) for name in names]
        dataset = merge_datasets(self._datasets)
        if dataset.description.content_hash != self._description.plan["dataset_hash"]:
            raise ProbeError(
                f"{dataset.name} in {activations.feature_dataset_dir} is not what the run was trained on: it was made "
                "again with other texts or labels. Restore it, or run the command again."
            )
        return dataset

    def __getitem__(self, key: str | tuple[str, ...]) -> SavedProbe:
        """Return the probe of all neurons for ``run[place, pooling, label_set]``.

        The pooling and the label set may be left out where the run has one.

        Raises
        ------
        ProbeError
            When there is no such probe; the message lists what exists.
        """
        place, pooling, label_set, *more = (*((key,) if isinstance(key, str) else key), None, None, None)
        if more[3:] or not isinstance(place, str):
            raise ProbeError("A probe has a place, a pooling and a label set: run[place, pooling, label_set].")
        rows = probe_rows(self.all_rows)
        for what, column, value in (
            ("place", "place", place),
            ("pooling", "aggregation", pooling),
            ("label set", "feature", label_set),
        ):
            known = rows[column].unique().tolist()
            if value is None and len(known) > 1:
                raise ProbeError(f"The run has more than one {what}: {list_known('', known)}. Name one of them.")
            if value is not None and value not in known:
                reason = next((f" {why}" for name, why in self.failures.items() if name.endswith(value)), "")
                raise ProbeError(f"No probe has the {what} {value!r}. There are: {list_known(value, known)}.{reason}")
            rows = rows[rows[column] == (known[0] if value is None else value)]
        return self._saved(*choose_row(rows, rows["feature"].iloc[0], int(rows["layer"].iloc[0])))

    def saved_probe(
        self,
        place: str,
        pooling: str,
        label_set: str,
        k: int | None = None,
        study: str | None = None,
        probe: str | None = None,
        neuron: int | None = None,
    ) -> SavedProbe:
        """Return any probe of the run, also of the studies of ``--then``.

        Parameters
        ----------
        place, pooling, label_set : str
        k, study, probe, neuron
            As in :meth:`sparse_probing.api.result.Result.saved_probe`.

        Raises
        ------
        ProbeError
            When there is no such probe; the message lists those that exist.
        """
        rows = self.all_rows
        rows = rows[(rows["place"] == place) & (rows["aggregation"] == pooling)]
        if rows.empty:
            known = list_known(place, map(str, self.places))
            raise ProbeError(f"The run has no place {place!r} with pooling {pooling!r}. There are: {known}.")
        return self._saved(*choose_row(rows, label_set, int(rows["layer"].iloc[0]), k, study, probe, neuron))

    def _saved(self, row: dict[str, Any], controls: Sequence[dict[str, Any]]) -> SavedProbe:
        if self.config.activations.probe_next_token_feature:
            raise ProbeError("Probes of the next token's feature cannot be applied to texts yet.")
        aggregation = row_aggregation(row["aggregation"])
        config = self.config.probing(row["hook_point"], int(row["layer"]), aggregation, ("dense_probe",))
        plan, versions = self._description.plan, self._description.versions
        dataset, feature = self._origin(row["feature"])
        return probe_from_row(config, {**row, "feature": feature}, controls, versions, dataset, plan)

    def _origin(self, label_set: str) -> tuple[FeatureDataset, str]:
        """Return the data set that a label set is from, and its name there: a probe belongs to texts of one kind."""
        parts = merged_parts(self.dataset.description)
        if not parts:
            return self.dataset, label_set
        whole, of_class = self.dataset.feature_and_class(label_set)
        number, part = next((i, part) for i, part in enumerate(parts) if whole in part.features)
        return self._datasets[number], part.features[whole] + ("" if of_class is None else f"={of_class}")

    def features(
        self, texts: Sequence[str], model: LanguageModel | None = None, batch_size: int = 32
    ) -> dict[tuple[str, str], NDArray[np.float32]]:
        """Return the activations of new texts at every place with pooling mean, last or max, in one pass of the model.

        Parameters
        ----------
        texts : sequence of str
        model : LanguageModel, optional
            Default: that of the run, which is loaded by name.
        batch_size : int

        Returns
        -------
        dict
            (n, width) float32 by place and pooling; ``probe.scores_of`` and ``probe.probabilities_of`` take them.

        Raises
        ------
        ProbeError
            When a text is empty, or the run has single tokens and attention pooling only.
        ModelError
            When the model is not the one that the probes were trained on.
        """
        from sparse_probing.online.text_features import text_features  # here: it imports the models
        from sparse_probing.saved_probes.right_model import model_of

        places = [place for place in self.places if place.pooling not in ("none", "attention")]
        rows = probe_rows(self.all_rows)
        rows = rows[rows["aggregation"].isin([place.pooling for place in places])]
        if rows.empty:
            raise ProbeError(
                "The probes of this run read single tokens, or pool them by attention. They score texts: "
                "probe.score(texts), of single tokens probe.score(texts, per_token=True)."
            )
        first = rows.iloc[0]
        probe = self[first["place"], first["aggregation"], first["feature"]]
        return text_features(probe, places, list(texts), model_of([probe], model or self._model), batch_size)

    def __len__(self) -> int:
        """Return the number of probes of all neurons."""
        return len(self.metrics)

    def __repr__(self) -> str:
        """Return places, label sets and the folder."""
        sets = self.metrics["label_set"].unique()
        names = ", ".join(map(str, sets[:5])) + (", ..." if len(sets) > 5 else "")
        what = f"{len(self):,} probes of {len(self.places)} places and {len(sets)} label sets ({names})"
        return f"OnlineRun({what}, in {self.path})"


def load_online(folder: Path | str) -> OnlineRun:
    """Read the probes of a finished run from its folder; errors as `OnlineRun.open`."""
    return OnlineRun.open(folder)
