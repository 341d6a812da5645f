"""What stage 1 refuses: each error names the place and the remedy, and finished work is kept."""

import json
import resource
import shutil
import subprocess
from collections import namedtuple
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from probing_datasets.foundation.errors import ActivationError, DatasetError, ModelError, StoreError
from probing_datasets.foundation.files.sealed_json import unseal, write_sealed
from sparse_probing.activations.harvest import harvest
from sparse_probing.activations.harvesting import existing_stores
from sparse_probing.activations.stores import ZarrStore


@pytest.fixture
def config(tiny_harvest, small_parts):
    return tiny_harvest.with_flags(activation_aggregation="mean")


@pytest.fixture
def model_copy(tiny_model_dir, tmp_path):
    """A copy of the tiny model under the same name, to be changed."""
    return shutil.copytree(tiny_model_dir, tmp_path / "copy" / "tiny")


def change_weights(folder, change):
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        change(model.get_submodule("gpt_neox.layers.1.mlp.dense_h_to_4h"))
    model.save_pretrained(folder)


@pytest.mark.parametrize(
    ("aggregation", "value"),
    [("none", "nan"), ("mean", "nan"), ("max", "nan"), ("last", "nan"), ("none", "inf"), ("mean", "inf")],
)
def test_weights_that_are_not_numbers(config, model_copy, aggregation, value):
    change_weights(model_copy, lambda matrix: matrix.bias[5].fill_(float(value)))
    changed = config.with_flags(model=str(model_copy), activation_aggregation=aggregation)
    with pytest.raises(ActivationError, match=r"layer 1, mlp.hook_post of .* NaN or infinite.*check its weights"):
        harvest(changed)
    assert ZarrStore.open(changed.store_folder()).open_parts()[0] == 0


def test_activations_too_large_for_the_precision(config, model_copy):
    change_weights(model_copy, lambda matrix: matrix.weight.mul_(1e7))
    large = config.with_flags(model=str(model_copy))
    with pytest.raises(
        ActivationError, match=r"layer 1, .* exceed 65504, .*--output_precision bf16 or 32 with --overwr"
    ):
        harvest(large)
    precise = harvest(large.with_flags(output_precision="32", overwrite=True)).read(1)
    coarse = harvest(large.with_flags(output_precision="bf16", overwrite=True)).read(1)
    assert precise.max() > 65504
    np.testing.assert_allclose(coarse, precise, rtol=2**-8)


def test_a_tokenizer_that_differs(config, model_copy):
    tokenizer = AutoTokenizer.from_pretrained(model_copy)
    tokenizer.add_tokens(["zebra"])
    tokenizer.save_pretrained(model_copy)
    with pytest.raises(ModelError, match=r"tokenizer differs from that of .*Make the data set again with --tokenizer"):
        harvest(config.with_flags(model=str(model_copy)))
    assert not config.store_folder().exists()


def test_sequences_longer_than_the_model_takes(config, model_copy):
    settings = json.loads((model_copy / "config.json").read_text())
    (model_copy / "config.json").write_text(json.dumps(settings | {"max_position_embeddings": 32}))
    with pytest.raises(ModelError, match=r"sequences of 64 tokens, and .* takes 32.*--context_length 32"):
        harvest(config.with_flags(model=str(model_copy)))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": "no-such-model"}, ModelError, "'no-such-model'.*Pass `demo`, a local model folder"),
        ({"feature_dataset": "no.such.set"}, DatasetError, "no feature data set 'no.such.set'.*natural_lang_id.tiny"),
        ({"probe_location": "mlp.hook_pots"}, ModelError, "no hook point 'mlp.hook_pots'; they have mlp.hook_post"),
        ({"probe_location": "attn.hook_pattern"}, ModelError, "choose a hook point with one vector per position"),
        ({"layers": (0, 2)}, ModelError, "layers 0 to 1; there is no layer 2"),
    ],
)
def test_what_does_not_exist(config, change, error, message):
    wrong = config.with_flags(**change)
    with pytest.raises(error, match=message):
        harvest(wrong)
    assert not wrong.store_folder().exists()


