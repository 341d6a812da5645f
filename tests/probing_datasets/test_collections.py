"""The contract of every collection, with trained tokenizers of the three kinds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from probing_datasets.building.tokenization import MAX_CHARACTERS, load_tokenizer
from probing_datasets.demo import DEMO_TEXTS
from probing_datasets.feature_dataset import FeatureDataset, load_feature_dataset, validate
from probing_datasets.make import COLLECTIONS, make_dataset
from probing_datasets.make_config import CollectionName, MakeConfig
from tests.builders.datasets import files_of
from tests.builders.sources import SOURCES, read_rows
from tests.builders.tokenizers import train_tokenizer


@dataclass(frozen=True)
class Case:
    """Source and settings with which a collection is tested."""

    source: str = ""
    """File in `sources`; empty: the bundled texts."""
    options: dict[str, Any] = field(default_factory=dict)
    change: tuple[str, str] = (" the ", " that ")
    """Text that is replaced in the source, and its replacement, to see whether the hashes change."""
    takes_any_text: bool = True
    """Whether rows with strange texts may be added to the source."""


CASES = {
    "natural_lang_id": Case(options={"min_positives": 5}, takes_any_text=False),
    "programming_lang_id": Case(options={"min_positives": 5}, change=("int ", "long "), takes_any_text=False),
    "text_features": Case(options={"min_positives": 5}),
    "has_prefix": Case(options={"min_positives": 5}),
    "has_suffix": Case(options={"min_positives": 5}),
    "distribution_id": Case(options={"label_column": "label"}, change=("int ", "long ")),
    "pile_test": Case(options={"label_column": "label"}, change=("int ", "long ")),
    "position": Case(),
    "containment": Case(change=("int ", "long ")),
    "compound_words": Case("running_text.jsonl", {"terms": ("high school", "living room"), "min_positives": 5}),
    "neuron_stimulus": Case(
        "running_text.jsonl", {"stimuli": ("to| the", "of| the"), "min_positives": 5}, (" the ", " the the ")
    ),
    "next_token": Case("running_text.jsonl", {"min_positives": 5}, ("room", "hall")),
    "counterfact": Case("counterfact.jsonl", {"min_positives": 5}, ("Kenya", "Chile"), takes_any_text=False),
    "emotional_state": Case("emotional_state.jsonl", {"min_positives": 5, "context_length": 90}, ("lamp", "lantern")),
    "ewt": Case("ewt.conllu", {"min_positives": 5}, ("rivers", "brooks"), takes_any_text=False),
    "latex": Case("latex.jsonl", {"min_positives": 5}, ("have", "find")),
    "labelled_text": Case(
        "labelled_text.jsonl", {"min_positives": 5, "further_labels": ("stars",)}, ("lamp", "lantern")
    ),
    "sentiment": Case("sentiment.jsonl", {"min_positives": 5}, ("lamp", "lantern")),
    **{
        f"wikidata_{name}": Case(
            "wikidata.jsonl", {"people": str(SOURCES / "people.csv"), "min_positives": 5}, takes_any_text=False
        )
        for name in (
            "country_of_citizenship",
            "is_alive",
            "occupation",
            "occupation_athlete",
            "political_party",
            "sex_or_gender",
        )
    },
}
COLLECTION_NAMES = sorted(CASES)
ANNOTATED = ("compound_words", "containment", "counterfact", "ewt", "latex")
"""Collections with annotators, which run in other processes."""

SHARED_OPTIONS = {"context_length": 40, "rows_per_feature": 300}

KINDS = ("byte_level_bpe", "unigram", "wordpiece")


@pytest.fixture(scope="session")
def trained_tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tokenizers trained on the bundled texts and on `sources`."""
    texts = [row["text"] for path in sorted(set(DEMO_TEXTS.values())) for row in read_rows(path)]
    texts += [line for path in sorted(SOURCES.iterdir()) for line in path.read_text(encoding="utf-8").splitlines()]
    root = tmp_path_factory.mktemp("trained")
    for kind in KINDS:
        train_tokenizer(kind, texts).save_pretrained(root / kind)
    return {kind: root / kind for kind in KINDS}


@pytest.fixture
def make(trained_tokenizers, tmp_path):
    """A function that makes a collection from its source, or from another source."""

    def run(collection: str, kind: str = "byte_level_bpe", folder: str = "made", **further) -> FeatureDataset:
        return make_dataset(settings_of(collection, trained_tokenizers[kind], tmp_path / folder, **further))

    return run


def settings_of(collection: str, tokenizer: Path, output_dir: Path, **further) -> MakeConfig:
    options = {"source": str(source_of(collection)), **SHARED_OPTIONS, **CASES[collection].options, **further}
    return COLLECTIONS[collection].config(collection, str(tokenizer), output_dir=output_dir, **options)


def source_of(collection: str) -> Path:
    return SOURCES / CASES[collection].source if CASES[collection].source else DEMO_TEXTS[collection]


def test_every_collection_has_a_case_and_a_name():
    assert set(CASES) == set(COLLECTIONS) == set(get_args(CollectionName))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("collection", COLLECTION_NAMES)
