"""Import of data sets in the columns of the paper's code, which the tests save with `datasets` like that code."""

from pathlib import Path

import datasets
import numpy as np
import pytest

from probing_datasets.__main__ import main
from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.feature_dataset import load_feature_dataset
from probing_datasets.foundation.errors import DamagedFileError, DatasetError, SettingsError, SourceError
from probing_datasets.paper_format import ImportConfig, import_dataset
from tests.builders.datasets import rows_of
from tests.builders.sources import write_files

CONTEXT = 8
BOS, PAD = 0, 600  # the paper adds a padding token after the vocabulary if there is none
TOKENS = [[BOS, 5, 6, 7, 8, 9, 10, 11], [BOS, 5, 6, 7, PAD, PAD, PAD, PAD], [BOS, 12, 13, 14, 15, 16, PAD, PAD]]


@pytest.fixture
def published(tmp_path, tiny_model_dir):
    """A function that saves columns as the paper does, and imports them."""

    def run(name: str = "text_features.pyth.8.-1", tokens=TOKENS, **settings):
        columns = settings.pop("columns")
        dataset = datasets.Dataset.from_dict({"tokens": tokens, **columns})
        dataset.set_format("torch")
        folder = tmp_path / name
        dataset.save_to_disk(folder)
        return import_dataset(ImportConfig(folder, str(tiny_model_dir), **settings))

    return run


def test_marked_positions(published):
    columns = {
        "digit|probe_indices": [[1, 3], [], [2]],
        "digit|probe_classes": [[1, -1], [], [1]],
        "head|probe_indices": [[2], [1], [4]],
        "head|probe_classes": [[0], [3], [1]],
        "never|probe_indices": [[], [], []],
        "never|probe_classes": [[], [], []],
    }
    dataset = published(columns=columns)
    assert dataset.features == ("digit", "head")
    assert rows_of(dataset, "digit") == [(0, 1, 1), (0, 3, -1), (2, 2, 1)]
    assert dataset.description.features["head"].kind == "multiclass"
    assert rows_of(dataset, "head") == [(0, 2, 0), (1, 1, 3), (2, 4, 1)]
    assert [t.tolist() for t in dataset.tokens(np.arange(3))] == [TOKENS[0], TOKENS[1][:4], TOKENS[2][:6]]
    assert (dataset.description.n_prefix, dataset.description.context_length) == (1, CONTEXT)
    assert dataset.name == "text_features.pyth.8.-1"
    assert "every sequence is its own group" in dataset.description.dropped[0]
    assert len(set(dataset.group_codes)) == 3


@pytest.mark.parametrize("column", ["lang", "distribution"])
def test_a_value_for_each_sequence(published, column):
    columns = {column: ["C", "Go", "C"], "probe_indices": [[5, 7], [2, 3], [3, 4]], "valid_indices": [[5, 6, 7]] * 3}
    dataset = published("programming_lang_id.pyth.8.-1", columns=columns)
    assert dataset.features == ("C", "Go")
    assert rows_of(dataset, "C") == [(0, 5, 1), (0, 7, 1), (1, 2, -1), (1, 3, -1), (2, 3, 1), (2, 4, 1)]
    assert [label for *_, label in rows_of(dataset, "Go")] == [-1, -1, 1, 1, -1, -1]


def test_bigrams(published):
    names = ["high-school"] * 2 + ["living-room"] * 2
    labels = ["bigram", "missing_first", "missing_second", "bigram"]
    tokens = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 1, 1]]
    dataset = published("compound_words.pyth.3.-1", tokens, columns={"label": labels, "feature_name": names})
    assert rows_of(dataset, "high-school") == [(0, 2, 1), (1, 2, -1)]
    assert rows_of(dataset, "living-room") == [(2, 2, -1), (3, 2, 1)]
    assert dataset.description.n_prefix == 0


def test_statements_names_and_positions(published):
    dataset = published("counterfact.pyth.8.-1", columns={"text_true": [True, False, True], "target_end": [8, 4, 5]})
    assert rows_of(dataset, "text_true") == [(0, 7, 1), (1, 3, -1), (2, 4, 1)]
    columns = {"class": ["female", "male", "female"], "surname_index_end": [3, 2, 5], "surname_index_start": [3, 1, 4]}
    dataset = published("wikidata_sex_or_gender.pyth.8.-1", columns=columns)
    assert rows_of(dataset, "male") == [(0, 3, -1), (1, 2, 1), (2, 5, -1)]
    mask = np.zeros((3, CONTEXT), bool)
    mask[[0, 1], [4, 2]] = True
    columns = {"index_mask": mask, "abs_pos": [np.arange(8.0)] * 3, "log_pos": [np.log2(np.arange(8) + 1.0)] * 3}
    dataset = published("position.pyth.8.-1", columns=columns)
    assert rows_of(dataset, "abs_pos") == [(0, 4, 4), (1, 2, 2)]
    assert dataset.description.features["log_pos"].kind == "regression"


