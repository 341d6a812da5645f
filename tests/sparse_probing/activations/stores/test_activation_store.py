"""The contract of every store, whatever its encoding."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from probing_datasets.foundation.files import atomic_files
from probing_datasets.foundation.files.sealed_json import seal, unseal
from sparse_probing.activations.stores import STORES, open_store
from sparse_probing.activations.stores.plan import STORED_DTYPES, StorePlan
from sparse_probing.activations.stores.storage.writers import claim_writing
from tests.builders.harvests import HOOK, file_contents, flip_bit

REPOSITORY = Path(__file__).parents[4]
PLAN = StorePlan(
    fingerprint={"model": "pythia-70m", "dataset": "abc"},
    layers=(0, 3),
    hook_points=(HOOK,),
    widths={HOOK: 33},
    n_rows=10,
    part_rows=4,
    precision="16",
)
TWO_HOOKS = dataclasses.replace(PLAN, hook_points=(HOOK, "hook_resid_post"), widths={HOOK: 33, "hook_resid_post": 16})


@pytest.fixture(params=STORES)
def store_class(request):
    return STORES[request.param]


@pytest.fixture(params=STORED_DTYPES)
def plan(request):
    return dataclasses.replace(PLAN, precision=request.param)


def layer_values(plan, hook_point, layer, seed=0):
    """Return float32 values that a store of the plan holds exactly; for precision 8 whole numbers."""
    generator = np.random.default_rng([seed, layer, len(hook_point)])
    shape = (plan.n_rows, plan.widths[hook_point])
    if plan.precision == "8":
        values = generator.integers(0, 256, shape).astype(np.float32)
        values[0 :: plan.part_rows], values[1 :: plan.part_rows] = 0, 255
        return values
    values = generator.standard_normal(shape).astype(np.float32)
    if plan.precision == "16":
        return values.astype(np.float16).astype(np.float32)
    if plan.precision == "bf16":
        return (values.view(np.uint32) & 0xFFFF0000).view(np.float32)
    return values


def stored(plan, values):
    if plan.precision == "bf16":
        return (values.view(np.uint32) >> 16).astype(np.uint16)
    return values.astype(plan.buffer_dtype)


def activations_of(plan, part, seed=0):
    rows = slice(*plan.part_range(part))
    keys = [(hook_point, layer) for hook_point in plan.hook_points for layer in plan.layers]
    return {key: stored(plan, layer_values(plan, *key, seed)[rows]) for key in keys}


def create(store_class, path, plan=PLAN):
    return store_class.create(path, plan, np.arange(plan.n_rows) // 3, np.arange(plan.n_rows) % 3)


def fill(store, seed=0):
    for part in store.open_parts():
        store.write_part(part, activations_of(store.plan, part, seed))
    return store


@pytest.fixture
def finished(store_class, tmp_path):
    return fill(create(store_class, tmp_path / "store"))


@pytest.fixture
def finished_in_every_precision(store_class, plan, tmp_path):
    return fill(create(store_class, tmp_path / "store", plan))


def test_layers_come_back_bit_for_bit(store_class, plan, tmp_path):
    plan = dataclasses.replace(TWO_HOOKS, precision=plan.precision)
    fill(create(store_class, tmp_path, plan))
    store = store_class.open(tmp_path)
    for hook_point in plan.hook_points:
        for layer in plan.layers:
            read = store.read(layer, hook_point)
            assert read.dtype == np.float32
            assert read.tobytes() == layer_values(plan, hook_point, layer).tobytes()
    assert not np.array_equal(store.read(0, HOOK), store.read(3, HOOK))
    assert store.read(0, HOOK, dtype=np.float64).dtype == np.float64


@settings(max_examples=30)
@given(data=st.data(), n_rows=st.integers(1, 30), part_rows=st.integers(1, 31), width=st.integers(1, 70))
@pytest.mark.parametrize("name", STORES)
def test_reads_equal_slices_of_the_whole(name, data, n_rows, part_rows, width):
    precision = data.draw(st.sampled_from(list(STORED_DTYPES)))
    plan = StorePlan({}, (5,), (HOOK,), {HOOK: width}, n_rows, part_rows, precision)
    bound = st.none() | st.integers(-n_rows - 2, n_rows + 2)
    some_rows = st.sets(st.integers(0, n_rows - 1)).map(lambda chosen: np.array(sorted(chosen), np.int64))
    rows = data.draw(st.builds(slice, bound, bound, st.none() | st.integers(1, 5)) | some_rows)
    columns = np.array(data.draw(st.lists(st.integers(0, width - 1), max_size=8)), np.int32)
    order = data.draw(st.sampled_from(["C", "F"]))
    with tempfile.TemporaryDirectory() as folder:
        store = fill(create(STORES[name], Path(folder), plan))
        whole = layer_values(plan, HOOK, 5)
        assert np.array_equal(store.read(5, rows=rows, order=order), whole[rows])
        assert np.array_equal(store.read(5, rows=rows, columns=columns, order=order), whole[rows][:, columns])
        assert np.array_equal(store.read_torch(5, rows=rows, order=order).float(), whole[rows])
        assert store.verify() == []


def test_dtype_and_memory_order(finished_in_every_precision):
    store, precision = finished_in_every_precision, finished_in_every_precision.plan.precision
    expected = layer_values(store.plan, HOOK, 0)
    kept = store.read(0, dtype=None)
    assert kept.dtype == (np.float16 if precision == "16" else np.float32)
    for dtype in (np.float16, np.float64):
        read = store.read(0, dtype=dtype)
        assert read.dtype == dtype
        assert np.array_equal(read, expected.astype(dtype))
    assert kept.flags.c_contiguous
    assert not kept.flags.f_contiguous
    assert store.read(0, dtype=None, order="F").flags.f_contiguous
    assert store.read(0, columns=np.array([7, 2]), order="F")[:, 1].flags.contiguous
    with pytest.raises(StoreError, match="float16, float32 or float64, not int32"):
        store.read(0, dtype=np.int32)


def test_tensors_have_the_stored_precision(finished_in_every_precision):
    store = finished_in_every_precision
    dtypes = {"8": torch.float32, "16": torch.float16, "32": torch.float32, "bf16": torch.bfloat16}
    read = store.read_torch(3)
    assert read.dtype == dtypes[store.plan.precision]
    assert torch.equal(read.float(), torch.from_numpy(layer_values(store.plan, HOOK, 3)))
    assert store.read_torch(3, order="F").T.is_contiguous()


def test_open_store_finds_the_encoding(finished_in_every_precision, tmp_path):
    store = open_store(finished_in_every_precision.path)
    assert type(store) is type(finished_in_every_precision)
    assert store.digest == finished_in_every_precision.digest
    with pytest.raises(StoreError, match="no activation store"):
        open_store(tmp_path / "nothing")
    header = tmp_path / "store/plan.json"
    header.write_bytes(seal({**unseal(header.read_bytes()), "store": "parquet"}))
    with pytest.raises(StoreError, match="is a parquet store, but this code knows zarr, hdf5"):
        open_store(tmp_path / "store")


def test_a_store_behind_a_url(store_class, plan):
    with_memory = UPath(f"memory://{store_class.kind}-{plan.precision}")
    store = fill(create(store_class, with_memory, plan))
    whole, rows = layer_values(plan, HOOK, 3), np.array([1, 2, 5, 8])
    assert np.array_equal(open_store(with_memory).read(3), whole)
    assert np.array_equal(store.read(3, rows=rows, columns=np.array([32, 0])), whole[rows][:, [32, 0]])
    name = next(iter(store._part_files(1)))
    flip_bit(with_memory / name, store._layer_files((HOOK, 0), 1)[0][1].start + 9)
    with pytest.raises(CorruptStoreError, match="Layer 0, part 1: .*checksum of column block 0 differs"):
        store.read(0)
    (with_memory / name).unlink()
    with pytest.raises(CorruptStoreError, match="Layer 0, part 1: .*file is missing"):
        store.read(0)


def test_values_that_cannot_be_quantised_are_refused(store_class, tmp_path):
    plan = dataclasses.replace(PLAN, precision="8")
    store = create(store_class, tmp_path, plan)
    for wrong in (np.nan, np.inf, -np.inf):
        activations = activations_of(plan, 1)
        activations[HOOK, 3][2, 30] = wrong
        with pytest.raises(StoreError, match="Part 1, mlp.hook_post, layer 3: Column 30, rows 0 to 3: .*quantised"):
            store.write_part(1, activations)
    assert store.open_parts() == [0, 1, 2]


def test_rows_hold_sequence_and_position(finished, tmp_path):
    sequence, position = finished.rows
    assert sequence.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert position.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert sequence.dtype == position.dtype == np.int64
    frame = pd.read_parquet(tmp_path / "store/rows.parquet")
    assert frame["sequence"].tolist() == sequence.tolist()


def test_number_of_rows_must_agree(store_class, tmp_path):
    with pytest.raises(StoreError, match="9 sequences and 10 positions were given for 10 rows"):
        store_class.create(tmp_path, PLAN, np.arange(9), np.arange(10))


def test_unfinished_store_is_not_read(store_class, tmp_path):
    store = create(store_class, tmp_path)
    store.write_part(1, activations_of(PLAN, 1))
    assert store.open_parts() == [0, 2]
    assert not store.is_complete
    with pytest.raises(StoreError, match="unfinished: 2 of 3 parts are missing"):
        store.read(0)
    with pytest.raises(StoreError, match="unfinished"):
        _ = store.digest
    assert fill(store).is_complete
    assert store.read(0).shape == (10, 33)


def test_reading_layers_rows_and_columns_that_do_not_exist(store_class, tmp_path):
    store = fill(create(store_class, tmp_path, TWO_HOOKS))
    with pytest.raises(StoreError, match="layer 7: it holds mlp.hook_post, hook_resid_post of layers 0, 3"):
        store.read(7, HOOK)
    with pytest.raises(StoreError, match="does not hold hook_attn of layer 0"):
        store.read(0, "hook_attn")
    with pytest.raises(StoreError, match="Pass the hook_point to read"):
        store.read(0)
    for rows in (slice(None, None, -1), np.array([3, 3]), np.array([4, 2]), np.array([10]), np.array([-1])):
        with pytest.raises(StoreError, match="slice or increasing integers from 0 to 9"):
            store.read(0, HOOK, rows=rows)
    for columns in ([33], [-1], [0.5], [[1]], [True]):
        with pytest.raises(StoreError, match="integers from 0 to 32"):
            store.read(0, HOOK, columns=np.array(columns))


def test_wrong_arrays_are_refused(store_class, tmp_path):
    store = create(store_class, tmp_path)
    right = activations_of(PLAN, 2)
    too_few = {**right, (HOOK, 3): right[HOOK, 3][:1]}
    other_dtype = {**right, (HOOK, 3): right[HOOK, 3].astype(np.float32)}
    for wrong in (too_few, other_dtype, {(HOOK, 0): right[HOOK, 0]}):
        with pytest.raises(StoreError, match=r"Part 2, mlp.hook_post, layer 3: expected .*\(2, 33\)"):
            store.write_part(2, wrong)
    assert store.open_parts() == [0, 1, 2]


def test_digest_names_plan_and_content(store_class, tmp_path):
    first, again = (fill(create(store_class, tmp_path / name)) for name in ("a", "b"))
    assert first.digest == again.digest
    other_values = fill(create(store_class, tmp_path / "c"), seed=1)
    other_plan = fill(create(store_class, tmp_path / "d", dataclasses.replace(PLAN, fingerprint={})))
    assert len({first.digest, other_values.digest, other_plan.digest}) == 3


def test_absent_store(store_class, tmp_path):
    with pytest.raises(StoreError, match=r"no activation store at .*nothing.*get_activations.py"):
        store_class.open(tmp_path / "nothing")


def test_another_plan_is_refused(finished, store_class):
    other = dataclasses.replace(PLAN, layers=(0, 4), fingerprint={"model": "gpt2", "dataset": "abc"})
    before = file_contents(finished.path)
    with pytest.raises(StoreError) as caught:
        create(store_class, finished.path, other)
    message = str(caught.value)
    assert 'fingerprint.model: "pythia-70m" -> "gpt2"; layers: [0, 3] -> [0, 4]' in message
    assert "--overwrite" in message
    assert "dataset" not in message
    assert file_contents(finished.path) == before


def test_other_rows_are_refused(finished, store_class):
    with pytest.raises(StoreError, match="other tokens"):
        store_class.create(finished.path, PLAN, np.arange(10), np.arange(10))


def test_store_of_another_encoding(finished, store_class):
    class Other(store_class):
        kind = "other"

    with pytest.raises(StoreError, match=f"is a {store_class.kind} store, not other"):
        Other.open(finished.path)


# ---------------------------------------------------------------- interruption


def snapshots_at_every_flush(monkeypatch, store_class, plan, root, folder):
    """Write a store and copy it whenever it is about to flush: the states a kill can leave."""
    kept, flush = [], atomic_files.fsync_path

    def copy_and_flush(path):
        kept.append(folder / f"{len(kept)}")
        shutil.copytree(root, kept[-1])
        flush(path)

    with monkeypatch.context() as patch:
        patch.setattr(atomic_files, "fsync_path", copy_and_flush)
        fill(create(store_class, root, plan))
    return kept


@pytest.mark.parametrize("precision", ["16", "8"])
def test_resume_after_any_kill_gives_the_same_bytes(monkeypatch, store_class, precision, tmp_path):
    root, plan = tmp_path / "whole", dataclasses.replace(PLAN, precision=precision, layers=(3,))
    snapshots = snapshots_at_every_flush(monkeypatch, store_class, plan, root, tmp_path)
    whole = file_contents(root)
    assert sum(any(".tmp-" in name for name in file_contents(s)) for s in snapshots) >= len(snapshots) // 2
    for snapshot in snapshots:
        for path in snapshot.rglob(".tmp-*"):
            path.write_bytes(path.read_bytes()[:7])
            os.utime(path, (0, 0))
        fill(create(store_class, snapshot, plan))
        assert file_contents(snapshot) == whole


def test_finished_parts_are_not_written_again(finished, store_class):
    resumed = create(store_class, finished.path)
    assert resumed.open_parts() == []
    resumed.discard_part(1)
    assert store_class.open(finished.path).open_parts() == [1]


def test_several_writers_give_the_same_bytes(finished, store_class, tmp_path):
    writers = [create(store_class, tmp_path / "shared") for _ in range(2)]
    for part in (1, 2, 0):
        writers[part % 2].write_part(part, activations_of(PLAN, part))
    assert all(writer.is_complete for writer in writers)
    assert file_contents(tmp_path / "shared") == file_contents(finished.path)


# ---------------------------------------------------------------- damage


def found(store_class, path):
    """Return the files that verify() names, or the file that open() refuses."""
    try:
        return [damage.path for damage in store_class.open(path).verify()]
    except CorruptStoreError as error:
        return [name for name in (path / "plan.json", path / "rows.parquet") if str(name) in str(error)]


@pytest.mark.parametrize("other", [(0, 2), (3, 1)])
def test_the_file_of_another_layer_or_part_is_not_taken_for_this_one(finished, other):
    """Its blocks have their checksums."""
    ((name, _),) = finished._layer_files((HOOK, 0), 1)
    ((other_name, _),) = finished._layer_files((HOOK, other[0]), other[1])
    (finished.path / name).write_bytes((finished.path / other_name).read_bytes())
    with pytest.raises(CorruptStoreError, match=f"{name} is not the file that was written .checksum differs"):
        finished.layer(0)
    assert finished.layer(3).shape == (10, 33)


@pytest.mark.parametrize("precision", ["16", "8"])
def test_a_flipped_bit_in_any_file_is_named(store_class, precision, tmp_path):
    root = tmp_path / "store"
    fill(create(store_class, root, dataclasses.replace(PLAN, precision=precision)))
    assert found(store_class, root) == []
    generator = np.random.default_rng(0)
    for name, data in file_contents(root).items():
        offsets = {0, len(data) - 1, *generator.integers(0, len(data), 8).tolist()}
        for offset in offsets:
            flip_bit(root / name, offset)
            assert found(store_class, root) == [root / name], (name, offset)
            flip_bit(root / name, offset)
    assert found(store_class, root) == []


@pytest.mark.parametrize("change", ["truncate", "lengthen", "remove"])
def test_files_of_another_length_are_named(finished_in_every_precision, change):
    finished = finished_in_every_precision
    for name, (hook_point, layer) in finished._part_files(2).items():
        path = finished.path / name
        data = path.read_bytes()
        if change == "remove":
            path.unlink()
        else:
            path.write_bytes(data[:-1] if change == "truncate" else data + b"\0")
        (damage,) = finished.verify()
        assert (damage.hook_point, damage.layer, damage.part, damage.path) == (hook_point, layer, 2, path)
        assert damage.reason == ("missing" if change == "remove" else "wrong size")
        path.write_bytes(data)
    assert finished.verify() == []


@pytest.mark.parametrize("file", [0, -1])
def test_discard_and_rerun_repair(finished_in_every_precision, store_class, file):
    """Of precision 8, the first file holds codes and the last one offsets."""
    finished = finished_in_every_precision
    digest, name = finished.digest, list(finished._part_files(1))[file]
    flip_bit(finished.path / name, finished._layer_files((HOOK, 0), 1)[file][1].start + 9)
    (damage,) = finished.verify()
    assert damage.reason == "checksum differs"
    with pytest.raises(
        CorruptStoreError, match=r"^Layer \d, part \d: .*Run get_activations.py with the settings of the store"
    ):
        finished.read(damage.layer)
    finished.discard_part(damage.part)
    assert finished.open_parts() == [1]
    repaired = fill(create(store_class, finished.path, finished.plan))
    assert repaired.verify() == []
    assert repaired.digest == digest


def test_creating_again_repairs_metadata_and_rows(finished, store_class):
    whole = file_contents(finished.path)
    flip_bit(finished.path / "rows.parquet", 30)
    for name in finished._metadata(PLAN):
        flip_bit(finished.path / name, 3)
    with pytest.raises(CorruptStoreError, match="rows.parquet is damaged"):
        store_class.open(finished.path)
    create(store_class, finished.path)
    assert file_contents(finished.path) == whole


def test_record_of_another_part_or_store_does_not_count(finished, store_class, tmp_path):
    parts = finished.path / "parts"
    shutil.copy(parts / "000000.json", parts / "000001.json")
    reopened = store_class.open(finished.path)
    assert reopened.open_parts() == [1]
    assert [(damage.part, damage.reason) for damage in reopened.verify()] == [(1, "unreadable record")]
    other = fill(create(store_class, tmp_path / "other", dataclasses.replace(PLAN, fingerprint={})))
    shutil.copy(other.path / "parts/000001.json", parts / "000001.json")
    assert store_class.open(finished.path).open_parts() == [1]


def test_plan_edited_after_opening(finished):
    path = finished.path / "plan.json"
    path.write_text(path.read_text().replace("pythia-70m", "pythia-1b"))
    assert [damage.path for damage in finished.verify()] == [path]


def test_edited_plan_is_refused_by_create(finished, store_class):
    path = finished.path / "plan.json"
    value = json.loads(path.read_text())
    value["content"]["plan"]["n_rows"] = 9
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
    for reopen in (create, lambda cls, root: cls.open(root)):
        with pytest.raises(CorruptStoreError, match="plan.json was edited or damaged"):
            reopen(store_class, finished.path)


# ---------------------------------------------------------------- the system refuses


def test_file_size_limit(store_class, tmp_path):
    """A child process may write files of 64 kB only; its second part is larger."""
    script = """
