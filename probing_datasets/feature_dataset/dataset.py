"""The feature data set in memory: token sequences with labelled positions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probing_datasets.feature_dataset.description import Description, FeatureKind, Probes
from probing_datasets.foundation.errors import DatasetError, first_names, list_known
from probing_datasets.foundation.files.atomic_files import atomic_folder
from probing_datasets.foundation.files.sealed_json import write_sealed

if TYPE_CHECKING:
    import datasets

FEATURES_IN_REPR, CLASSES_IN_REPR = 12, 8

EWT_GROUPS: dict[str, Callable[[str], bool]] = {
    "upos": lambda category: category == "upos",
    "dep": lambda category: category == "dep",
    "morph": lambda category: category not in ("upos", "dep", "eos", "first"),
    "not-dep": lambda category: category != "dep",
}
"""The paper's names of groups of features of its data set `ewt`, by the part of a feature's name before ``_``."""


@dataclass(frozen=True)
class FeatureDataset:
    """Token sequences with labelled positions.

    Attributes
    ----------
    description : Description
        Origin and contents.
    sequences : datasets.Dataset
        One row per sequence: ``tokens`` (list of int32, special tokens included, no padding)
        and ``group`` (string): what must not be split between training and test rows.
    probes : datasets.Dataset
        One row per labelled position: ``sequence`` (int64), ``position`` (int32), ``label``
        (float32); the rows of a feature are contiguous.
    """

    description: Description
    sequences: datasets.Dataset
    probes: datasets.Dataset

    def __repr__(self) -> str:
        """Return the name, the size, and every feature with its kind and counts, on one line each."""
        d = self.description
        lines = [
            f"FeatureDataset {d.name}: {d.n_sequences:,} sequences, context length {d.context_length}, "
            f"{len(d.features)} features"
        ]
        for name, info in list(d.features.items())[:FEATURES_IN_REPR]:
            if info.kind == "binary":
                contents = f"{info.counts.get('1', 0):,} positive, {info.counts.get('-1', 0):,} negative"
            elif info.kind == "multiclass" and len(info.counts) <= CLASSES_IN_REPR:
                contents = ", ".join(f"{info.label_name(label)}: {n:,}" for label, n in info.counts.items())
            else:
                contents = f"{info.n_rows:,} rows" + (f" of {len(info.counts)} classes" if info.counts else "")
            lines.append(f"  {name}: {info.kind}, {contents}")
        if len(d.features) > FEATURES_IN_REPR:
            lines.append(f"  and {len(d.features) - FEATURES_IN_REPR} more")
        return "\n".join(lines)

    @property
    def name(self) -> str:
        """Name of the data set: ``<collection>.<tokenizer>.<context length>.<number of sequences>``."""
        return self.description.name

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(self.description.features)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(n_sequences,) int64: tokens of each sequence, special tokens counted."""
        import pyarrow.compute as pc  # slow to import

        return pc.list_value_length(self.sequences.data.column("tokens")).to_numpy().astype(np.int64)

    @cached_property
    def largest_token(self) -> int:
        """The largest token id of all sequences."""
        import pyarrow.compute as pc  # slow to import

        return pc.max(pc.list_flatten(self.sequences.data.column("tokens"))).as_py()

    @cached_property
    def group_codes(self) -> np.ndarray:
        """(n_sequences,) int64: number of the group of each sequence."""
        import pyarrow.compute as pc  # slow to import

        groups = pc.dictionary_encode(self.sequences.data.column("group")).combine_chunks()
        return np.asarray(groups.indices).astype(np.int64)

    def tokens(self, indices: np.ndarray) -> list[np.ndarray]:
        """Return the token ids (int32) of the given sequences, which are numbers from 0."""
        first, chunks = self._token_chunks
        numbers = np.searchsorted(first, indices, side="right") - 1
        found = []
        for index, number in zip(np.asarray(indices).tolist(), numbers.tolist(), strict=True):
            offsets, values = chunks[number]
            row = index - first[number]
            found.append(values[offsets[row] : offsets[row + 1]].astype(np.int32))
        return found

    @cached_property
    def _token_chunks(self) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
        """The first sequence of every Arrow chunk, and its offsets and token ids without a copy.

        Reading rows through `datasets` takes a millisecond for a batch: 1 % of the pass of a small model.
        """
        chunks = self.sequences.data.column("tokens").chunks
        first = np.cumsum([0, *map(len, chunks)])
        return first, [(chunk.offsets.to_numpy(), chunk.values.to_numpy()) for chunk in chunks]

    def feature_probes(self, feature: str) -> Probes:
        """Return the labelled positions of one feature.

        Raises
        ------
        DatasetError
            When there is no such feature; the message lists those that exist.
        """
        self.check_features([feature])
        info = self.description.features[feature]
        table = self.probes.with_format("arrow")[info.start : info.stop]
        sequence, position, label = (table.column(name).to_numpy() for name in ("sequence", "position", "label"))
        return Probes(sequence.astype(np.int64), position.astype(np.int64), label.astype(np.float64))

    def feature_and_class(self, name: str) -> tuple[str, str | None]:
        """Return the feature of a name, and the class that ``<feature>=<class>`` names; None for a whole feature.

        Raises
        ------
        DatasetError
            When there is no such feature or class; the message lists those that exist.

        Examples
        --------
        The feature ``Gender`` of ``ewt`` has the classes Fem, Masc and Neut: ``Gender`` is ("Gender", None),
        ``Gender=Fem`` is ("Gender", "Fem").
        """
        self.check_features([name])
        if name in self.features:
            return name, None
        return next((feature, text) for feature, text in self._classes() if f"{feature}={text}" == name)

    def _classes(self) -> list[tuple[str, str]]:
        """Return feature and name, or number, of every class of every multiclass feature."""
        infos = self.description.features.items()
        return [(f, info.label_name(c)) for f, info in infos if info.kind == "multiclass" for c in info.counts]

    def check_features(self, names: Iterable[str]) -> None:
        """Raise DatasetError when a feature, or a class ``<feature>=<class>``, of these names does not exist."""
        classes = [f"{feature}={text}" for feature, text in self._classes()]
        unknown = sorted(set(names) - set(self.features) - set(classes))
        if unknown:
            known = list_known(unknown[0], [*self.features, *(classes if "=" in unknown[0] else [])])
            raise DatasetError(f"{self.name} has no feature {first_names(unknown)}; it has: {known}.")

    def features_named(self, names: Iterable[str], kind: FeatureKind) -> tuple[str, ...]:
        """Return the features, or classes of one, that names on a command line mean.

        Parameters
        ----------
        names : iterable of str
            Names of features, ``<feature>=<class>``, or several of these with commas between them. For a data set of
            the collection `ewt` also the paper's names of groups: ``upos``, ``dep``, ``morph`` and ``not-dep``.
        kind : {'binary', 'multiclass', 'regression'}
            Kind of the features that a group has; with 'multiclass', ``upos`` is the feature of this name.

        Raises
        ------
        DatasetError
            When there is no such feature; the message lists those that exist.
        """
        known = {*self.features, *(f"{feature}={text}" for feature, text in self._classes())}
        selected: list[str] = []
        for name in names:
            for part in [name] if name in known else filter(None, map(str.strip, name.split(","))):
                group = EWT_GROUPS.get(part) if self.description.collection == "ewt" else None
                in_group = [
                    feature
                    for feature, info in self.description.features.items()
                    if group is not None and info.kind == kind and group(feature.partition("_")[0])
                ]
                selected += in_group or [part]
        self.check_features(selected)
        return tuple(dict.fromkeys(selected))

    def save(self, path: Path) -> None:
        """Write the data set as a folder, atomically; an existing data set at this path is replaced."""
        with atomic_folder(path) as folder:
            self.sequences.save_to_disk(folder / "sequences")
            self.probes.save_to_disk(folder / "probes")
            write_sealed(folder / "description.json", self.description)
