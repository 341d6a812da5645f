"""`make_dataset`: seeds and sources, notes in the log, settings by keyword, overwriting."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from probing_datasets.collections.compound_words import CompoundWordsConfig
from probing_datasets.collections.wikidata import WikidataConfig
from probing_datasets.demo import DEMO_TEXTS
from probing_datasets.feature_dataset import load_feature_dataset
from probing_datasets.foundation.errors import DatasetError, SettingsError
from probing_datasets.make import COLLECTIONS, collection_config, make_dataset
from probing_datasets.make_config import MakeConfig
from tests.builders.sources import real_data

LABELLED = ("natural_lang_id", "programming_lang_id", "text_features")


@pytest.mark.parametrize("collection", LABELLED)
def test_another_seed_gives_other_rows(collection, tiny_model_dir, tmp_path):
    config = MakeConfig(collection, str(tiny_model_dir), min_positives=5, n_sequences=120, rows_per_feature=100)
    first, other = (make_dataset(replace(config, seed=seed, output_dir=tmp_path / str(seed))) for seed in (0, 1))
    assert first.description.content_hash != other.description.content_hash


def test_a_changed_text_changes_the_hash(tiny_model_dir, tmp_path):
    source = tmp_path / "texts.jsonl"
    texts = DEMO_TEXTS["natural_lang_id"].read_text(encoding="utf-8")
    hashes = set()
    for text in (texts, texts.replace("bread", "break", 1)):
        source.write_text(text, encoding="utf-8")
        dataset = make_dataset(MakeConfig("natural_lang_id", str(tiny_model_dir), source=str(source)))
        hashes.add((dataset.description.content_hash, dataset.description.source["digest"]))
    assert len(hashes) == 2
    assert len({digest for _, digest in hashes}) == 2


def test_notes_on_dropped_texts_are_logged(tiny_model_dir, caplog):
    make_dataset(MakeConfig("natural_lang_id", str(tiny_model_dir), texts_per_label=25))
    assert "45 texts beyond --texts_per_label 25 were not drawn." in caplog.messages


@pytest.mark.slow
def test_real_texts(tiny_model_dir):
    """Nine languages of real prose, counted independently."""
    source = real_data("natural_lang.parquet")
    rows = pq.read_table(source, columns=["text", "lang", "group"]).to_pylist()
    dataset = make_dataset(MakeConfig("natural_lang_id", str(tiny_model_dir), source=str(source), label_column="lang"))
    texts_of = Counter(row["lang"] for row in rows)
    assert len(rows) == 3430
    assert dataset.features == tuple(sorted(texts_of)) == ("de", "el", "en", "es", "fr", "it", "nl", "pt", "sv")
    assert dataset.description.n_sequences == len(rows)  # every text is long enough, and gives one sequence
    assert len(set(dataset.group_codes)) == len({row["group"] for row in rows}) == 261
    for language, info in dataset.description.features.items():
        assert info.counts == {"1": 5 * texts_of[language], "-1": 5 * (len(rows) - texts_of[language])}
        probes = dataset.feature_probes(language)
        positive = np.unique(probes.sequence[probes.label == 1])
        groups = {dataset.sequences["group"][i] for i in positive.tolist()}
        assert groups == {row["group"] for row in rows if row["lang"] == language}


def test_overwrite_is_needed_to_replace_other_content(tiny_model_dir, tmp_path):
    config = MakeConfig("natural_lang_id", tokenizer=str(tiny_model_dir), output_dir=tmp_path)
    first = make_dataset(config)
    assert make_dataset(config).description.content_hash == first.description.content_hash
    with pytest.raises(
        DatasetError, match=r"made with other settings \(--seed 0, now 1\).* Pass --name .* --overwrite"
    ):
        make_dataset(replace(config, seed=1))
    assert load_feature_dataset(first.name, tmp_path).description.seed == 0
    assert make_dataset(replace(config, seed=1, name="other")).name == first.name.replace("natural_lang_id", "other")
    make_dataset(replace(config, seed=1, overwrite=True))
    assert load_feature_dataset(first.name, tmp_path).description.seed == 1


def test_a_name_that_is_taken_is_reported_before_the_work(tiny_model_dir, tmp_path, monkeypatch):
    config = MakeConfig("natural_lang_id", tokenizer=str(tiny_model_dir), output_dir=tmp_path)
    make_dataset(config)

    def work(_config: MakeConfig) -> None:
        raise AssertionError("the work began")

    entry = replace(COLLECTIONS["natural_lang_id"], build=work)
    monkeypatch.setitem(COLLECTIONS, "natural_lang_id", entry)
    with pytest.raises(DatasetError, match="--texts_per_label 2000, now 50"):
        make_dataset(replace(config, texts_per_label=50))
    with pytest.raises(AssertionError, match="the work began"):
        make_dataset(replace(config, texts_per_label=50, name="free"))


def test_another_content_of_the_same_settings_is_not_replaced(tiny_model_dir, tmp_path):
    source = tmp_path / "t.csv"
    source.write_text("text,label,group\n" + "".join(f"text number {i},{i % 2},g{i % 5}\n" for i in range(60)))
    settings = {"tokenizer": str(tiny_model_dir), "min_tokens": 1, "source": str(source), "output_dir": tmp_path / "d"}
    make_dataset("natural_lang_id", **settings)
    source.write_text(source.read_text().replace("number", "item"))
    with pytest.raises(DatasetError, match="holds a data set of other content.* Pass --name"):
        make_dataset("natural_lang_id", **settings)


def test_settings_must_be_those_of_the_collection(tiny_model_dir):
    with pytest.raises(SettingsError, match="containment has further settings: pass a ContainmentConfig."):
        make_dataset(MakeConfig("containment", str(tiny_model_dir)))


def test_a_collection_by_name_with_settings(tiny_model_dir, tmp_path):
    settings = {"tokenizer": tiny_model_dir, "min_positives": 5, "output_dir": str(tmp_path / "sets")}
    dataset = make_dataset("natural_lang_id", context_length=48, **settings)
    assert dataset.name == "natural_lang_id.tiny.48.-1"
    assert load_feature_dataset(dataset.name, tmp_path / "sets").description == dataset.description
    config = MakeConfig("natural_lang_id", str(tiny_model_dir), min_positives=5, context_length=48)
    assert make_dataset(config).description.content_hash == dataset.description.content_hash


def test_settings_of_one_collection_by_name():
    config = collection_config("compound_words", terms=["high school"], rows_per_feature=100)
    assert config == CompoundWordsConfig(terms=("high school",), rows_per_feature=100)
    assert type(collection_config("wikidata_is_alive", people="people.csv")) is WikidataConfig


def test_unknown_settings_and_collections_list_the_nearest():
    with pytest.raises(SettingsError, match="natural_lang_id has no setting 'tokeniser'.* names: tokenizer, "):
        make_dataset("natural_lang_id", tokeniser="demo")
    with pytest.raises(SettingsError, match="no collection 'natural_language_id'; there are: natural_lang_id, "):
        make_dataset("natural_language_id")
    with pytest.raises(SettingsError, match=r"Settings are given twice. Put seed into the MakeConfig\."):
        make_dataset(MakeConfig("natural_lang_id"), seed=1)
    with pytest.raises(SettingsError, match="--seed must be at least 0, not -1"):
        make_dataset("natural_lang_id", seed=-1)