import resource, sys, numpy as np
from pathlib import Path
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.activations.stores import STORES
from probing_datasets.foundation.errors import StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
plan = StorePlan({}, (0,), ("h",), {"h": 16}, 8192, 4096, "16")
store = STORES[sys.argv[1]].create(Path(sys.argv[2]), plan, np.zeros(8192), np.zeros(8192))
try:
    store.write_part(0, {("h", 0): np.ones((4096, 16), np.float16)})
except StoreError as error:
    sys.stdout.write(str(error))
"""
    command = [sys.executable, "-c", script, store_class.kind, str(tmp_path)]
    message = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert "File too large" in message
    assert "kept (0 so far)" in message
    assert str(tmp_path) in message
    assert not list(tmp_path.rglob(".tmp-*"))
    assert store_class.open(tmp_path).open_parts() == [0, 1]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


WIDE = dataclasses.replace(PLAN, layers=(0,), widths={HOOK: 8192})


def test_full_disk_keeps_finished_parts(store_class, small_disk):
    store = create(store_class, small_disk / "store", WIDE)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(64 * 1024))
    store.write_part(0, activations_of(WIDE, 0))
    with pytest.raises(StoreError, match=r"No space left on device\. .*kept \(2 so far\).* same command"):
        fill(store)
    assert not list(small_disk.rglob(".tmp-*"))
    filler.unlink()
    resumed = create(store_class, small_disk / "store", WIDE)
    assert resumed.open_parts() == [2]
    assert np.array_equal(fill(resumed).read(0), layer_values(WIDE, HOOK, 0))


def test_read_only_disk(store_class, small_disk):
    store = create(store_class, small_disk / "store")
    store.write_part(0, activations_of(PLAN, 0))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for write in (lambda: fill(store), lambda: store.discard_part(0)):
        with pytest.raises(StoreError, match=r"Read-only file system\. .*kept \(1 so far\)"):
            write()
    with pytest.raises(StoreError, match="Cannot write .*Read-only file system"):
        create(store_class, small_disk / "another")


def test_a_file_with_the_name_of_the_folder(store_class, tmp_path):
    (tmp_path / "store").write_text("no folder")
    with pytest.raises(StoreError, match="Not a directory"):
        create(store_class, tmp_path / "store" / "inner")


def test_killed_process_leaves_a_store_that_resumes(store_class, tmp_path):
    """SIGKILL in the middle of a flush, not its imitation."""
    script = """
import os, signal, sys, numpy as np
from pathlib import Path
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.activations.stores import STORES
from probing_datasets.foundation.files import atomic_files
plan = StorePlan({}, (0,), ("h",), {"h": 16}, 8, 4, "32")
store = STORES[sys.argv[1]].create(Path(sys.argv[2]), plan, np.arange(8), np.arange(8))
store.write_part(0, {("h", 0): np.ones((4, 16), np.float32)})
atomic_files.fsync_path = lambda path: os.kill(os.getpid(), signal.SIGKILL)
store.write_part(1, {("h", 0): np.ones((4, 16), np.float32)})
"""
    command = [sys.executable, "-c", script, store_class.kind, str(tmp_path)]
    assert subprocess.run(command, cwd=REPOSITORY).returncode == -signal.SIGKILL
    assert len(list(tmp_path.rglob(".tmp-*"))) == 1
    store = store_class.open(tmp_path)
    assert store.open_parts() == [1]
    with claim_writing(tmp_path, "ab"):
        store.write_part(1, {("h", 0): np.full((4, 16), 2, np.float32)})
    assert not list(tmp_path.rglob(".tmp-*"))
    assert store.read(0)[:, 0].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]
