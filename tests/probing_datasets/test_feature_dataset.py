"""Feature data sets: contents, repr, saving and loading, validation, content hash, damaged folders."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.feature_dataset import (
    FORMAT_VERSION,
    Description,
    FeatureDataset,
    FeatureKind,
    Probes,
    build_feature_dataset,
    load_feature_dataset,
    save_dataset,
)
from probing_datasets.foundation.errors import DamagedFileError, DatasetError
from probing_datasets.foundation.files.sealed_json import unseal, write_sealed
from tests.builders.datasets import dataset_with_labels, files_of

DESCRIPTION = Description(
    name="hand.made.6.-1",
    collection="hand",
    tokenizer="demo",
    tokenizer_hash="abc",
    context_length=6,
    n_prefix=1,
    n_suffix=0,
    seed=0,
    source={"name": "test", "licence": "CC0", "digest": ""},
    options={"seed": 0},
    dropped=("one note.",),
)
TOKENS = [[9, 1, 2, 3], [9, 4], [9, 5, 6, 7, 8, 1]]
GROUPS = ["page", "mail", "page"]
ROWS = {
    "verb": ("binary", [0, 0, 2], [1, 3, 5], [1, -1, 1]),
    "depth": ("multiclass", [1, 2], [1, 1], [0, 4]),
    "length": ("regression", [0, 1, 2], [1, 1, 1], [0.5, -3.25, 1e6]),
}


def build(tokens=TOKENS, groups=GROUPS, rows=ROWS, description=DESCRIPTION) -> FeatureDataset:
    probes: dict[str, tuple[FeatureKind, Probes]] = {
        name: (kind, Probes(*(np.array(column) for column in columns))) for name, (kind, *columns) in rows.items()
    }
    return build_feature_dataset(description, [np.array(t, np.int32) for t in tokens], groups, probes)


def check_contents(dataset: FeatureDataset) -> None:
    assert dataset.name == "hand.made.6.-1"
    assert dataset.features == ("depth", "length", "verb")
    assert dataset.lengths.tolist() == [4, 2, 6]
    assert dataset.group_codes[0] == dataset.group_codes[2] != dataset.group_codes[1]
    assert [t.tolist() for t in dataset.tokens(np.array([2, 0]))] == [TOKENS[2], TOKENS[0]]
    assert dataset.tokens(np.array([1]))[0].dtype == np.int32
    for name, (kind, *columns) in ROWS.items():
        probes = dataset.feature_probes(name)
        assert dataset.description.features[name].kind == kind
        assert [column.tolist() for column in probes] == columns
        assert [column.dtype for column in probes] == [np.int64, np.int64, np.float64]


def test_contents():
    dataset = build()
    check_contents(dataset)
    d = dataset.description
    assert (d.n_sequences, d.n_tokens) == (3, 12)
    assert d.features["verb"].counts == {"-1": 1, "1": 2}
    assert d.features["depth"].counts == {"0": 1, "4": 1}
    assert d.features["length"].counts == {}


def test_save_and_load(tmp_path):
    dataset = build()
    dataset.save(tmp_path / dataset.name)
    loaded = load_feature_dataset(dataset.name, tmp_path)
    check_contents(loaded)
    assert loaded.description == dataset.description
    assert load_feature_dataset(str(tmp_path / dataset.name), Path("elsewhere")).description == dataset.description


@st.composite
def small_datasets(draw):
    texts = draw(st.lists(st.lists(st.integers(0, 2**31 - 1), min_size=2, max_size=6), min_size=1, max_size=6))
    groups = draw(st.lists(st.text(max_size=4), min_size=len(texts), max_size=len(texts)))
    places = [(s, p) for s, tokens in enumerate(texts) for p in range(len(tokens))]
    probed = draw(st.lists(st.sampled_from(places), min_size=1, unique=True))
    labels = draw(st.lists(st.sampled_from([-1.0, 1.0]), min_size=len(probed), max_size=len(probed)))
    return texts, groups, [s for s, _ in probed], [p for _, p in probed], labels


@settings(max_examples=15)
@given(small_datasets())
def test_round_trip_of_any_data_set(tmp_path_factory, case):
    texts, groups, *columns = case
    path = tmp_path_factory.mktemp("round_trip") / "d"
    build(texts, groups, {"f": ("binary", *columns)}).save(path)
    loaded = load_feature_dataset("d", path.parent)
    assert [t.tolist() for t in loaded.tokens(np.arange(len(texts)))] == texts
    assert list(loaded.sequences["group"]) == groups
    assert [column.tolist() for column in loaded.feature_probes("f")] == columns
    codes = loaded.group_codes
    assert all((codes[i] == codes[j]) == (groups[i] == groups[j]) for i in range(len(texts)) for j in range(i))


def test_saving_replaces(tmp_path):
    build().save(tmp_path / "d")
    changed = build(groups=["a", "b", "c"])
    changed.save(tmp_path / "d")
    assert load_feature_dataset("d", tmp_path).description == changed.description
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_unknown_feature_names_those_that_exist():
    with pytest.raises(DatasetError, match=r"hand\.made\.6\.-1 has no feature noun; it has: depth, length, verb\."):
        build().feature_probes("noun")
    with pytest.raises(DatasetError, match="no feature adverb, noun;"):
        build().check_features(["verb", "noun", "adverb"])


def test_the_nearest_of_many_features_are_listed_first():
    labels = {(0, 1): 1.0, (1, 1): -1.0}
    names = [f"starts_with_{letter}" for letter in "abcdefghijklm"]
    dataset = dataset_with_labels(dict.fromkeys([*names, "ends_with_ness"], labels))
    with pytest.raises(DatasetError, match=r"has no feature end_with_nes; it has: ends_with_ness, starts_with_\w"):
        dataset.feature_probes("end_with_nes")
    with pytest.raises(DatasetError, match="it has: starts_with_k, "):
        dataset.feature_probes("starts_wth_k")


def test_repr_names_features_with_kinds_and_counts():
    assert repr(build()) == (
        "FeatureDataset hand.made.6.-1: 3 sequences, context length 6, 3 features\n"
        "  depth: multiclass, 0: 1, 4: 1\n"
        "  length: regression, 3 rows\n"
        "  verb: binary, 2 positive, 1 negative"
    )
    many = dataset_with_labels({f"f{i:02d}": {(0, 1): 1.0, (1, 1): -1.0} for i in range(40)})
    assert repr(many).splitlines()[-1] == "  and 28 more"
    assert len(repr(many)) < 1000


def test_unknown_data_set_names_those_that_exist(tmp_path):
    with pytest.raises(DatasetError, match=r"no feature data set 'x' in .*; it holds none\."):
        load_feature_dataset("x", tmp_path)
    build().save(tmp_path / "mine")
    with pytest.raises(DatasetError, match="it holds: mine. Make one with `python -m probing_datasets make`"):
        load_feature_dataset("x", tmp_path)


def change(columns: str, index: int, value: float) -> dict:
    kind, *lists = ROWS[columns]
    lists = [list(values) for values in lists]
    lists[index][1] = value
    return {**ROWS, columns: (kind, *lists)}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (change("verb", 2, 0), "feature verb: probe 1 has a label that is not binary"),
        (change("verb", 2, np.nan), "feature verb: probe 1 has a label that is not binary"),
        (change("depth", 2, np.nan), "feature depth: probe 1 has a label that is not multiclass"),
        (change("depth", 2, -1), "feature depth: probe 1 has a label that is not multiclass"),
        (change("depth", 2, 0.5), "feature depth: probe 1 has a label that is not multiclass"),
        (change("length", 2, np.nan), "feature length: probe 1 has a label that is not regression"),
        (change("length", 2, np.inf), "feature length: probe 1 has a label that is not regression"),
        (change("verb", 0, 3), "feature verb: probe 1 names no sequence"),
        (change("verb", 0, -1), "feature verb: probe 1 names no sequence"),
        (change("verb", 1, 4), "feature verb: probe 1 is outside its sequence"),
        (change("verb", 1, -1), "feature verb: probe 1 is outside its sequence"),
        (change("verb", 1, 1), "feature verb: a position is labelled twice"),
        ({}, "has no feature left. one note."),
    ],
)
def test_invalid_probes(rows, message):
    with pytest.raises(DatasetError, match=message):
        build(rows=rows)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([[9, 1, 2, 3], [9], [9, 5, 6, 7, 8, 1]], r"sequence 1 has no token besides the special ones \(1 in all\)"),
        ([[9, 1, 2, 3], [9, 4], [9] * 7], "sequence 2 is longer than the context length"),
    ],
)
def test_invalid_sequences(tokens, message):
    with pytest.raises(DatasetError, match=message):
        build(tokens=tokens)


def test_the_same_content_is_the_same_bytes(tmp_path):
    build().save(tmp_path / "a")
    build().save(tmp_path / "b")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert len(files_of(tmp_path / "a")) == 7


OTHER_CONTENTS = {
    "token": {"tokens": [[9, 1, 2, 4], *TOKENS[1:]]},
    "cut": {"tokens": [[9, 1, 2, 3, 4], *TOKENS[1:]]},
    "group": {"groups": ["page", "mail", "pages"]},
    "moved letter": {"groups": ["pag", "email", "page"]},
    "position": {"rows": change("verb", 1, 2)},
    "label": {"rows": change("verb", 2, 1)},
    "feature name": {"rows": {**{k: v for k, v in ROWS.items() if k != "verb"}, "verbs": ROWS["verb"]}},
    "tokenizer": {"description": replace(DESCRIPTION, tokenizer_hash="abd")},
    "prefix": {"description": replace(DESCRIPTION, n_prefix=0)},
}


@pytest.mark.parametrize("what", OTHER_CONTENTS)
def test_other_content_has_another_hash(what):
    other = build(**OTHER_CONTENTS[what]).description.content_hash
    assert other != build().description.content_hash
    assert len(other) == 32


def test_where_and_when_it_was_made_does_not_change_the_hash():
    moved = replace(DESCRIPTION, tokenizer="/elsewhere/demo", provenance={"numpy": "9"}, options={})
    assert build(description=moved).description.content_hash == build().description.content_hash


def test_chunks_of_a_table_do_not_change_the_hash(tmp_path):
    dataset = build()
    dataset.save(tmp_path / "d")
    pieces = [dataset.sequences.select([i]) for i in range(3)]
    shutil.rmtree(tmp_path / "d" / "sequences")
    datasets.concatenate_datasets(pieces).save_to_disk(tmp_path / "d" / "sequences")
    check_contents(load_feature_dataset("d", tmp_path))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    build().save(tmp_path / "d")
    return tmp_path / "d"


FILES = sorted(
    [f"{table}/{name}" for table in ("sequences", "probes") for name in ("dataset_info.json", "state.json")]
    + [f"{table}/data-00000-of-00001.arrow" for table in ("sequences", "probes")]
    + ["description.json"]
)


@pytest.mark.parametrize("name", FILES)
def test_cut_and_missing_files(saved, name):
    file = saved / name
    whole = file.read_bytes()
    for keep in (0, len(whole) // 2, len(whole) - 10):
        file.write_bytes(whole[:keep])
        with pytest.raises(DatasetError, match=r"The data set in .* is damaged .*Make it again\."):
            load_feature_dataset("d", saved.parent)
    file.unlink()
    with pytest.raises(DatasetError, match="is damaged|There is no feature data set"):
        load_feature_dataset("d", saved.parent)


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        ("sequences", np.array([9, 1, 2, 3], np.int32).tobytes(), np.array([9, 1, 3, 2], np.int32).tobytes()),
        ("sequences", b"page", b"mage"),
        ("probes", np.array([1, -1, 1], np.float32).tobytes(), np.array([1, 1, -1], np.float32).tobytes()),
    ],
)
def test_edited_tables(saved, table, old, new):
    file = saved / table / "data-00000-of-00001.arrow"
    assert old in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(old, new))
    with pytest.raises(DatasetError, match=r"The content of .* is not what its description records\. Make it again\."):
        load_feature_dataset("d", saved.parent)


def edit_description(folder: Path, **values) -> None:
    """Change fields as a person with this package could: the file is sealed again."""
    path = folder / "description.json"
    write_sealed(path, unseal(path.read_bytes()) | values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"content_hash": "0"}, "is not what its description records"),
        ({"tokenizer_hash": "0"}, "is not what its description records"),
        ({"n_prefix": 0}, "is not what its description records"),
        ({"features": {}}, "is not what its description records"),
        ({"features": []}, "is damaged"),
        ({"unheard_of": 1}, "is damaged"),
        ({"tokenizer": 7}, "is damaged"),
        ({"options": None}, "is damaged"),
        ({"dropped": "abc"}, "is damaged"),
        ({"name": "../../escaped"}, "is damaged .*cannot be the name of a file"),
        ({"name": "/escaped"}, "is damaged .*cannot be the name of a file"),
        ({"format_version": 99}, f"has format 99, this version reads {FORMAT_VERSION}. Make it again."),
        ({"format_version": None}, "has format None"),
    ],
)
def test_edited_description(saved, values, message):
    edit_description(saved, **values)
    with pytest.raises(DatasetError, match=message):
        load_feature_dataset("d", saved.parent)


def test_every_flipped_bit_of_a_description_is_noticed(saved):
    path = saved / "description.json"
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1 << position % 8]) + data[position + 1 :])
        with pytest.raises(DatasetError):
            load_feature_dataset("d", saved.parent)


def test_a_description_without_a_seal_is_of_an_earlier_version_and_checked(saved):
    path = saved / "description.json"
    content = unseal(path.read_bytes())
    path.write_text(json.dumps(content))
    assert load_feature_dataset("d", saved.parent).description.seed == content["seed"]
    for text in (json.dumps(content | {"seed": "x"}), "null", "{}", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(DatasetError, match="Make it again"):
            load_feature_dataset("d", saved.parent)


def test_features_cannot_change_their_names(saved):
    features = unseal((saved / "description.json").read_bytes())["features"]
    edit_description(saved, features={**features, "verb": features["length"], "length": features["verb"]})
    with pytest.raises(DatasetError, match="is not what its description records"):
        load_feature_dataset("d", saved.parent)


def test_tables_of_something_else(saved):
    for table in ("sequences", "probes"):
        shutil.rmtree(saved / table)
        datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(saved / table)
    with pytest.raises(DatasetError, match="is damaged"):
        load_feature_dataset("d", saved.parent)


@pytest.mark.parametrize("name", [".", "", "../x"])
def test_a_data_set_without_a_name_replaces_no_folder(saved, name):
    dataset = load_feature_dataset("d", saved.parent)
    unnamed = replace(dataset, description=replace(dataset.description, name=name))
    with pytest.raises(DamagedFileError, match="cannot be the name of a file"):
        save_dataset(unnamed, saved.parent, overwrite=True)
    assert (saved / "description.json").is_file()