def test_plain_sequences_are_probed_at_their_last_token(published):
    dataset = published("pile_test.pyth.8.-1", [TOKENS[0]] * 3, columns={"distribution": ["a", "b", "a"]})
    assert rows_of(dataset, "a") == [(0, 7, 1), (1, 7, -1), (2, 7, 1)]


def test_the_last_token_of_a_padded_sequence_is_its_last_of_text(published):
    dataset = published("pile_test.pyth.8.-1", columns={"distribution": ["a", "b", "a"]})
    assert rows_of(dataset, "a") == [(0, 7, 1), (1, 3, -1), (2, 5, 1)]
    assert dataset.lengths.tolist() == [8, 4, 6]


def test_padding_that_is_probed_is_kept(published):
    dataset = published(
        columns={"x|probe_indices": [[1], [5], [2]], "x|probe_classes": [[1], [-1], [1]]},
        tokens=[[BOS, 5, 6, 7, 0, 0, 0, 0]] * 3,
    )  # it pads with the end-of-text token
    assert dataset.lengths.tolist() == [4, 6, 4]


def test_groups_and_command_line(published, tmp_path, tiny_model_dir, capsys):
    columns = {"x|probe_indices": [[1], [1], [2]], "x|probe_classes": [[1], [-1], [1]], "doc": ["a", "b", "a"]}
    dataset = published(columns=columns, group_column="doc")
    assert dataset.group_codes.tolist() == [0, 1, 0]
    assert dataset.description.dropped == ()
    folder = tmp_path / dataset.name
    command = ["import", str(folder), "--tokenizer", str(tiny_model_dir), "--name", "mine.tiny.8.-1"]
    assert main([*command, "--group_column", "doc"]) == 0
    assert "mine.tiny.8.-1: 3 sequences, 18 tokens, 2 groups" in capsys.readouterr().out
    loaded = load_feature_dataset("mine.tiny.8.-1", tmp_path / "feature_datasets")
    assert loaded.description.content_hash == dataset.description.content_hash
    assert main([*command, "--group_column", "page"]) == 1
    assert "has no column 'page'; it has: tokens, x|probe_indices" in capsys.readouterr().err


def test_folders_and_columns_that_cannot_be_imported(published, tmp_path, tiny_model_dir):
    with pytest.raises(
        DatasetError, match=r"tokens, other\) do not fit any layout of the paper. Known layouts: <feature>"
    ):
        published(columns={"other": [1, 2, 3]})
    with pytest.raises(DatasetError, match="x has 1 indices and 2 classes"):
        published(columns={"x|probe_indices": [[1], [], []], "x|probe_classes": [[1, 1], [], []]})
    with pytest.raises(SettingsError, match="tokens that are not in the vocabulary of .*tiny. Check --tokenizer"):
        published(tokens=[[0, 700, 5]] * 2, columns={"distribution": ["a", "b"]})
    with pytest.raises(SourceError, match="is not a folder that `datasets` saved"):
        import_dataset(ImportConfig(tmp_path, str(tiny_model_dir)))
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "texts")
    with pytest.raises(SourceError, match="it has no column `tokens`"):
        import_dataset(ImportConfig(tmp_path / "texts", str(tiny_model_dir)))


def test_a_data_set_of_other_content_is_not_replaced(published):
    columns = {"x|probe_indices": [[1], [1], [2]], "x|probe_classes": [[1], [-1], [1]]}
    published(columns=columns)
    with pytest.raises(DatasetError, match="holds a data set of other content"):
        published(columns={**columns, "x|probe_classes": [[1], [1], [-1]]})
    published(columns={**columns, "x|probe_classes": [[1], [1], [-1]]}, overwrite=True)


@pytest.mark.parametrize("name", [".", "..", "../elsewhere", "/elsewhere", "a/b", "a\x1b[31m"])
def test_a_name_that_is_not_one_folder_is_refused_before_the_work(tmp_path, name):
    with pytest.raises(DamagedFileError, match="--name contains the name .* cannot be the name of a file"):
        import_dataset(ImportConfig(tmp_path / "none", "demo", name=name))


def test_a_folder_of_other_files_is_not_replaced(published, tmp_path):
    write_files(tmp_path, {"out/mine/notes.txt": "text"})
    with pytest.raises(DatasetError, match=r"mine is not a data set: it holds notes.txt. Pass --name or --output_dir"):
        published(columns={"distribution": ["a", "b", "a"]}, name="mine", output_dir=tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "mine" / "notes.txt").read_text() == "text"


def test_vocabulary_of_the_test(tiny_model_dir: Path):
    assert len(load_tokenizer(str(tiny_model_dir))) == PAD
