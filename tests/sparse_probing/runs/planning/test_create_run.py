"""Creating a run: its tasks, their keys, what decides them, and the errors that name a remedy."""

import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from probing_datasets.foundation.errors import DatasetError, SettingsError, StoreError
from sparse_probing.activations.stores import ZarrStore, open_store
from sparse_probing.runs.load_results import load_results
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.planning.run_inputs import Inputs, open_inputs
from sparse_probing.runs.planning.run_record import Task, load_run
from sparse_probing.runs.tasks.run_task import run_task
from tests.builders.planted_runs import N_SEQUENCES, save_again

SWEEP = "heuristic_sparsity_sweep"


@pytest.fixture
def config(plant):
    return plant()


def tasks(config):
    return list(create_run(config).tasks.values())


def test_every_layer_and_feature_is_in_one_task(config):
    assert tasks(config) == [Task(SWEEP, i, (f,)) for i in (0, 1) for f in ("strong", "weak")]
    both = config.with_flags(features_per_task=2)
    assert tasks(both) == [Task(SWEEP, i, ("strong", "weak")) for i in (0, 1)]
    together = config.with_flags(save_features_together=True)
    assert tasks(together) == [Task(SWEEP, i, ("strong", "weak")) for i in (0, 1)]


def test_layers_and_features_can_be_chosen(config):
    assert tasks(config.with_flags(layers=(1,), feature_subset=("weak",))) == [Task(SWEEP, 1, ("weak",))]


def test_a_class_of_a_feature_can_be_chosen_by_its_name_and_gives_the_rows_of_the_whole_feature(plant):
    gender = np.random.default_rng(5).integers(0, 3, N_SEQUENCES).astype(float)
    config = plant(kinds={"Gender": "multiclass"}, classes={"Gender": ("Fem", "Masc", "Neut")}, Gender=gender)
    chosen, whole = (
        create_run(config.with_flags(layers=(1,), feature_subset=(name,))) for name in ("Gender=Masc", "Gender")
    )
    assert list(chosen.tasks.values()) == [Task(SWEEP, 1, ("Gender=Masc",))]
    rows = {}
    for run in (chosen, whole):
        for key in run.tasks:
            run_task(str(run.path), key)
        rows[run.path] = load_results(run)
    of_all = rows[whole.path]
    assert set(of_all["feature"]) == {"Gender=Fem", "Gender=Masc", "Gender=Neut"}
    same = of_all[of_all["feature"] == "Gender=Masc"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows[chosen.path], same)
    with pytest.raises(DatasetError, match="no feature Gender=Fen; it has: .*Gender=Fem"):
        create_run(config.with_flags(feature_subset=("Gender=Fen",)))
    with pytest.raises(DatasetError, match="multinomial_sweep takes multiclass features, and Gender=Fem"):
        create_run(config.with_flags(experiment_type=("multinomial_sweep",), feature_subset=("Gender=Fem",)))


def test_a_multinomial_probe_names_its_classes(plant):
    gender = np.random.default_rng(5).integers(0, 3, N_SEQUENCES).astype(float)
    config = plant(
        kinds={"Gender": "multiclass", "n": "multiclass"}, classes={"Gender": ("F", "M", "N")}, Gender=gender, n=gender
    )
    run = create_run(config.with_flags(layers=(1,), experiment_type=("multinomial_sweep",)))
    for key in run.tasks:
        run_task(str(run.path), key)
    rows = load_results(run)
    assert {tuple(names) for names in rows.loc[rows["feature"] == "Gender", "class_names"]} == {("F", "M", "N")}
    assert rows.loc[rows["feature"] == "n", "class_names"].isna().all()


def test_a_run_is_read_as_it_was_written(config):
    run = create_run(config.with_flags(layers=(1,), feature_subset=("weak",)))
    assert load_run(run.path) == run


def test_the_order_of_tasks_is_kept(config):
    for seed in range(3):
        run = create_run(config.with_flags(seed=seed))
        assert list(load_run(run.path).tasks) == list(run.tasks)


def test_a_task_keeps_its_key_when_others_are_added(config):
    alone = create_run(config.with_flags(layers=(1,), feature_subset=("weak",))).tasks
    assert alone.items() < create_run(config).tasks.items()


@pytest.mark.parametrize("change", [{"cluster": "local"}, {"workers": 9}])
def test_where_it_runs_does_not_change_a_run(config, change):
    assert create_run(config.with_flags(**change)).path == create_run(config).path


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"test_set_frac": 0.2},
        {"normalize_activations": True},
        {"scaling": "unit"},
        {"max_k": 7},
        {"regularization": 2.0},
        {"controls": ()},
        {"heuristic_feature_selection_method": "auc"},
        {"experiment_type": ("dense_probe",)},
        {"experiment_name": "other"},
    ],
)
def test_what_decides_the_numbers_makes_another_run(config, change):
    first, second = create_run(config), create_run(config.with_flags(**change))
    assert first.path != second.path
    assert not first.tasks.keys() & second.tasks.keys()


def test_other_activations_make_another_run(config):
    before = create_run(config)
    store = ZarrStore.open(config.store_folder())
    hook = config.activations.probe_location
    rows = slice(*store.plan.part_range(0))
    changed = {(hook, i): store.read(i, rows=rows) * np.float32(1 + 1e-6) for i in (0, 1)}
    store.write_part(0, changed)
    assert create_run(config).path != before.path


