"""Published tables of ranked neurons: chosen by model, collection, feature and layer, and checked before use."""

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from probing_datasets.foundation.errors import CorruptTableError, TableError
from sparse_probing.neurons.load import load_neurons
from sparse_probing.neurons.ranked_neurons import CSV_COLUMNS

SHIPPED = Path(__file__).parents[3] / "interpretable_neurons"


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(SHIPPED, tmp_path / "neurons")


def test_all_tables_of_a_model(folder):
    table = load_neurons("demo", folder=folder)
    assert tuple(table.columns) == CSV_COLUMNS
    assert set(table["dataset"]) == {"natural_lang_id.demo.256.-1", "programming_lang_id.demo.256.-1"}
    assert len(table) == 18 * 100


def test_one_collection_feature_and_layer(folder):
    table = load_neurons("demo", "natural_lang_id", feature="German", layer=2, folder=folder)
    assert set(table["feature"]) == {"German"}
    assert set(table["layer"]) == {2}
    assert load_neurons("demo", "natural_lang_id.demo.256.-1", "German", 2, folder).equals(table)


def test_a_feature_may_have_the_name_of_a_missing_value(folder):
    (path,) = (folder / "demo").glob("natural*.csv")
    path.write_text(path.read_text().replace(",German,", ",None,"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  demo/{path.name}"]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    table = load_neurons("demo", feature="None", folder=folder)
    assert len(table) == 100
    assert table["test_f1_score"].dtype == float


def test_the_folder_comes_from_the_environment(folder, monkeypatch):
    monkeypatch.setenv("INTERPRETABLE_NEURONS_DIR", str(folder))
    (folder / "demo").rename(folder / "mine")
    (folder / "SHA256SUMS").write_text((folder / "SHA256SUMS").read_text().replace("  demo/", "  mine/"))
    assert len(load_neurons("mine")) == 18 * 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gpt2",), "no neurons of 'gpt2' in .* It has: demo, demo\\+random0"),
        (("demo", "ewt"), "no neurons of 'demo' for 'ewt' in .* It has: natural_lang_id, programming_lang_id"),
        (("demo", "natural_lang_id", "Klingon"), "No row has feature 'Klingon'; there are: Dutch, English"),
        (("demo", "natural_lang_id", "German", 9), "No row has layer 9; there are: "),
    ],
)
def test_what_does_not_exist_is_answered_with_what_does(folder, arguments, message):
    with pytest.raises(TableError, match=message):
        load_neurons(*arguments, folder=folder)


def test_one_flipped_bit_is_found(folder):
    (path, *_) = sorted((folder / "demo").iterdir())
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptTableError, match=re.escape(f"{path} does not have the checksum")):
        load_neurons("demo", folder=folder)
    path.unlink()
    with pytest.raises(CorruptTableError, match="is listed in SHA256SUMS and missing"):
        load_neurons("demo", folder=folder)


@pytest.mark.parametrize(
    "line",
    [
        "0" * 64 + "  ../outside/x.csv",
        "0" * 64 + "  /etc/passwd",
        "0" * 64 + "  demo/\x1b[2J.csv",
        "nothing",
        "abc  demo/x.csv",
    ],
)
def test_a_checksum_file_names_only_files_below_its_folder(folder, line):
    (folder / "SHA256SUMS").write_text(line + "\n")
    with pytest.raises(CorruptTableError, match="not a checksum and a file"):
        load_neurons("demo", folder=folder)


def test_a_checksum_file_that_is_not_text_is_one_sentence(folder):
    content = bytearray((folder / "SHA256SUMS").read_bytes())
    content[70] ^= 128
    (folder / "SHA256SUMS").write_bytes(content)
    with pytest.raises(CorruptTableError, match=r"not a checksum and a file: '[0-9a-f]{64}.* Restore it, or delete it"):
        load_neurons("demo", folder=folder)


def test_a_folder_without_tables(tmp_path):
    with pytest.raises(TableError, match="no SHA256SUMS"):
        load_neurons("demo", folder=tmp_path)
