"""A short campaign of kills; and controls: the campaign sees parts that are lost, torn or redone."""

from __future__ import annotations

import runpy
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks._kills import Tally, Work, files_of, import_once, n_lost, n_redone, n_torn, records_of, run
from benchmarks.kill_campaign import campaign, claims_hold, make_kinds
from probing_datasets.foundation.errors import StoreError
from probing_datasets.foundation.files.atomic_files import temporary_sibling
from sparse_probing.activations.stores import STORES, ActivationStore
from sparse_probing.activations.stores.manifest.plan_file import HEADER
from sparse_probing.activations.stores.plan import StorePlan

N_PARTS = 3
PLAN = StorePlan({}, (0,), ("h",), {"h": 16}, n_rows=4 * N_PARTS, part_rows=4, precision="32")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ActivationStore:
    """A store of three parts, the last of which is not finished."""
    store = STORES[request.param].create(tmp_path / "store", PLAN, np.arange(PLAN.n_rows), np.arange(PLAN.n_rows))
    for part in range(N_PARTS - 1):
        store.write_part(part, {("h", 0): np.full((4, 16), part, np.float32)})
    return store


def file_of(store: ActivationStore, part: int) -> Path:
    record = store.part_record(part)
    assert record is not None
    return Path(store.path) / next(iter(record))


@pytest.mark.slow
def test_no_kill_loses_tears_or_changes_a_part(tmp_path: Path) -> None:
    kinds = list(make_kinds(tmp_path, n_sequences=256))[1::2]  # one process alone: see test_get_activations
    tallies = campaign(kinds, kills=6, seed=0, folder=tmp_path)
    assert list(tallies) == ["harvest, zarr, 2 processes", "harvest, hdf5, 2 processes", "convert, hdf5 to zarr"]
    assert sum(tally.kills for tally in tallies.values()) == 6
    assert all(tally.stores >= 1 and tally.runs >= tally.kills for tally in tallies.values())
    assert all(map(claims_hold, tallies.values()))


SPOILERS = {
    "torn": "file.write_bytes(file.read_bytes()[:-1])",
    "lost": "record.unlink()",
    "nothing": "pass",
}


@pytest.mark.slow
@pytest.mark.parametrize("store", ["zarr"], indirect=True)
@pytest.mark.parametrize("spoiler", SPOILERS)
def test_control_a_process_that_spoils_a_part_is_caught(store: ActivationStore, tmp_path: Path, spoiler: str) -> None:
    script, ready, log = tmp_path / "spoil.py", tmp_path / "ready", tmp_path / "log"
    file, record = file_of(store, 0), Path(store.path) / "parts" / "000000.json"
    script.write_text(
        f"from pathlib import Path, PosixPath\nimport os, signal\nfile, record = {file!r}, {record!r}\n"
        f"{SPOILERS[spoiler]}\nPath({str(ready)!r}).touch()\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    import_once()
    tally = Tally()
    run(Work(Path(store.path), (partial(runpy.run_path, str(script)),), (log,)), tally, {0: 600.0})
    assert ready.exists(), "the process was killed before it had spoiled anything"
    assert (tally.kills, tally.runs, tally.amid_parts, tally.redone) == (1, 1, 1, [0])
    assert tally.torn == (spoiler == "torn")
    assert tally.lost == (spoiler == "lost")


@pytest.mark.slow
def test_a_process_that_fails_by_itself_ends_the_campaign(tmp_path: Path) -> None:
    import_once()
    work = Work(tmp_path, (partial(runpy.run_path, str(tmp_path / "missing.py")),))
    with pytest.raises(StoreError, match="failed without a kill"):
        run(work, Tally(), {})


def test_parts_that_are_not_as_recorded_are_torn(store: ActivationStore) -> None:
    path, whole = Path(store.path), file_of(store, 1).read_bytes()
    assert n_torn(path) == 0
    temporary_sibling(file_of(store, 1)).write_bytes(b"half")
    assert n_torn(path) == 0
    for content in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        file_of(store, 1).write_bytes(content)
        assert n_torn(path) == 1
    file_of(store, 0).unlink()
    assert n_torn(path) == 2


def test_a_damaged_header_is_torn_and_a_missing_one_is_not(store: ActivationStore) -> None:
    header = Path(store.path) / HEADER
    header.write_bytes(header.read_bytes()[:-9])
    assert n_torn(Path(store.path)) == 1
    header.unlink()
    assert n_torn(Path(store.path)) == 0


def test_records_that_vanish_or_change_are_lost_and_new_ones_are_not(store: ActivationStore) -> None:
    before = records_of(Path(store.path))
    assert sorted(before) == ["000000.json", "000001.json"]
    store.write_part(2, {("h", 0): np.full((4, 16), 2, np.float32)})
    assert n_lost(before, records_of(Path(store.path))) == 0
    store.write_part(0, {("h", 0): np.full((4, 16), 7, np.float32)})
    store.discard_part(1)
    assert n_lost(before, records_of(Path(store.path))) == 2


def test_computed_parts_without_a_record_are_redone(store: ActivationStore, tmp_path: Path) -> None:
    log, records = tmp_path / "log", records_of(Path(store.path))
    assert n_redone(log, records) == 0
    log.write_text("0\n1\n2\n")
    assert n_redone(log, records) == 1
    assert n_redone(log, {}) == 3


def test_files_are_compared_without_leftovers_and_provenance(store: ActivationStore) -> None:
    path, before = Path(store.path), files_of(Path(store.path))
    assert f"parts/{1:06d}.json" in before
    temporary_sibling(path / "rows.parquet").write_bytes(b"half")
    (path / "provenance.json").write_text("by rank 1")
    assert files_of(path) == before
    (path / "rows.parquet").write_bytes(b"half")
    assert files_of(path) != before


@pytest.mark.parametrize("fault", ["lost", "torn", "differing"])
def test_one_fault_is_enough_for_a_claim_to_fail(fault: str) -> None:
    assert claims_hold(Tally(kills=9, redone=[0, 2]))
    assert not claims_hold(Tally(**{fault: 1}))
    assert not claims_hold(Tally(redone=[0, 3]))
