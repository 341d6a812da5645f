"""Make a feature data set: the registry of collections and the one function behind the command."""

from __future__ import annotations

import logging

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
from probing_datasets.collections.collection import Collection
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.feature_dataset.saving import save_dataset
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.make_config import MakeConfig

logger = logging.getLogger(__name__)

COLLECTIONS: dict[str, Collection] = {
    "natural_lang_id": Collection("which natural language a text is in", language_id.build),
    "programming_lang_id": Collection("which programming language a file is in", language_id.build),
    "text_features": Collection("eleven properties of the string of a token", text_features.build),
    "has_prefix": Collection("tokens that begin with a prefix", affixes.build_prefixes),
    "has_suffix": Collection("tokens that end with a suffix", affixes.build_suffixes),
    "distribution_id": Collection(
        "which sub-corpus a text is from", distribution_id.build, distribution_id.DistributionConfig
    ),
    "pile_test": Collection(
        "the sub-corpus of plain text", distribution_id.build_pile_test, distribution_id.PileTestConfig
    ),
    "position": Collection("where in its sequence a token stands", position.build, position.PositionConfig),
    "containment": Collection("tokens inside quotes or brackets", containment.build, containment.ContainmentConfig),
    "compound_words": Collection(
        "terms of two words, against the words apart", compound_words.build, compound_words.CompoundWordsConfig
    ),
    "neuron_stimulus": Collection(
        "tokens behind given n-grams", neuron_stimulus.build, neuron_stimulus.NeuronStimulusConfig
    ),
    "next_token": Collection("which of two tokens comes next", next_token.build, next_token.NextTokenConfig),
    "counterfact": Collection(
        "whether a statement is true, at its target", counterfact.build, counterfact.CounterfactConfig
    ),
    "emotional_state": Collection(
        "which of seven states a chat user is in", emotional_state.build, emotional_state.EmotionalStateConfig
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
"""How each collection is built."""


def make_dataset(config: MakeConfig) -> FeatureDataset:
    """Build a feature data set and save it as ``<output_dir>/<name>``.

    Raises
    ------
    SettingsError
        When the settings are not those of the collection.
    SourceError
        When the source is missing or lacks a column.
    ModelError
        When there is no such tokenizer.
    DatasetError
        When too little is left to probe, or a data set of that name and other content stands there
        and ``overwrite`` is not set.
    """
    collection = COLLECTIONS[config.collection]
    if not isinstance(config, collection.config):
        raise SettingsError(f"{config.collection} has settings of its own: give a {collection.config.__name__}.")
    dataset = collection.build(config)
    for note in dataset.description.dropped:
        logger.warning(note)
    save_dataset(dataset, config.output_dir, config.overwrite)
    return dataset
