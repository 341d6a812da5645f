"""Settings of `python -m probing_datasets make`."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Suppress

from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.foundation.files.text_files import is_text_encoding
from probing_datasets.foundation.setting_values import check_whole_numbers

CollectionName = Literal[
    "compound_words",
    "containment",
    "counterfact",
    "distribution_id",
    "emotional_state",
    "ewt",
    "has_prefix",
    "has_suffix",
    "labelled_text",
    "latex",
    "natural_lang_id",
    "neuron_stimulus",
    "next_token",
    "pile_test",
    "position",
    "programming_lang_id",
    "sentiment",
    "text_features",
    "wikidata_country_of_citizenship",
    "wikidata_is_alive",
    "wikidata_occupation",
    "wikidata_occupation_athlete",
    "wikidata_political_party",
    "wikidata_sex_or_gender",
]

MISSING_LABELS = (
    *("NA", "N/A", "<NA>", "#N/A", "#NA", "#N/A N/A", "NULL", "None", "NaN", "-NaN"),
    *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
"""What programs write into a table of text where a value is missing (those of pandas), whatever its case."""

MAX_NAME_BYTES = 100
"""Longest --name: file systems take 255 bytes, and the name of a data set has further parts."""

NOT_RECORDED = ("num_proc", "output_dir", "overwrite")
"""Settings that do not affect the content."""


@dataclass(frozen=True)
class MakeConfig:
    """Everything that decides the content of a feature data set.

    A collection that needs more settings, or other defaults, declares them in a dataclass that inherits this one.
    """

    collection: Suppress[CollectionName]
    """Which features to label; on the command line, the word after `make`."""
    tokenizer: str = "demo"
    """`demo`, a local model folder, a TransformerLens alias or a hub id."""
    revision: str | None = None
    """Revision of a tokenizer on the hub."""
    trust_remote_code: bool = False
    """Run Python code that the folder of the tokenizer holds."""
    source: str | tuple[str, ...] = "demo"
    """`demo`, a table (.parquet, .csv, .tsv, .jsonl, .json, .arrow, .feather), a .txt file, a folder of source files or
    text files, a folder that `datasets` saved, or a hub data set (`owner/name[:config]`); several are read one after
    another."""
    source_split: str = "train"
    """Split of a data set that is on the hub or that `datasets` saved."""
    separator: str = ""
    """Sign between the cells of a table of text; default: a comma, or a tab in a .tsv file."""
    encoding: str = ""
    """Encoding of text files that have no byte-order mark, such as windows-1252; default: UTF-8."""
    missing_labels: tuple[str, ...] = MISSING_LABELS
    """Cells of a .csv or .tsv file that mean a missing label or group, whatever their case; none given: only an empty
    cell does."""
    name: str = ""
    """First part of the name of the data set, so that several of one collection have different names; default: the
    name of the collection."""
    licence: str = ""
    """Licence of the source, for the record."""
    text_column: str = "text"
    """Column of the text; a dotted name is a field of a struct, here and below (`meta.pile_set_name`)."""
    label_column: str = "label"
    group_column: str = "group"
    """Column of what must not be split between training and test rows; empty: every text is its own group."""
    context_length: int | None = None
    """Tokens of a sequence, special ones counted. Default: the maximum of the tokenizer's model, 512 at most."""
    prepend_bos: bool = True
    """Begin every sequence with the beginning-of-sequence token ([CLS] for an encoder), if the tokenizer has one;
    --no_prepend_bos removes it also where the tokenizer itself adds it."""
    texts_per_label: int = 2000
    """At most this many texts of each label, drawn at random."""
    sequences_per_text: int = 1
    """Sequences cut from a text that is longer than the context, drawn at random."""
    n_sequences: int = -1
    """Total number of sequences at most, evenly over labels; -1: all."""
    min_tokens: int = 8
    """Shorter sequences are dropped."""
    ignore_first: int = 0
    """Text tokens at the start of a sequence that are not probed; of a sequence without others, the last is probed."""
    positions_per_sequence: int = 5
    """Probed positions of a sequence, if the label is that of the whole sequence."""
    rows_per_feature: int = 10_000
    """Probed positions of a feature, if labels differ within a sequence."""
    positive_fraction: float = 0.5
    """Fraction of positives among them; more, up to one half, if more of the text is positive."""
    min_positives: int = 20
    """Features with fewer positives or negatives are dropped."""
    seed: int = 0
    num_proc: int = 1
    """Processes that tokenize and label; the result does not depend on it."""
    output_dir: Path = field(default_factory=lambda: read_settings().feature_dataset_dir)
    """FEATURE_DATASET_DIR"""
    overwrite: bool = False
    """Replace a data set of other content that has the same name."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        check_whole_numbers(vars(self))
        for name in (
            "texts_per_label",
            "sequences_per_text",
            "min_tokens",
            "positions_per_sequence",
            "rows_per_feature",
            "min_positives",
            "num_proc",
        ):
            if getattr(self, name) < 1:
                raise SettingsError(f"--{name} must be at least 1, not {getattr(self, name)}.")
        if self.n_sequences < 1 and self.n_sequences != -1:
            raise SettingsError(f"--n_sequences must be at least 1, or -1 for all, not {self.n_sequences}.")
        for name in ("ignore_first", "seed"):
            if getattr(self, name) < 0:
                raise SettingsError(f"--{name} must be at least 0, not {getattr(self, name)}.")
        if re.fullmatch(r"[\w-]*", self.name) is None:
            raise SettingsError(f"--name must consist of letters, digits, _ and -, not {self.name!r}.")
        if (n_bytes := len(self.name.encode())) > MAX_NAME_BYTES:
            raise SettingsError(f"--name is too long for a folder: {n_bytes} bytes, and at most {MAX_NAME_BYTES} fit.")
        if not self.source or "" in (self.source if isinstance(self.source, tuple) else ()):
            raise SettingsError("--source is empty. Name a table, a folder or a hub data set.")
        if self.separator == "\\t":  # as a shell passes it
            object.__setattr__(self, "separator", "\t")
        if len(self.separator) > 1 or self.separator in ("\n", "\r", '"'):
            raise SettingsError(f"--separator must be one sign, such as ';' or '\\t', not {self.separator!r}.")
        if self.encoding and not is_text_encoding(self.encoding):
            raise SettingsError(f"--encoding {self.encoding!r} is not known. Examples: windows-1252, utf-16-le.")
        if not 0 < self.positive_fraction < 1:
            raise SettingsError(f"--positive_fraction must be between 0 and 1, not {self.positive_fraction}.")

    @property
    def source_name(self) -> str:
        """The source, or all sources, in one text."""
        return self.source if isinstance(self.source, str) else ", ".join(self.source)

    @property
    def name_stem(self) -> str:
        """First part of the name of the data set."""
        return self.name or self.collection

    def options(self) -> dict[str, Any]:
        """Return the settings that decide the content, as JSON values."""
        settings = {name: value for name, value in asdict(self).items() if name not in NOT_RECORDED}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
