"""Folders that `datasets` saved: what is not there, or outside of the folder, is refused by every reader."""

import json
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest

from probing_datasets.feature_dataset import load_feature_dataset
from probing_datasets.foundation.errors import DamagedFileError, DatasetError, SourceError
from probing_datasets.foundation.files.saved_datasets import is_saved_dataset, load_saved_dataset
from probing_datasets.paper_format import ImportConfig, import_dataset
from probing_datasets.sources.hugging_face_tables import open_saved_dataset
from probing_datasets.sources.table_files import PLAIN
from tests.builders.datasets import dataset_with_labels
from tests.builders.odd_paths import put_odd

ROWS = {"text": ["a", "b"]}


def name_files(folder: Path, *names: str) -> None:
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps(state | {"_data_files": [{"filename": name} for name in names]}))


def with_a_pipe(folder: Path) -> None:
    put_odd("pipe", folder / "rows.arrow")
    name_files(folder, "rows.arrow")


DAMAGE: dict[str, Callable[[Path], None]] = {
    "names a pipe": with_a_pipe,
    "names a device": lambda folder: name_files(folder, "/dev/zero"),
    "names a file outside": lambda folder: name_files(folder, "../outside.arrow"),
    "names no file": name_files,
    "names a file that is missing": lambda folder: name_files(folder, "none.arrow"),
    "state of endless depth": lambda folder: (folder / "state.json").write_text("[" * 100_000),
    "info of endless depth": lambda folder: (folder / "dataset_info.json").write_text('{"features":' + "[" * 100_000),
    "info is a pipe": lambda folder: put_odd("pipe", folder / "dataset_info.json"),
    "state is a pipe": lambda folder: put_odd("pipe", folder / "state.json"),
    "splits are a pipe": lambda folder: put_odd("pipe", folder / "dataset_dict.json"),
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    datasets.Dataset.from_dict(ROWS).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize("splits", [False, True])
def test_what_was_saved_is_loaded(tmp_path, splits):
    rows = datasets.Dataset.from_dict(ROWS)
    (datasets.DatasetDict({"train": rows}) if splits else rows).save_to_disk(tmp_path / "saved")
    loaded = load_saved_dataset(tmp_path / "saved")
    assert (loaded["train"] if splits else loaded).to_dict() == ROWS
    assert is_saved_dataset(tmp_path / "saved")
    assert not is_saved_dataset(tmp_path)


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_was_changed_is_refused(saved, damage):
    DAMAGE[damage](saved)
    with pytest.raises(DamagedFileError) as error:
        load_saved_dataset(saved)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", ["names a pipe", "state of endless depth", "info is a pipe"])
def test_every_reader_refuses_it(saved, tmp_path, damage):
    DAMAGE[damage](saved)
    with pytest.raises(SourceError, match="is not a folder that `datasets` saved: ."):
        import_dataset(ImportConfig(saved, "demo"))
    if damage != "info is a pipe":  # such a folder is not taken for one that `datasets` saved
        with pytest.raises(SourceError, match="is a damaged folder of `datasets`: ."):
            open_saved_dataset(saved, PLAIN)
    for part in ("sequences", "probes"):
        dataset_with_labels({"noun": {(0, 1): 1.0, (0, 2): -1.0}}, lengths=(5,)).save(tmp_path / "d")
        DAMAGE[damage](tmp_path / "d" / part)
        with pytest.raises(DatasetError, match=r"is damaged .* Make it again"):
            load_feature_dataset("d", tmp_path)
