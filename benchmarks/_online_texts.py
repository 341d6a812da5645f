"""A feature data set of many short windows of the bundled texts, with three label sets, for online probes."""

from __future__ import annotations

import json

import numpy as np

from probing_datasets.building.tokenization import load_tokenizer, token_ids, tokenizer_hash
from probing_datasets.demo import DEMO_TEXTS
from probing_datasets.feature_dataset import Description, FeatureDataset, Probes, build_feature_dataset

SHORTEST = 16
GERMAN, ROMANCE, LANGUAGE = "German", "Romance", "Language"
ROMANCE_LANGUAGES = ("French", "Italian", "Portuguese", "Spanish")


def windows_of_languages(n_sequences: int, context_length: int, tokenizer: str = "demo") -> FeatureDataset:
    """Return windows of `SHORTEST` to ``context_length`` tokens of texts in nine languages.

    The label sets are the language (9 classes), whether it is German, and whether it is a Romance language. Windows of
    one text may overlap; a text and its translations are one group, as in the bundled data set.
    """
    rng = np.random.default_rng(0)
    loaded = load_tokenizer(tokenizer)
    rows = [json.loads(line) for line in DEMO_TEXTS["natural_lang_id"].read_text().splitlines()]
    ids = token_ids(loaded, [row["text"] for row in rows])
    languages = sorted({row["label"] for row in rows})
    tokens, groups, labels = [], [], []
    for number in range(n_sequences):
        text = number % len(rows)
        length = min(int(rng.integers(SHORTEST, context_length + 1)), len(ids[text]))
        first = int(rng.integers(len(ids[text]) - length + 1))
        tokens.append(np.asarray(ids[text][first : first + length], dtype=np.int32))
        groups.append(str(rows[text]["group"]))
        labels.append(languages.index(rows[text]["label"]))
    language, every = np.array(labels), np.arange(n_sequences)
    last = np.array([len(sequence) - 1 for sequence in tokens])
    is_german = np.where(language == languages.index(GERMAN), 1.0, -1.0)
    is_romance = np.where(np.isin(np.array(languages)[language], ROMANCE_LANGUAGES), 1.0, -1.0)
    description = Description(
        name=f"windows.demo.{context_length}.{n_sequences}",
        collection="windows",
        tokenizer=tokenizer,
        tokenizer_hash=tokenizer_hash(loaded),
        context_length=context_length,
        n_prefix=0,
        n_suffix=0,
        seed=0,
        source={"name": "bundled", "licence": "", "digest": ""},
        options={},
    )
    return build_feature_dataset(
        description,
        tokens,
        groups,
        {
            GERMAN: ("binary", Probes(every, last, is_german)),
            ROMANCE: ("binary", Probes(every, last, is_romance)),
            LANGUAGE: ("multiclass", Probes(every, last, language.astype(float))),
        },
        {LANGUAGE: tuple(languages)},
    )
