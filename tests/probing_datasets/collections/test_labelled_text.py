"""The labels of any table: kinds of columns, probed tokens, groups, rows without labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.collections.labelled_text import LabelledTextConfig, build
from probing_datasets.feature_dataset.probed_rows import feature_rows, probed_rows
from probing_datasets.foundation.errors import DatasetError, SettingsError, SourceError, SplitError
from sparse_probing.config import SplitConfig
from sparse_probing.studies.base.feature_splits import split_rows
from tests.builders.datasets import decoded_sequences, squeeze
from tests.builders.sources import write_files, write_table

# Thirty messages of five people: who likes it, how many stars, what they write about.
ROWS = [
    {
        "text": f"{'Good' if good else 'Bad'} {thing} number {i}",
        "label": "yes" if good else "no",
        "stars": stars,
        "about": about,
        "author": f"author {i % 5}",
    }
    for i, (good, thing, stars, about) in enumerate(
        [
            (True, "tea", 5.0, ["drink"]),
            (False, "cake", 1.5, ["food"]),
            (True, "soup", 4.0, ["food", "drink"]),
            (False, "chair", 2.0, []),
            (True, "lamp", 3.5, []),
        ]
        * 6
    )
]


def settings(folder: Path, source: str, **options) -> LabelledTextConfig:
    return LabelledTextConfig(tokenizer=str(folder), source=source, min_positives=2, **options)


def texts_by_label(dataset, folder: Path, feature: str) -> dict[float, set[str]]:
    """The texts of each label, without spaces."""
    probes = dataset.feature_probes(feature)
    texts: dict[float, set[str]] = {}
    for text, label in zip(decoded_sequences(dataset, folder, probes.sequence), probes.label.tolist(), strict=True):
        texts.setdefault(label, set()).add(squeeze(text))
    return texts


def expected(condition) -> set[str]:
    """The texts of the rows that satisfy a condition, without spaces."""
    return {squeeze(row["text"]) for row in ROWS if condition(row)}


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_two_classes(tokenizer_dir, tmp_path, suffix):
    dataset = build(settings(tokenizer_dir, write_table(tmp_path / f"table{suffix}", ROWS)))
    assert dataset.features == ("label",)
    texts = texts_by_label(dataset, tokenizer_dir, "label")
    good, bad = expected(lambda row: row["label"] == "yes"), expected(lambda row: row["label"] == "no")
    assert texts[-1.0] == bad
    assert texts[1.0] <= good
    assert len(texts[1.0]) == 12  # as many as there are negatives


def test_several_label_columns_of_several_kinds(tokenizer_dirs, tmp_path):
    folder = tokenizer_dirs["byte_level_bpe"]
    options = {"further_labels": ("stars", "about", "author")}
    dataset = build(settings(folder, write_table(tmp_path / "table.parquet", ROWS), **options))
    kinds = {name: info.kind for name, info in dataset.description.features.items()}
    assert kinds == {
        "label": "binary",
        "stars": "multiclass",  # five different numbers
        "about: drink": "binary",
        "about: food": "binary",
        "author": "multiclass",
    }
    assert dataset.description.features["stars"].classes == ("1.5", "2", "3.5", "4", "5")
    assert texts_by_label(dataset, folder, "stars")[0.0] == expected(lambda row: row["stars"] == 1.5)
    assert texts_by_label(dataset, folder, "about: drink")[1.0] == expected(lambda row: "drink" in row["about"])
    assert texts_by_label(dataset, folder, "author")[3.0] == expected(lambda row: row["author"] == "author 3")


def test_numbers(tokenizer_dirs, tmp_path):
    folder = tokenizer_dirs["unigram"]
    config = settings(folder, write_table(tmp_path / "table.csv", ROWS), label_column="stars", label_kind="regression")
    dataset = build(config)
    assert dataset.description.features["stars"].kind == "regression"
    for stars, texts in texts_by_label(dataset, folder, "stars").items():
        assert texts == expected(lambda row, stars=stars: row["stars"] == stars)


def test_the_last_token_is_probed(tokenizer_dir, tmp_path):
    dataset = build(settings(tokenizer_dir, write_table(tmp_path / "table.csv", ROWS)))
    probes = dataset.feature_probes("label")
    assert np.array_equal(probes.position, dataset.lengths[probes.sequence] - dataset.description.n_suffix - 1)


def test_the_end_of_a_long_text_is_kept(tokenizer_dir, tmp_path):
    rows = [{**row, "text": "word " * 200 + row["text"]} for row in ROWS]
    dataset = build(settings(tokenizer_dir, write_table(tmp_path / "table.csv", rows), context_length=30))
    tokenizer, d = load_tokenizer(str(tokenizer_dir)), dataset.description
    ends = tokenizer.batch_decode([t[: len(t) - d.n_suffix] for t in dataset.tokens(np.arange(d.n_sequences))])
    assert all(end.replace(" ", "").endswith(f"number{i}") for i, end in enumerate(ends))
    assert set(dataset.lengths) == {30}


def test_some_tokens(tokenizer_dir, tmp_path):
    config = settings(
        tokenizer_dir, write_table(tmp_path / "table.csv", ROWS), probed_tokens="some", positions_per_sequence=3
    )
    dataset = build(config)
    probes = dataset.feature_probes("label")
    assert np.bincount(probes.sequence).max() == 3
    first, stop = dataset.description.n_prefix, dataset.lengths[probes.sequence] - dataset.description.n_suffix
    assert ((first <= probes.position) & (probes.position < stop)).all()


def test_groups_are_those_of_the_column(tokenizer_dirs, tmp_path):
    folder = tokenizer_dirs["wordpiece"]
    dataset = build(settings(folder, write_table(tmp_path / "table.csv", ROWS), group_column="author"))
    assert sorted(set(dataset.sequences["group"])) == [f"author {i}" for i in range(5)]


def test_the_same_text_is_one_group(tokenizer_dirs, tmp_path):
    folder = tokenizer_dirs["wordpiece"]
    dataset = build(settings(folder, write_table(tmp_path / "table.csv", ROWS + ROWS)))
    assert dataset.description.n_sequences == 60
    assert len(set(dataset.sequences["group"])) == 30


def test_rows_without_a_label(tokenizer_dirs, tmp_path):
    folder = tokenizer_dirs["wordpiece"]
    rows = [*ROWS, {**ROWS[0], "label": None}, {**ROWS[0], "label": ""}, {**ROWS[0], "text": ""}]
    dataset = build(settings(folder, write_table(tmp_path / "table.jsonl", rows)))
    assert dataset.description.n_sequences == 30
    assert dataset.description.dropped == ("3 rows have no text or no label.",)


def test_a_row_may_have_one_label_of_two(tokenizer_dirs, tmp_path):
    folder = tokenizer_dirs["wordpiece"]
    rows = [{**row, "label": None} if i < 5 else row for i, row in enumerate(ROWS)]
    rows.append({**ROWS[0], "label": None, "author": None})
    dataset = build(settings(folder, write_table(tmp_path / "table.jsonl", rows), further_labels=("author",)))
    assert dataset.description.dropped == ("1 texts have no label.",)
    assert set(dataset.feature_probes("author").sequence) == set(range(30))
    assert min(dataset.feature_probes("label").sequence) == 5


def test_one_value_against_the_rest(tokenizer_dirs, tmp_path):
    folder = tokenizer_dirs["byte_level_bpe"]
    config = settings(
        folder, write_table(tmp_path / "table.csv", ROWS), label_column="author", positive_label="author 3"
    )
    dataset = build(config)
    assert dataset.features == ("author: author 3",)
    texts = texts_by_label(dataset, folder, "author: author 3")
    assert texts[1.0] == expected(lambda row: row["author"] == "author 3")


def test_the_columns_of_sae_probes(tokenizer_dirs, tmp_path):
    rows = [{"prompt": f"Name{i} Family", "prompt_len": 2, "target": i % 2} for i in range(40)]
    config = LabelledTextConfig(
        tokenizer=str(tokenizer_dirs["byte_level_bpe"]),
        source=write_table(tmp_path / "5_hist_fig_ismale.csv", rows),
        text_column="prompt",
        label_column="target",
    )
    dataset = build(config)
    assert dataset.description.features["target"].counts == {"-1": 20, "1": 20}


def test_a_name_for_the_data_set(tokenizer_dirs, tmp_path):
    folder, source = tokenizer_dirs["wordpiece"], write_table(tmp_path / "table.csv", ROWS)
    dataset = build(settings(folder, source, name="5_hist_fig_ismale"))
    assert dataset.name == "5_hist_fig_ismale.wordpiece.48.-1"
    assert dataset.description.collection == "labelled_text"
    assert build(settings(folder, source)).name == "labelled_text.wordpiece.48.-1"


def test_a_name_for_the_feature(tokenizer_dirs, tmp_path):
    source = write_table(tmp_path / "table.csv", ROWS)
    options = {"feature_name": "liked/enjoyed", "further_labels": ("author",)}
    dataset = build(settings(tokenizer_dirs["wordpiece"], source, **options))
    assert dataset.features == ("author", "liked/enjoyed")


def test_a_given_split_is_that_of_stage_2(tokenizer_dirs, tmp_path):
    parts = ("train", "Test", "dev")
    rows = [{**row, "part": parts[i % 3]} for i, row in enumerate(ROWS)] + [{**ROWS[0], "part": ""}]
    source = write_table(tmp_path / "table.csv", rows)
    dataset = build(settings(tokenizer_dirs["wordpiece"], source, split_column="part"))
    assert dataset.sequences["split"][:] == ["train", "test", "validation"] * 10
    assert "1 texts are in no part of the split (--split_column)." in dataset.description.dropped[0]

    rows = feature_rows(dataset, "label", probed_rows(dataset, "last"), "last")
    (split,) = split_rows("label", "binary", rows, SplitConfig(), seed=0)
    assert set(rows.sequence[split.split.test] % 3) == {1}
    assert set(rows.sequence[split.split.train] % 3) == {0, 2}
    with_folds = split_rows("label", "binary", rows, SplitConfig(test_folds=3), seed=0)
    assert len(with_folds) == 3

    only_one = replace(rows, in_test=rows.label > 0)
    with pytest.raises(SplitError, match="has no training rows of label 1"):
        split_rows("label", "binary", only_one, SplitConfig(), seed=0)


def test_groups_on_both_sides_of_a_given_split_are_counted(tokenizer_dirs, tmp_path):
    rows = [{**row, "part": part} for row in ROWS for part in ("train", "test")]
    source = write_table(tmp_path / "table.csv", rows)
    dataset = build(settings(tokenizer_dirs["wordpiece"], source, split_column="part"))
    n_groups = len(set(dataset.sequences["group"]))
    assert f"{n_groups} groups are on both sides of the given split" in dataset.description.dropped[-1]


@pytest.mark.parametrize(
    ("parts", "message"),
    [(("train", "holdout"), "holds 'holdout', which is not one of"), (("train",), "needs train and")],
)
def test_a_split_that_cannot_be_used(tokenizer_dirs, tmp_path, parts, message):
    rows = [{**row, "part": parts[i % len(parts)]} for i, row in enumerate(ROWS)]
    source = write_table(tmp_path / "table.csv", rows)
    with pytest.raises(DatasetError, match=message):
        build(settings(tokenizer_dirs["wordpiece"], source, split_column="part"))


def test_a_folder_with_a_folder_of_texts_for_each_label(tokenizer_dirs, tmp_path):
    folder = tokenizer_dirs["byte_level_bpe"]
    files = {f"{row['label']}/{i}.txt": row["text"] + "\n" for i, row in enumerate(ROWS)}
    dataset = build(settings(folder, str(write_files(tmp_path / "texts", files))))
    assert dataset.features == ("label",)
    assert texts_by_label(dataset, folder, "label")[-1.0] == expected(lambda row: row["label"] == "no")


def test_a_table_of_text_files(tokenizer_dirs, tmp_path):
    folder = tokenizer_dirs["byte_level_bpe"]
    files = {f"texts/{i}.txt": row["text"] for i, row in enumerate(ROWS)}
    source = write_files(tmp_path, files) / "labels.tsv"
    source.write_text("path\tlabel\n" + "".join(f"texts/{i}.txt\t{row['label']}\n" for i, row in enumerate(ROWS)))
    dataset = build(settings(folder, str(source), file_column="path"))
    assert texts_by_label(dataset, folder, "label")[-1.0] == expected(lambda row: row["label"] == "no")


def test_several_tables(tokenizer_dirs, tmp_path):
    folder = tokenizer_dirs["wordpiece"]
    tables = tuple(write_table(tmp_path / f"{i}.csv", ROWS[i::3]) for i in range(3))
    dataset = build(settings(folder, tables))
    assert dataset.description.n_sequences == len(ROWS)
    assert dataset.description.options["source"] == list(tables)


def test_missing_labels_of_a_csv(tokenizer_dirs, tmp_path):
    rows = [{**row, "label": ("NA", "None", "nan")[i % 3] if i < 6 else row["label"]} for i, row in enumerate(ROWS)]
    source = write_table(tmp_path / "table.csv", rows)
    dataset = build(settings(tokenizer_dirs["wordpiece"], source))
    assert dataset.description.n_sequences == 24
    assert dataset.description.features["label"].kind == "binary"
    notes = " ".join(dataset.description.dropped)
    assert "6 rows have no text or no label." in notes
    assert "2 cells of 'label' are 'NA', which means none (--missing_labels)." in notes
    kept = build(settings(tokenizer_dirs["wordpiece"], source, missing_labels=()))
    assert kept.description.features["label"].classes == ("NA", "None", "nan", "no", "yes")


def test_texts_with_equal_tokens_are_one_group(tokenizer_dirs, tmp_path):
    """WordPiece drops white space and control characters: texts that differ in these only have equal tokens."""
    rows = [*ROWS, *({**row, "text": row["text"].replace(" ", "\t ")} for row in ROWS)]
    dataset = build(settings(tokenizer_dirs["wordpiece"], write_table(tmp_path / "table.jsonl", rows)))
    assert dataset.description.n_sequences == 60
    assert len(set(dataset.sequences["group"])) == 30
    assert "30 sequences have the tokens of one in another group" in " ".join(dataset.description.dropped)


@pytest.mark.parametrize("name", ["a.b", "../a", "a b"])
def test_names_that_are_not_valid(name):
    with pytest.raises(SettingsError, match="--name must consist of letters, digits, _ and -, not"):
        LabelledTextConfig(name=name)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"label_column": "liked"}, SourceError, "has no column 'liked'"),
        ({"further_labels": ("liked",)}, SourceError, "has no column 'liked'"),
        ({"label_column": "author", "label_kind": "binary"}, DatasetError, "have 5 values.*--positive_label"),
        ({"label_column": "author", "label_kind": "regression"}, DatasetError, "are not all numbers: 'author 0'"),
        ({"positive_label": "maybe"}, DatasetError, "--positive_label 'maybe'; it has: no, yes"),
    ],
)
def test_what_cannot_be_probed(tokenizer_dirs, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        build(settings(tokenizer_dirs["wordpiece"], write_table(tmp_path / "table.csv", ROWS), **options))
