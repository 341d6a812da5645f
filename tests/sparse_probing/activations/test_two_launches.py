"""Two launches at the same time, in real processes: one makes the store, the other one waits or refuses."""

import subprocess
import sys
from pathlib import Path

import pytest

from sparse_probing.activations.stores import open_store

SCRIPT = """
import sys
from pathlib import Path
from probing_datasets.foundation.command_line import run_command
from sparse_probing.activations.experiment_types import store_activations
from sparse_probing.activations.harvesting import prepare
from sparse_probing.config import HarvestConfig
prepare.choose_part_rows = lambda n_rows, *_: 50
model, root, results, precision = sys.argv[1:]
config = HarvestConfig.from_flags(
    model=model, feature_dataset="natural_lang_id.tiny.64.-1", n_threads=1, feature_dataset_dir=Path(root),
    results_dir=Path(results), output_precision=precision, batch_size=1,
)
print("ready", flush=True)
sys.stdin.readline()
sys.exit(run_command(lambda: store_activations(config, print)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("precisions", [("16", "16"), ("16", "32")])
def test_two_launches_make_one_store_and_no_status_lies(tiny_model_dir, tiny_dataset_root, tmp_path, precisions):
    launches = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tiny_model_dir), str(tiny_dataset_root), str(tmp_path), precision],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for precision in precisions
    ]
    for launch in launches:
        assert launch.stdout is not None
        assert launch.stdout.readline() == "ready\n"
    for launch in launches:
        assert launch.stdin is not None
        launch.stdin.write("go\n")
        launch.stdin.flush()
    outputs = [launch.communicate() for launch in launches]
    statuses = [launch.returncode for launch in launches]

    winner = statuses.index(0)
    store = open_store(Path(outputs[winner][0].rpartition("complete: ")[2].strip()))
    assert store.is_complete
    assert store.verify() == []
    assert store.plan.precision == precisions[winner]
    assert not list(Path(str(store.path)).glob("writers*"))
    for status, (output, errors) in zip(statuses, outputs, strict=True):
        if status == 0:
            assert "complete: " in output
        else:
            assert status == 1
            assert "is writing" in errors or "Another store exists" in errors
    if precisions[0] != precisions[1]:
        assert sorted(statuses) == [0, 1]