def test_a_data_set_whose_content_was_edited(config, tiny_dataset_root, tmp_path):
    root = shutil.copytree(tiny_dataset_root, tmp_path / "sets")
    description = root / config.activations.feature_dataset / "description.json"
    write_sealed(description, unseal(description.read_bytes()) | {"content_hash": "0" * 32})
    with pytest.raises(DatasetError, match="is not what its description records. Make it again"):
        harvest(config.with_flags(feature_dataset_dir=root))


def test_a_data_set_that_was_made_again(config, tiny_dataset_root, tmp_path):
    from probing_datasets.make import make_dataset
    from probing_datasets.make_config import MakeConfig

    store = harvest(config)
    other = MakeConfig("natural_lang_id", tokenizer=config.activations.model, output_dir=tmp_path / "sets", seed=1)
    make_dataset(other)
    with pytest.raises(StoreError, match="fingerprint.dataset_hash: .*--overwrite"):
        harvest(config.with_flags(feature_dataset_dir=other.output_dir))
    assert store.verify() == []


def test_a_disk_that_is_too_full_is_refused_before_anything_is_written(config, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6 - 1000, 1000))
    with pytest.raises(StoreError, match=r"needs 0.00 GB, but only 0.00 GB are free.*Free space, set RESULTS_DIR"):
        harvest(config)
    assert not config.store_folder().exists()


def test_a_full_disk_stops_a_harvest_with_open_parts_and_not_a_complete_one(config, monkeypatch):
    store = harvest(config)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6, 0))
    assert harvest(config).digest == store.digest
    store.discard_part(0)
    with pytest.raises(StoreError, match="but only 0.00 GB are free"):
        harvest(config)
    assert store.open_parts() == [0]


@contextmanager
def file_size_limit(n_bytes):
    """Let no file of this process grow beyond a size, as on a disk that becomes full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_becomes_full_while_a_part_is_written(config):
    """Metadata takes 4 kB, a shard of 100 rows and 48 neurons 9.6 kB."""
    with file_size_limit(8000), pytest.raises(StoreError, match=r"Cannot write .*layer_00/c.0.0.*run the same command"):
        harvest(config)
    store = ZarrStore.open(config.store_folder())
    assert store.open_parts() == [0, 1, 2]
    assert not list(config.store_folder().rglob(".tmp-*"))
    assert harvest(config).verify() == []


@pytest.fixture
def mounted(tmp_path):
    """A function that mounts an empty file system in memory with the given options."""
    folders = []

    def mount(options):
        folder = tmp_path / "mounted"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no file system can be mounted here: {getattr(error, 'stderr', '') or error}")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_read_only_disk(config, mounted):
    read_only = config.with_flags(results_dir=mounted("ro"))
    with pytest.raises(StoreError, match="Cannot write .*: Read-only file system.*run the same command again"):
        harvest(read_only)


def test_a_small_disk_is_refused_and_a_larger_one_is_enough(config, mounted, monkeypatch):
    small = config.with_flags(results_dir=mounted("size=512k"))
    with pytest.raises(StoreError, match="GB are free there"):
        harvest(small)
    monkeypatch.setattr(existing_stores, "check_free_space", lambda path, needed: None)
    assert harvest(small).verify() == []


def test_a_disk_that_is_really_full(config, mounted, monkeypatch):
    monkeypatch.setattr(existing_stores, "check_free_space", lambda path, needed: None)
    full = config.with_flags(results_dir=mounted("size=80k"))
    with pytest.raises(
        StoreError, match="Cannot write .*: No space left on device.*Finished parts of the store are kept"
    ):
        harvest(full)
    finished = {0, 1, 2} - set(ZarrStore.open(full.store_folder()).open_parts())
    assert ZarrStore.open(full.store_folder()).verify() == []
    assert finished < {0, 1, 2}
