"""One task: its rows agree with scikit-learn, controls find nothing, failures are named, a kill leaves no result."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, matthews_corrcoef, roc_auc_score

from probing_datasets.feature_dataset import load_feature_dataset
from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from sparse_probing.activations.stores import ZarrStore
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.planning.run_inputs import Inputs
from sparse_probing.runs.planning.run_record import name_run, record_run
from sparse_probing.runs.tasks import run_task as run_task_module
from sparse_probing.runs.tasks.published_results import ROWS, read_record, task_folder
from sparse_probing.runs.tasks.run_task import run_task
from sparse_probing.studies.base.interruption import Interrupted
from sparse_probing.studies.base.result_rows import COLUMNS, read_rows
from tests.builders.planted_runs import reference_split

REPOSITORY = Path(__file__).parents[4]


def rows_of_task(config, layer=1, feature="strong"):
    """Run one task and return its rows."""
    run = create_run(config.with_flags(layers=(layer,), feature_subset=(feature,)))
    (key,) = run.tasks
    run_task(str(run.path), key)
    return read_rows([task_folder(run.path, key) / ROWS])


@pytest.fixture
def config(plant):
    return plant()


@pytest.mark.parametrize("scaling", ["rms", "unit", "paper", "none"])
def test_rows_agree_with_scikit_learn(config, scaling):
    config = config.with_flags(scaling=scaling, regularization=0.3)
    x, y, split = reference_split(config, layer=0, feature="weak")
    deviation = x[split.train].std(0)
    rms = np.full(x.shape[1], np.sqrt((deviation**2).mean()))
    # A constant that is subtracted changes only the intercept.
    divisor = {"rms": rms, "unit": deviation, "paper": 10 * deviation, "none": np.ones(x.shape[1])}[scaling]
    fitted = x / divisor
    rows = rows_of_task(config, layer=0, feature="weak")
    for _, row in rows[rows["control"] == ""].iterrows():
        chosen = fitted[:, row["support"]]
        sklearn = LogisticRegression(C=0.3, class_weight="balanced", solver="newton-cholesky", tol=1e-12)
        sklearn.fit(chosen[split.train], y[split.train])
        scores = sklearn.decision_function(chosen[split.test])
        np.testing.assert_allclose(row["coef"], sklearn.coef_[0] / divisor[row["support"]], atol=1e-4)
        assert row["scaling"] == scaling
        stored_scores = x[split.test][:, row["support"]] @ row["coef"] + row["intercept"]
        np.testing.assert_allclose(stored_scores, scores, atol=1e-3)
        assert row["test_roc_auc"] == pytest.approx(roc_auc_score(y[split.test], scores), abs=1e-3)
        predicted = np.where(scores > 0, 1, -1)
        assert row["test_f1_score"] == pytest.approx(f1_score(y[split.test], predicted), abs=0.02)
        assert row["test_mcc"] == pytest.approx(matthews_corrcoef(y[split.test], predicted), abs=0.02)


def test_rows_name_what_was_fitted_to_what(config):
    rows = rows_of_task(config)
    _, y, split = reference_split(config, layer=1, feature="strong")
    assert list(rows.columns) == list(COLUMNS)
    same = ["experiment_name", "study", "model", "dataset", "feature", "layer", "hook_point", "aggregation", "seed"]
    assert rows[same].drop_duplicates().values.tolist() == [
        ["default", "heuristic_sparsity_sweep", "tiny", "made.tiny.16.-1", "strong", 1, "mlp.hook_post", "none", 0]
    ]
    real = rows[rows["control"] == ""]
    assert set(real["n_train"]) == {len(split.train)}
    assert set(real["n_test"]) == {len(split.test)}
    assert set(real["n_positive_train"]) == {(y[split.train] > 0).sum()}
    assert set(real["n_positive_test"]) == {(y[split.test] > 0).sum()}
    assert sorted(real["k"]) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_the_planted_neuron_is_found_and_not_in_shuffled_labels(config):
    rows = rows_of_task(config)
    first = rows[rows["k"] == 1].set_index("control")
    assert first.loc["", "support"].tolist() == [5]
    assert first.loc["", "test_f1_score"] > 0.97


def test_shuffled_labels_are_near_chance(config):
    areas = []
    for seed in range(12):
        rows = rows_of_task(config.with_flags(seed=seed))
        areas.append(rows[(rows["k"] == 1) & (rows["control"] == "shuffled_labels")]["test_roc_auc"].item())
    assert np.mean(areas) == pytest.approx(0.5, abs=0.1)
    assert max(areas) < 0.9


def test_control_nothing_is_found_where_nothing_was_planted(config):
    rows = rows_of_task(config, layer=0, feature="strong")
    assert rows[rows["control"] == ""]["test_f1_score"].max() < 0.75


def test_the_control_of_a_rare_feature_has_both_classes_on_both_sides(plant):
    rare = np.full(80, -1.0)
    rare[[0, 40]] = 1
    config = plant(rare=rare)
    for seed in range(8):
        rows = rows_of_task(config.with_flags(seed=seed), feature="rare")
        assert set(rows["control"]) == {"", "shuffled_labels"}
        assert set(rows["n_positive_test"]) == set(rows["n_positive_train"]) == {3}


def test_without_controls_there_are_only_real_rows(config):
    assert set(rows_of_task(config.with_flags(controls=()))["control"]) == {""}


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(config):
    def content(seed):
        run = create_run(config.with_flags(seed=seed, layers=(1,), feature_subset=("weak",)))
        (key,) = run.tasks
        run_task(str(run.path), key)
        path = task_folder(run.path, key) / ROWS
        data = path.read_bytes()
        path.unlink()
        return data

    assert content(0) == content(0) != content(1)


def test_a_finished_task_is_not_run_again(config, monkeypatch):
    run = create_run(config)
    key = next(iter(run.tasks))
    record = run_task(str(run.path), key)
    monkeypatch.setattr("sparse_probing.runs.tasks.run_task.fit_task", None)
    again = run_task(str(run.path), key)
    assert again == read_record(run.path, key, run.tasks[key])
    assert again == replace(record, n_rows=again.n_rows, checksum=again.checksum)
    assert again.n_rows == len(read_rows([task_folder(run.path, key) / ROWS])) > 0


def test_a_row_of_an_interrupted_search_is_not_published_whatever_became_of_the_signal(config, monkeypatch):
    run = create_run(config)
    key = next(iter(run.tasks))
    row_of = run_task_module.probe_row
    monkeypatch.setattr(run_task_module, "probe_row", lambda *args: row_of(*args) | {"proof_status": "interrupted"})
    with pytest.raises(Interrupted, match="a search ended early without a signal"):
        run_task(str(run.path), key)
    assert not task_folder(run.path, key).exists()


def test_features_that_cannot_be_split_are_named_and_the_others_fitted(plant):
    one_class, one_group = np.full(80, -1.0), np.full(80, -1.0)
    one_group[:2] = 1
    run = create_run(plant(one_class=one_class, one_group=one_group).with_flags(save_features_together=True))
    key = next(iter(run.tasks))
    failed = run_task(str(run.path), key).failed_features
    assert set(failed) == {"one_class", "one_group"}
    assert "0 positive rows in 0 groups: at least 2 groups with positive rows are needed" in failed["one_class"]
    assert "6 positive rows in 1 groups" in failed["one_group"]
    assert set(read_rows([task_folder(run.path, key) / ROWS])["feature"]) == {"strong", "weak"}


def test_a_label_that_varies_within_a_sequence_cannot_be_pooled(plant, monkeypatch):
    config = plant()
    dataset = load_feature_dataset(config.activations.feature_dataset, config.activations.feature_dataset_dir)
    probes = dataset.feature_probes("strong")
    varying = probes._replace(label=np.where(probes.position == 1, -probes.label, probes.label))
    monkeypatch.setattr(type(dataset), "feature_probes", lambda self, name: varying)
    of_tokens = create_run(config)
    pooled = config.with_flags(activation_aggregation="mean")
    run = name_run(pooled, list(of_tokens.tasks.values()), of_tokens.input_digest)
    record_run(run)
    inputs = Inputs(dataset, ZarrStore.open(config.store_folder()), None)
    monkeypatch.setattr("sparse_probing.runs.tasks.task_data.open_inputs", lambda _: inputs)
    failed = run_task(str(run.path), next(iter(run.tasks))).failed_features
    assert "label of 'strong' varies within a sequence" in failed["strong"]


@pytest.mark.parametrize("damage", ["truncate", "flip"])
def test_a_damaged_shard_ends_the_task_and_names_layer_and_part(config, damage):
    shard = config.store_folder() / "mlp.hook_post" / "layer_01" / "c.2.0"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content[:-50] if damage == "truncate" else content)
    run = create_run(config)
    key = next(key for key, task in run.tasks.items() if task.layer == 1)
    with pytest.raises(CorruptStoreError, match="^Layer 1, part 2: .* is damaged: .*--resume"):
        run_task(str(run.path), key)
    assert read_record(run.path, key, run.tasks[key]) is None


def test_a_store_that_was_written_again_after_the_run_was_created(config):
    run = create_run(config)
    store = ZarrStore.open(config.store_folder())
    rows = slice(*store.plan.part_range(0))
    store.write_part(0, {(config.activations.probe_location, i): store.read(i, rows=rows) + 1 for i in (0, 1)})
    with pytest.raises(
        StoreError, match="was written again after the run was created. Run probing_experiment.py again"
    ):
        run_task(str(run.path), next(iter(run.tasks)))


KILLED = """
import os, signal, sys
from dataclasses import replace
import sparse_probing.runs.tasks.run_task as worker
study = worker.STUDIES["heuristic_sparsity_sweep"]
def fit(config, data, calls=[]):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return study.fit(config, data)
worker.STUDIES["heuristic_sparsity_sweep"] = replace(study, fit=fit)
worker.run_task(*sys.argv[1:])
"""


def test_a_killed_task_publishes_nothing_and_the_next_launch_runs_it(config):
    run = create_run(config.with_flags(save_features_together=True, layers=(1,)))
    (key,) = run.tasks
    killed = subprocess.run([sys.executable, "-c", KILLED, str(run.path), key], cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert read_record(run.path, key, run.tasks[key]) is None
    assert not (run.path / "tasks").exists()
    run_task(str(run.path), key)
    assert read_record(run.path, key, run.tasks[key]) is not None
