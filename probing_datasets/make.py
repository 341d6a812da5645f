"""Make a feature data set: the registry of collections, and the function behind the command."""

from __future__ import annotations

import logging
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from probing_datasets.building.sequences import open_tokenizer
from probing_datasets.collections import (
    affixes,
    compound_words,
    containment,
    counterfact,
    distribution_id,
    emotional_state,
    ewt,
    labelled_text,
    language_id,
    latex,
    neuron_stimulus,
    next_token,
    position,
    sentiment,
    text_features,
    wikidata,
)
from probing_datasets.collections.registry_entry import Collection
from probing_datasets.feature_dataset import FeatureDataset, save_dataset
from probing_datasets.feature_dataset.description import dataset_name
from probing_datasets.feature_dataset.load_and_save import refuse_other_settings
from probing_datasets.feature_dataset.near_duplicates import warn_of_near_duplicates
from probing_datasets.foundation.errors import SettingsError, list_known
from probing_datasets.make_config import MakeConfig
from probing_datasets.model_names import model_slug

logger = logging.getLogger(__name__)

COLLECTIONS: dict[str, Collection] = {
    "natural_lang_id": Collection("which natural language a text is in", language_id.build),
    "programming_lang_id": Collection("which programming language a file is in", language_id.build),
    "text_features": Collection("eleven properties of the string of a token", text_features.build),
    "has_prefix": Collection(
        "tokens that begin with a prefix", partial(text_features.build, features=affixes.PREFIX_FEATURES)
    ),
    "has_suffix": Collection(
        "tokens that end with a suffix", partial(text_features.build, features=affixes.SUFFIX_FEATURES)
    ),
    "distribution_id": Collection(
        "which sub-corpus a text is from", distribution_id.build, distribution_id.DistributionConfig
    ),
    "pile_test": Collection(
        "the sub-corpus of plain text", distribution_id.build_pile_test, distribution_id.PileTestConfig
    ),
    "position": Collection("the place of a token in its sequence", position.build, position.PositionConfig),
    "containment": Collection("tokens inside quotes or brackets", containment.build, containment.ContainmentConfig),
    "compound_words": Collection(
        "terms of two words, compared with the words apart", compound_words.build, compound_words.CompoundWordsConfig
    ),
    "neuron_stimulus": Collection(
        "tokens that follow given n-grams", neuron_stimulus.build, neuron_stimulus.NeuronStimulusConfig
    ),
    "next_token": Collection("which of two tokens comes next", next_token.build, next_token.NextTokenConfig),
    "counterfact": Collection(
        "whether a statement is true, at its target", counterfact.build, counterfact.CounterfactConfig
    ),
    "emotional_state": Collection(
        "which of seven emotional states a chat user is in", emotional_state.build, emotional_state.EmotionalStateConfig
    ),
    "ewt": Collection("part of speech, dependency relation and morphology of words", ewt.build, ewt.EwtConfig),
    "latex": Collection("formulas, scripts, fractions, titles, references", latex.build, latex.LatexConfig),
    "labelled_text": Collection("the labels of any table", labelled_text.build, labelled_text.LabelledTextConfig),
    "sentiment": Collection("whether a review is positive", sentiment.build, sentiment.SentimentConfig),
    "wikidata_country_of_citizenship": Collection("country of a named person", wikidata.build, wikidata.WikidataConfig),
    "wikidata_is_alive": Collection("whether a named person is alive", wikidata.build, wikidata.WikidataConfig),
    "wikidata_occupation": Collection("occupation of a named person", wikidata.build, wikidata.WikidataConfig),
    "wikidata_occupation_athlete": Collection("sport of a named athlete", wikidata.build, wikidata.WikidataConfig),
    "wikidata_political_party": Collection("party of a named politician", wikidata.build, wikidata.WikidataConfig),
    "wikidata_sex_or_gender": Collection("sex or gender of a named person", wikidata.build, wikidata.WikidataConfig),
}
"""Every collection by its name."""


def make_dataset(collection: MakeConfig | str, **settings: Any) -> FeatureDataset:
    """Build a feature data set and save it as ``<output_dir>/<name>``.

    Parameters
    ----------
    collection : MakeConfig or str
        All settings, or the name of a collection such as ``natural_lang_id``.
    **settings
        With a name: the settings that differ from the defaults of the collection, by the names of the flags of
        ``python -m probing_datasets make <collection>``.

    Raises
    ------
    SettingsError
        When there is no such collection or setting, or the settings are not those of the collection.
    SourceError
        When the source is missing, or a column of it is.
    ModelError
        When there is no such tokenizer.
    DatasetError
        When too little is left to probe, or a data set of the same name and other content exists
        and ``overwrite`` is not set.
    """
    config = collection_config(collection, **settings) if isinstance(collection, str) else collection
    if config is collection and settings:
        raise SettingsError(f"Settings are given twice. Put {', '.join(settings)} into the {type(config).__name__}.")
    entry = COLLECTIONS[_known_collection(config.collection)]
    if not isinstance(config, entry.config):
        raise SettingsError(f"{config.collection} has further settings: pass a {entry.config.__name__}.")
    _refuse_collision(config)
    dataset = entry.build(config)
    for note in dataset.description.dropped:
        logger.warning(note)
    warn_of_near_duplicates(dataset)
    save_dataset(dataset, config.output_dir, config.overwrite)
    return dataset


def _refuse_collision(config: MakeConfig) -> None:
    """Raise DatasetError, before the work, when a data set of other settings has the name that this one would have."""
    pattern = f"{config.name_stem}.{model_slug(config.tokenizer)}.*.{config.n_sequences}/description.json"
    if not config.overwrite and any(config.output_dir.glob(pattern)):
        length = open_tokenizer(config).context_length
        name = dataset_name(config.name_stem, config.tokenizer, length, config.n_sequences)
        refuse_other_settings(config.output_dir, name, config.options())


def collection_config(name: str, /, **settings: Any) -> MakeConfig:
    """Return the settings of a collection, with other values for some of them.

    Lists become tuples, and paths the type that the setting has.

    Raises
    ------
    SettingsError
        When there is no such collection or setting, or a value is outside its range.
    """
    config_type = COLLECTIONS[_known_collection(name)].config
    known = [field.name for field in fields(config_type) if field.name != "collection"]
    for setting, value in settings.items():
        if setting not in known:
            nearest = list_known(setting, known, most=5)
            raise SettingsError(f"{name} has no setting {setting!r}. Settings with similar names: {nearest}.")
        if isinstance(value, list):
            settings[setting] = tuple(value)
        elif setting == "output_dir":
            settings[setting] = Path(value).expanduser()
        elif isinstance(value, Path):
            settings[setting] = str(value)
    return config_type(**{"collection": name, **settings})


def _known_collection(name: str) -> str:
    if name not in COLLECTIONS:
        raise SettingsError(f"There is no collection {name!r}; there are: {list_known(name, COLLECTIONS)}.")
    return name