def test_without_a_store_the_message_holds_the_command(config):
    shutil.rmtree(config.store_folder())
    with pytest.raises(StoreError) as error:
        create_run(config.with_flags(layers=(1,)))
    assert f"There is no activation store in {config.store_folder()}. Make it with:" in str(error.value)
    assert str(error.value).splitlines()[1].strip() == (
        "python get_activations.py --model tiny --feature_dataset made.tiny.16.-1 "
        "--probe_location mlp.hook_post --activation_aggregation none"
    )


def test_the_command_names_the_random_control_and_the_revision(config):
    control = config.with_flags(random_init=True, seed=3, revision="step 1")
    with pytest.raises(StoreError, match="--revision 'step 1' --seed 3 --random_init$"):
        open_inputs(control)


def test_the_command_names_folders_that_the_environment_does_not(config, tmp_path):
    elsewhere = config.with_flags(results_dir=tmp_path / "else where")
    with pytest.raises(StoreError, match=f"--results_dir '{tmp_path}/else where'$"):
        open_inputs(elsewhere)


def test_an_unfinished_store(config):
    ZarrStore.open(config.store_folder()).discard_part(1)
    message = (
        r"1 of 3 parts of the activation store in .* are missing. Complete it with:\n  python get_activations.py --m"
    )
    with pytest.raises(StoreError, match=message):
        create_run(config)


def test_a_store_of_another_version_of_the_data_set(config):
    save_again(config, {})
    with pytest.raises(DatasetError, match="was made again after its activations were stored in .* --overwrite"):
        create_run(config)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"feature_dataset": "none.such"}, DatasetError, "no feature data set 'none.such'.*made.tiny.16.-1"),
        ({"feature_subset": ("strong", "stong")}, DatasetError, "has no feature stong; it has: strong, weak"),
        ({"layers": (1, 2)}, StoreError, "has no layer 2; it holds layers 0, 1"),
    ],
)
def test_an_unknown_data_set_feature_or_layer_is_an_error(config, change, error, message):
    with pytest.raises(error, match=message):
        create_run(config.with_flags(**change))
    assert not (config.activations.results_dir / "probing").exists()


def test_one_wrong_name_among_hundreds_of_features_lists_the_nearest(plant):
    labels = {f"n{i:03d}": np.where(np.arange(N_SEQUENCES) % 2, 1.0, -1.0) for i in range(40)}
    config = plant(**labels)
    with pytest.raises(DatasetError, match=r"has no feature n0077; it has: n007, .* and 32 more\.$") as error:
        create_run(config.with_flags(feature_subset=("n0077",)))
    assert str(error.value).count(", ") == 9
    with pytest.raises(DatasetError, match=r"takes multiclass features, and n000, .* and 32 more of made"):
        create_run(config.with_flags(experiment_type=("multinomial_sweep",)))


def test_a_store_of_another_model_of_the_same_short_name(config):
    with pytest.raises(StoreError, match="holds activations of tiny, not of elsewhere/tiny"):
        create_run(config.with_flags(model="elsewhere/tiny"))


def test_features_that_are_not_binary(config, monkeypatch):
    inputs = Inputs(save_again(config, {"weak": "regression"}), open_store(config.store_folder()), None)
    monkeypatch.setattr("sparse_probing.runs.planning.create_run.open_inputs", lambda _: inputs)
    message = "takes binary and multiclass features, and weak of .* are not.*--feature_subset"
    with pytest.raises(DatasetError, match=message):
        create_run(config.with_flags(feature_subset=("strong", "weak")))
    assert {task.features for task in tasks(config)} == {("strong",)}


def test_a_run_is_shown_with_its_studies_tasks_and_folder(config):
    run = create_run(config)
    assert repr(run) == f"<Run of {SWEEP}: 4 tasks on 2 layers, in {run.path}>"


def test_the_record_of_a_run_is_read_without_heavy_imports():
    heavy = ("torch", "scipy", "matplotlib", "sklearn", "transformers")
    modules = (
        "sparse_probing.config",
        "sparse_probing.runs.planning.run_record",
        "sparse_probing.runs.tasks.published_results",
    )
    script = f"import sys, {', '.join(modules)}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"ks": (1, 21)}, "--ks 21 is more than the 20 neurons of a layer. Choose at most 20."),
        (
            {"experiment_type": ("osp_prune_layer",), "iterative_pruning_fixed_k": 600},
            "--iterative_pruning_fixed_k 600 is more than the 20 neurons of a layer. Choose at most 20.",
        ),
    ],
)
def test_more_neurons_than_a_layer_has_are_refused_before_anything_runs(plant, flags, message):
    with pytest.raises(SettingsError, match=message):
        create_run(plant().with_flags(**flags))


def test_all_neurons_of_a_layer_and_limits_above_its_width_are_accepted(plant):
    create_run(plant().with_flags(ks=(1, 20), max_k=600, iterative_pruning_fixed_k=600))


def test_a_class_order_that_does_not_name_the_classes_is_refused_before_anything_runs(plant):
    mood = np.random.default_rng(5).integers(0, 3, N_SEQUENCES).astype(float)
    config = plant(kinds={"mood": "multiclass"}, classes={"mood": ("low", "middle", "high")}, mood=mood)
    reading = config.with_flags(experiment_type=("reading_probes",), feature_subset=("mood",))
    with pytest.raises(
        SettingsError, match="--class_order is low, high, and the classes of mood are low, middle, high"
    ):
        create_run(reading.with_flags(class_order=("low", "high")))
    assert create_run(reading.with_flags(class_order=("high", "middle", "low"))).tasks
    with pytest.raises(SettingsError, match="the classes of strong are -1, 1"):
        create_run(reading.with_flags(class_order=("high", "middle", "low"), feature_subset=("mood", "strong")))
