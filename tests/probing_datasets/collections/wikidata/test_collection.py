"""Properties of named people: classes, the probed token, names in texts, settings that cannot be used."""

from pathlib import Path

import numpy as np
import pytest

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.collections.wikidata import WikidataConfig, build
from probing_datasets.feature_dataset.spans import pooled_span
from probing_datasets.foundation.errors import DatasetError, SettingsError, SourceError
from tests.builders.datasets import decoded_sequences, squeeze
from tests.builders.sources import write_table

OCCUPATIONS = ("actor", "singer", "politician")
FAMILIES = [f"{a}{b}" for a in ("Lake", "Hill", "Wood") for b in ("man", "field", "ley", "ford", "son", "wick", "ham")]
PEOPLE = [
    {"name": f"{given} {family}", "gender": gender, "occupation": OCCUPATIONS[i % 3]}
    for i, family in enumerate(FAMILIES)
    for given, gender in (("Ada", "female"), ("Alan", "male"))
]


@pytest.fixture
def people(tmp_path):
    unknown = [{"name": "Kim Nobody", "gender": "", "occupation": "actor"}, {"name": "Prince", "gender": "male"}]
    return write_table(tmp_path / "people.jsonl", [*PEOPLE, *unknown])


def settings(collection: str, folder: Path, people: str, **options) -> WikidataConfig:
    return WikidataConfig(collection, tokenizer=str(folder), people=people, min_positives=5, **options)  # type: ignore[arg-type]


def names_and_labels(dataset, folder: Path, feature: str) -> list[tuple[str, float]]:
    """The text of the pooled span of each probed row, and the label."""
    tokenizer, probes = load_tokenizer(str(folder)), dataset.feature_probes(feature)
    spans = pooled_span(dataset, probes.sequence)
    names = [tokenizer.decode(t[a:b]) for t, (a, b) in zip(dataset.tokens(probes.sequence), spans, strict=True)]
    return [(squeeze(name), label) for name, label in zip(names, probes.label.tolist(), strict=True)]


def test_a_property_of_two_classes(tokenizer_dir, people):
    dataset = build(settings("wikidata_sex_or_gender", tokenizer_dir, people))
    assert dataset.features == ("female",)
    rows = names_and_labels(dataset, tokenizer_dir, "female")
    assert {name for name, label in rows if label == 1} == {f"Ada{family}" for family in FAMILIES}
    assert {name for name, label in rows if label == -1} == {f"Alan{family}" for family in FAMILIES}
    assert dataset.description.dropped == (
        "1 names are too short, or of one word. 1 people have no class, or several.",
    )


def test_a_property_of_several_classes(tokenizer_dir, people):
    dataset = build(settings("wikidata_occupation", tokenizer_dir, people))
    assert dataset.features == ("actor", "occupation", "politician", "singer")
    info = dataset.description.features["occupation"]
    assert (info.kind, info.classes) == ("multiclass", ("actor", "politician", "singer"))
    truth = {squeeze(person["name"]): person["occupation"] for person in PEOPLE} | {"KimNobody": "actor"}
    for name, label in names_and_labels(dataset, tokenizer_dir, "occupation"):
        assert info.classes[int(label)] == truth[name]
    for name, label in names_and_labels(dataset, tokenizer_dir, "singer"):
        assert (label == 1) == (truth[name] == "singer")


def test_the_last_token_of_the_name_is_probed(tokenizer_dir, people):
    dataset = build(settings("wikidata_sex_or_gender", tokenizer_dir, people))
    probes = dataset.feature_probes("female")
    assert np.array_equal(probes.position, pooled_span(dataset, probes.sequence)[:, 1] - 1)
    assert np.array_equal(probes.position, dataset.lengths[probes.sequence] - dataset.description.n_suffix - 1)


def test_a_person_is_a_group(tokenizer_dirs, people):
    folder = tokenizer_dirs["unigram"]
    dataset = build(settings("wikidata_sex_or_gender", folder, people, sequences_per_name=4))
    groups = dataset.sequences["group"]
    assert sorted(set(groups)) == sorted(person["name"] for person in PEOPLE)
    assert len(groups) == 4 * len(PEOPLE)


def test_names_in_running_text(tokenizer_dir, people, tmp_path):
    rows = [{"text": f"Once {p['name']} met Ada Lakefield's friend. (Prince)"} for p in PEOPLE for _ in range(3)]
    source = write_table(tmp_path / "texts.jsonl", rows)
    options = {"source": source, "sequences_per_name": 2}
    dataset = build(settings("wikidata_sex_or_gender", tokenizer_dir, people, **options))
    assert sorted(dataset.sequences["group"]) == sorted(2 * [person["name"] for person in PEOPLE])
    rows = names_and_labels(dataset, tokenizer_dir, "female")
    assert all(name.startswith("Ada") == (label == 1) for name, label in rows)
    texts = [squeeze(text) for text in decoded_sequences(dataset, tokenizer_dir)]
    assert texts[:2] == ["OnceAdaLakeman", "OnceAdaLakemanmetAdaLakefield"]


def test_text_before_the_context_is_cut(tokenizer_dir, people, tmp_path):
    source = write_table(tmp_path / "texts.jsonl", [{"text": "far away " * 300 + p["name"]} for p in PEOPLE])
    dataset = build(settings("wikidata_sex_or_gender", tokenizer_dir, people, source=source, context_length=32))
    assert set(dataset.lengths) == {32}
    rows = names_and_labels(dataset, tokenizer_dir, "female")
    assert {name for name, _ in rows} == {squeeze(person["name"]) for person in PEOPLE}


def test_a_name_longer_than_the_context(tokenizer_dirs, people):
    folder = tokenizer_dirs["byte_level_bpe"]
    dataset = build(settings("wikidata_sex_or_gender", folder, people, context_length=6))
    spans = pooled_span(dataset, np.arange(len(dataset.lengths)))
    assert (spans == [1, 6]).all()


@pytest.mark.parametrize(
    ("collection", "options", "error", "message"),
    [
        ("wikidata_sex_or_gender", {"people": ""}, SettingsError, "needs a table of people. Pass --people"),
        ("wikidata_is_alive", {}, SourceError, "has no column 'is_alive'"),
        ("wikidata_occupation_athlete", {}, SourceError, "has no person with one of the classes: American football"),
        ("wikidata_occupation", {"texts_per_label": 2}, DatasetError, "actor was dropped: 2 positives"),
        ("wikidata_occupation", {"sequences_per_name": 0}, SettingsError, "--sequences_per_name must be at least 1"),
        (
            "wikidata_occupation",
            {"templates": ("Hello",)},
            SettingsError,
            "must contain {name} in place .*: 'Hello'",
        ),
        ("wikidata_occupation", {"templates": ()}, SettingsError, "--templates is empty"),
    ],
)
def test_what_cannot_be_probed(tokenizer_dirs, people, collection, options, error, message):
    with pytest.raises(error, match=message):
        build(settings(collection, tokenizer_dirs["wordpiece"], **{"people": people, **options}))


def test_no_name_in_the_texts(tokenizer_dirs, people, tmp_path):
    source = write_table(tmp_path / "texts.jsonl", [{"text": "Nobody is named here."}])
    with pytest.raises(SourceError, match=r"holds no text. 1 names are too short"):
        build(settings("wikidata_sex_or_gender", tokenizer_dirs["wordpiece"], people, source=source))