def test_contract(make, collection, kind, tmp_path):
    """A data set is valid, its description is right, and it is the same when it is loaded."""
    made = make(collection, kind)
    dataset = load_feature_dataset(made.name, tmp_path / "made")
    validate(dataset)
    d = dataset.description
    assert d == made.description
    assert (d.collection, d.context_length, d.seed) == (collection, made.description.context_length, 0)
    assert d.name == f"{collection}.{kind}.{d.context_length}.-1"
    assert d.n_sequences == len(dataset.lengths) == len(dataset.group_codes)
    assert d.n_tokens == dataset.lengths.sum()
    assert list(dataset.features) == sorted(dataset.features)
    assert {"python", "numpy", "git_commit"} <= set(d.provenance)
    assert all(dataset.sequences["group"])
    for name in dataset.features:
        check_feature(dataset, name)


def check_feature(dataset: FeatureDataset, name: str) -> None:
    d, probes = dataset.description, dataset.feature_probes(name)
    info = d.features[name]
    assert (probes.position >= d.n_prefix).all()
    assert (probes.position < dataset.lengths[probes.sequence] - d.n_suffix).all()
    groups = dataset.group_codes[probes.sequence]
    if info.kind == "regression":
        assert len(np.unique(groups)) >= 2
        return
    labels = [-1.0, 1.0] if info.kind == "binary" else list(range(len(info.counts)))
    assert {float(label) for label in info.counts} == set(labels)
    assert info.kind == "binary" or len(info.classes) in (0, len(labels))
    for label in labels:
        of_label = probes.label == label
        assert info.counts[f"{label:g}"] == of_label.sum() >= min(d.options["min_positives"], 5)
        assert len(np.unique(groups[of_label])) >= 2


@pytest.mark.parametrize("collection", COLLECTION_NAMES)
def test_the_same_settings_give_the_same_bytes(make, collection, tmp_path):
    first = make(collection, folder="first")
    make(collection, folder="again")
    assert files_of(tmp_path / "first") == files_of(tmp_path / "again")
    assert first.description.content_hash


@pytest.mark.parametrize("collection", COLLECTION_NAMES)
def test_recorded_settings_make_the_same_data_set(make, collection, trained_tokenizers, tmp_path):
    made = make(collection)
    recorded = load_feature_dataset(made.name, tmp_path / "made").description.options
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in recorded.items()}
    again = COLLECTIONS[collection].build(COLLECTIONS[collection].config(**options))
    assert again.description.content_hash == made.description.content_hash


@pytest.mark.parametrize("collection", COLLECTION_NAMES)
def test_a_changed_source_changes_the_hashes(make, collection, tmp_path):
    source = source_of(collection)
    text = source.read_text(encoding="utf-8")
    assert CASES[collection].change[0] in text
    changed = tmp_path / source.name
    changed.write_text(text.replace(*CASES[collection].change), encoding="utf-8")
    before, after = (make(collection, folder=str(i), source=str(s)) for i, s in enumerate((source, changed)))
    assert before.description.content_hash != after.description.content_hash
    assert before.description.source["digest"] != after.description.source["digest"]


@pytest.mark.slow
@pytest.mark.parametrize("collection", ANNOTATED)
def test_several_processes_make_the_same_data_set(make, collection):
    one, two = (make(collection, folder=str(n), num_proc=n) for n in (1, 2))
    assert one.description.content_hash == two.description.content_hash
    assert one.description.options == two.description.options


STRANGE = {
    "empty": "",
    "white space": " \n\t ",
    "emoji": "😀👩‍👩‍👧🏽 the end of an egg 😀" * 4,
    "right to left": "שלום עולם, the (مرحبا بالعالم) " * 4,
    "combining": "e\u0301 n\u0303 \u200b\u202eabc " * 10,
    "nul": "a\x00b the " * 10,
    "gigantic": "some (words) of no use " * (MAX_CHARACTERS // 10),
    "no space": "x" * 5000,
}


def with_strange_texts(source: Path) -> Iterator[str]:
    lines = source.read_text(encoding="utf-8").splitlines()
    yield from lines
    yield from (json.dumps({**json.loads(lines[0]), "text": text, "group": name}) for name, text in STRANGE.items())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("collection", [name for name in COLLECTION_NAMES if CASES[name].takes_any_text])
def test_strange_texts(make, collection, kind, tmp_path):
    """Empty and gigantic documents, emoji, right-to-left text, tokens that are not characters."""
    source = tmp_path / "strange.jsonl"
    source.write_text("\n".join(with_strange_texts(source_of(collection))) + "\n", encoding="utf-8")
    dataset = make(collection, kind, source=str(source), ignore_first=0)
    assert f"1 texts were cut after {MAX_CHARACTERS:,} characters." in dataset.description.dropped
    assert any("have no text" in note for note in dataset.description.dropped)
    tokenizer = load_tokenizer(dataset.description.tokenizer)
    assert not unknown_probed(dataset, tokenizer) or collection not in TOKEN_COLLECTIONS


TOKEN_COLLECTIONS = ("text_features", "has_prefix", "has_suffix", "position", "containment")


def unknown_probed(dataset: FeatureDataset, tokenizer: PreTrainedTokenizerFast) -> bool:
    tokens = dataset.tokens(np.arange(len(dataset.lengths)))
    probed = {
        int(tokens[s][p]) for name in dataset.features for s, p, _ in zip(*dataset.feature_probes(name), strict=True)
    }
    return tokenizer.unk_token_id in probed
