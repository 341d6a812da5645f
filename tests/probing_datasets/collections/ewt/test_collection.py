"""Grammatical features of a small treebank: labels by hand, groups, documents that do not fit."""

from pathlib import Path

import numpy as np
import pytest

from probing_datasets.building.tokenization import decoded_vocabulary, load_tokenizer
from probing_datasets.collections.ewt import EwtConfig, build
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import DatasetError, SettingsError, SourceError
from tests.builders.sources import SOURCES

TREEBANK = SOURCES / "ewt.conllu"
"""Twelve documents of three sentences: 'The fox saw two rivers. They don't like the fox 😀! Was she seen at ...'."""


def config(folder: Path, **options) -> EwtConfig:
    defaults = {"source": str(TREEBANK), "min_positives": 3, "rows_per_feature": 10**6, "ignore_first": 0}
    return EwtConfig(tokenizer=str(folder), context_length=128, **(defaults | options))


def strings_at(dataset: FeatureDataset, folder: Path, feature: str, label: int) -> set[str]:
    """The strings of all tokens with a label, without spaces and continuation signs."""
    vocabulary = decoded_vocabulary(load_tokenizer(str(folder)))
    probes = dataset.feature_probes(feature)
    tokens = dataset.tokens(np.arange(dataset.description.n_sequences))
    rows = np.flatnonzero(probes.label == label)
    return {vocabulary[tokens[probes.sequence[i]][probes.position[i]]].strip().removeprefix("##") for i in rows}


def test_positives_and_negatives_by_hand(tokenizer_dir):
    dataset = build(config(tokenizer_dir, positive_fraction=0.5))
    the = {*"The", "The", "the", "he", ""}  # '' is SentencePiece's marker at the start of a text
    assert "the" in strings_at(dataset, tokenizer_dir, "PronType_Art", 1)
    assert strings_at(dataset, tokenizer_dir, "PronType_Art", 1) <= the
    assert strings_at(dataset, tokenizer_dir, "PronType_Prs", 1) <= the | set("yshe")
    assert strings_at(dataset, tokenizer_dir, "eos_True", 1) == {".", "!"}
    assert strings_at(dataset, tokenizer_dir, "upos_PUNCT", 1) == {".", "!"}
    assert strings_at(dataset, tokenizer_dir, "first_eos_True", 1) == {"."}
    assert strings_at(dataset, tokenizer_dir, "first_eos_True", -1) == {"!"}
    assert strings_at(dataset, tokenizer_dir, "Voice_Pass", 1) <= set("seen")
    assert strings_at(dataset, tokenizer_dir, "Voice_Pass", -1) <= set("sawlike")


def test_one_row_for_every_token_of_a_word(tokenizer_dirs):
    """The letters of 'seen' are four tokens of the Unigram tokenizer; the space before it is a fifth."""
    dataset = build(config(tokenizer_dirs["unigram"]))
    assert dataset.description.features["Voice_Pass"].counts["1"] == 12 * len("seen")


def test_the_multiclass_feature_of_a_category(tokenizer_dir):
    dataset = build(config(tokenizer_dir))
    info = dataset.description.features["VerbForm"]
    assert (info.kind, info.classes) == ("multiclass", ("Fin", "Inf", "Part"))
    whole, participle = dataset.feature_probes("VerbForm"), dataset.feature_probes("VerbForm_Part")
    class_at = dict(zip(zip(whole.sequence, whole.position, strict=True), whole.label, strict=True))
    places = zip(participle.sequence, participle.position, strict=True)
    assert all((class_at[place] == 2) == (label == 1) for place, label in zip(places, participle.label, strict=True))


def test_a_document_is_a_group(tokenizer_dirs):
    dataset = build(config(tokenizer_dirs["wordpiece"]))
    assert sorted(dataset.sequences["group"]) == [f"tale-{i:02d}" for i in range(12)]


def test_a_document_that_does_not_fit_is_dropped_and_named(tokenizer_dirs, tmp_path):
    path = tmp_path / "broken.conllu"
    path.write_text(TREEBANK.read_text().replace("text = The heron", "text = The héron"))
    dataset = build(config(tokenizer_dirs["wordpiece"], source=str(path)))
    assert dataset.description.n_sequences == 11
    (note,) = [note for note in dataset.description.dropped if "tale-01" in note]
    assert "tale-01: tale-01-0001: the text has 'héron" in note


def test_nothing_to_label(tokenizer_dirs, tmp_path):
    path = tmp_path / "short.conllu"
    path.write_text("\n".join(TREEBANK.read_text().split("\n")[:12]))
    with pytest.raises(DatasetError, match="No feature is left"):
        build(config(tokenizer_dirs["wordpiece"], source=str(path), min_tokens=1))
    with pytest.raises(SourceError, match="No texts are bundled for ewt"):
        build(config(tokenizer_dirs["wordpiece"], source="demo"))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(", "is not a regular expression: "), (".*", r"has no group \(\.\.\.\) for")],
)
def test_patterns_that_cannot_be_used(pattern, message):
    with pytest.raises(SettingsError, match=f"--document_pattern .* {message}"):
        EwtConfig(document_pattern=pattern)
