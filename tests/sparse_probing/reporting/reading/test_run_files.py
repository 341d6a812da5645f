"""A run of reading probes on chats of a tiny model: files, summary, probes that load, transfer, and honest tables."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score

from probing_datasets.collections.emotional_state import EmotionalStateConfig
from probing_datasets.feature_dataset.probed_rows import ProbedRows, feature_rows
from probing_datasets.foundation.errors import DatasetError, ProbeError, SettingsError, StoreError
from probing_datasets.make import make_dataset
from sparse_probing.activations.harvest import harvest
from sparse_probing.activations.stores import open_store
from sparse_probing.config import HarvestConfig, ProbingConfig
from sparse_probing.probes.inference.share_interval import accuracy_interval
from sparse_probing.reporting.reading.chosen_layers import read_features
from sparse_probing.reporting.reading.further_probes import further_probes, text_matrices
from sparse_probing.reporting.reading.run_files import write_reading_files
from sparse_probing.reporting.reading.transfer import transfer
from sparse_probing.reporting.report import report
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.load_results import load_results
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.planning.run_inputs import open_inputs
from sparse_probing.runs.planning.run_record import Task
from sparse_probing.runs.tasks.task_data import task_splits
from sparse_probing.saved_probes.probe_file import read_probe
from tests.builders.sources import write_table

COLOURS = {"red": "sun gift song", "green": "lake tea chair", "blue": "rain loss tear"}
STATES = {"happy": "sun gift song", "calm": "lake tea chair", "sad": "rain loss tear"}


def messages(labels, seed):
    """Return 40 messages for each label, each with words of its state among others."""
    rng, rows = np.random.default_rng(seed), []
    for label, words in labels.items():
        for _ in range(40):
            text = [
                *rng.choice(words.split(), 2),
                *rng.choice(["one", "two", "three", "four", "five", "six", "seven"], 5),
            ]
            rows.append({"text": " ".join(rng.permutation(text)), "label": label})
    return rows


@pytest.fixture(scope="module")
def settings(tiny_model_dir, tmp_path_factory) -> ProbingConfig:
    """Stores of chats with three states, and of others with two, at the last token."""
    root: Path = tmp_path_factory.mktemp("reading")
    folders = {"feature_dataset_dir": root / "datasets", "results_dir": root / "results"}
    sets = {
        "states": STATES,
        "moods": {"negative": STATES["sad"], "positive": STATES["happy"]},
        "same": STATES,
        "colours": COLOURS,
        "short": STATES,
        "unread": STATES,
    }
    texts = {name: messages(labels, seed) for seed, (name, labels) in enumerate(sets.items())}
    texts["same"] = texts["states"][::4] + texts["same"]
    for name, of_set in texts.items():
        source = write_table(root / f"{name}.parquet", of_set)
        options = {"tokenizer": str(tiny_model_dir), "source": source, "label_column": "label", "context_length": 64}
        make_dataset(EmotionalStateConfig(name=name, output_dir=folders["feature_dataset_dir"], **options))
        activations = {
            "model": str(tiny_model_dir),
            "feature_dataset": f"{name}.tiny.64.-1",
            "activation_aggregation": "last",
            "probe_location": "hook_resid_post",
        }
        layers = (1,) if name == "short" else ()
        for random_init in {"states": (False, True), "unread": ()}.get(name, (False,)):
            flags = {"random_init": random_init, "batch_size": 64, "layers": layers}
            harvest(HarvestConfig.from_flags(**activations, **folders, **flags))
    return ProbingConfig.from_flags(
        **activations | folders | {"feature_dataset": "states.tiny.64.-1"},
        experiment_type=("reading_probes",),
        cluster="debug",
        controls=("shuffled_labels", "random_init"),
        combined_layers=2,
        class_order=("happy", "calm", "sad"),
        test_feature_dataset=("moods.tiny.64.-1", "same.tiny.64.-1"),
    )


@pytest.fixture(scope="module")
def reported(settings):
    """Run and report; return the run, its rows, and what was printed."""
    run, printed = run_probing(settings), io.StringIO()
    report(run, Console(file=printed, width=160))
    return run, load_results(run), printed.getvalue()


def test_all_files_are_there_and_the_printed_line_names_the_choice(reported):
    run, rows, printed = reported
    names = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    figures = {"accuracy_over_layers", "confusion", "reliability", "training_curves", "transfer"}
    assert {f"figures/{name}.png" for name in figures} <= names
    assert {"probe_training_metrics.csv", "probe_training_summary.md", "transfer.csv"} <= names
    assert {f"probes/probe_at_layer_{layer}/probe.safetensors" for layer in (0, 1)} <= names
    (feature,) = read_features(rows)
    losses = feature.probes.set_index("layer")["validation_log_loss"]
    assert feature.layer == losses.idxmin()
    assert f"emotional_state: validation chose layer {feature.layer}; accuracy" in printed
    assert "bag of words" in printed


def test_the_summary_says_what_chose_what_beside_every_control(reported):
    run, rows, _ = reported
    text = (run.path / "probe_training_summary.md").read_text()
    assert "Test rows chose nothing" in text
    for name in ("shuffled labels", "random weights", "class means", "linear discriminant", "bag of words", "length"):
        assert name in text
    (feature,) = read_features(rows)
    assert f"| **{feature.layer}** |" in text
    for line in text.partition("as calm")[2].partition("Calibration error")[0].splitlines():
        if line.startswith("| happy"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert [int(cell) for cell in cells[1:4]] == feature.confusion[feature.class_names.index("happy")].tolist()


def test_the_metrics_have_a_line_for_every_C_and_mark_the_chosen_one(reported):
    run, rows, _ = reported
    metrics = pd.read_csv(run.path / "probe_training_metrics.csv")
    assert list(metrics.columns[:7]) == [
        "layer", "epoch", "train_loss", "train_accuracy", "val_accuracy", "best_accuracy", "is_best",
    ]  # fmt: skip
    assert len(metrics) == 2 * 13
    chosen = metrics[metrics["is_best"]].set_index("layer")["C"]
    (feature,) = read_features(rows)
    assert chosen.to_dict() == pytest.approx(feature.probes.set_index("layer")["regularization"].to_dict())
    assert metrics["loss_gap"].max() <= 1e-6


def test_a_saved_probe_has_the_scores_and_probabilities_of_its_row(reported, settings):
    run, rows, _ = reported
    (feature,) = read_features(rows)
    row = feature.chosen.iloc[0]
    probe = read_probe(run.path / "probes" / f"probe_at_layer_{feature.layer}")
    assert probe.classes == ("calm", "happy", "sad")
    assert probe.temperature == row["temperature"]
    assert probe.chat is not None
    x = open_store(settings.store_folder()).read(feature.layer).astype(np.float64)
    scores = x @ np.reshape(row["coef"], (3, -1)).T + row["class_intercepts"]
    assert probe.scores_of(x) == pytest.approx(scores, rel=1e-9)
    exp = np.exp(scores / row["temperature"])
    assert probe.probabilities_of(x) == pytest.approx(exp / exp.sum(axis=1, keepdims=True), rel=1e-9)


def test_transfer_matches_classes_by_name_and_orders_where_they_differ(reported, settings):
    run, rows, _ = reported
    table = pd.read_csv(run.path / "transfer.csv")
    same = table[table["test_dataset"] == "same.tiny.64.-1"]
    assert set(same["score"]) == {"all classes", "happy", "calm", "sad"}
    assert (same["label"].isin(["own class"]) | (same["score"] == same["label"])).all()
    # Those that the run's data set has too are left out; the accuracy is that of the others.
    own, other = (
        open_inputs(settings.with_flags(feature_dataset=f"{name}.tiny.64.-1", controls=()))
        for name in ("states", "same")
    )
    known = {tuple(tokens) for tokens in own.dataset.tokens(np.arange(120))}
    sequence = other.store.rows[0]
    is_new = np.array([tuple(tokens) not in known for tokens in other.dataset.tokens(sequence)])
    assert 30 <= (~is_new).sum() < 60
    assert set(same["n_shared"]) == {(~is_new).sum()}
    labelled = feature_rows(other.dataset, "emotional_state", ProbedRows(*other.store.rows), "last")
    (feature,) = read_features(rows)
    for row in feature.probes.to_dict("records"):
        x = other.store.read(row["layer"])[labelled.row].astype(np.float64)
        scores = x @ np.reshape(row["coef"], (3, -1)).T + row["class_intercepts"]
        of_layer = same[same["layer"] == row["layer"]].set_index("score")
        right = (scores.argmax(axis=1) == labelled.label)[is_new]
        assert of_layer.loc["all classes", "accuracy"] == pytest.approx(right.mean())
        assert of_layer.loc["all classes", "n"] == is_new.sum()
        for k, name in enumerate(row["class_names"]):
            area = roc_auc_score((labelled.label == k)[is_new], scores[is_new, k])
            assert of_layer.loc[name, "roc_auc"] == pytest.approx(area)
    moods = table[table["test_dataset"] == "moods.tiny.64.-1"]
    assert set(moods["score"]) == {"class order", "happy", "calm", "sad"}
    assert set(moods["label"]) == {"positive"}
    assert set(table["layer"]) == {0, 1}
    areas = table[table["roc_auc"].notna()]
    assert ((areas["roc_auc_low"] <= areas["roc_auc"]) & (areas["roc_auc"] <= areas["roc_auc_high"])).all()
    (feature,) = read_features(rows)
    assert set(table[table["is_chosen"]]["layer"]) == {feature.layer}


def test_transfer_finds_the_planted_direction(reported):
    run, _, _ = reported
    table = pd.read_csv(run.path / "transfer.csv")
    at = table[(table["test_dataset"] == "moods.tiny.64.-1") & (table["layer"] == 1)].set_index("score")["roc_auc"]
    assert at["happy"] > 0.6 > 0.4 > at["sad"]
    assert at["class order"] > 0.6


def test_a_bag_of_words_reads_the_words_and_the_length_does_not(reported):
    run, rows, _ = reported
    (feature,) = read_features(rows)
    table = further_probes(run, feature)
    assert table.loc["bag of words", "test_accuracy"] > 0.8
    assert table.loc["length", "test_accuracy"] < 0.65
    assert {"average of 2 layers", "concatenation of 2 layers"} <= set(table.index)


def test_the_bag_of_words_counts_tokens(settings):
    inputs = open_inputs(settings)
    (name, bag), *_ = text_matrices(inputs.dataset, inputs.store, "last")
    assert name == "bag of words"
    (tokens,) = inputs.dataset.tokens(np.array([int(inputs.store.rows[0][3])]))
    counts = np.unique(tokens, return_counts=True)[1]
    assert bag[3].sum() <= np.log1p(counts).sum() + 1e-4
    assert set(np.round(np.expm1(bag[3][bag[3] > 0])).astype(int)) <= set(counts)


def test_reporting_again_changes_no_file(reported):
    run, _, _ = reported
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path.suffix != ".png"}
    report(run, Console(file=io.StringIO(), width=80))
    assert {path: path.read_bytes() for path in before} == before


def test_a_report_without_other_data_sets_leaves_none_of_an_earlier_report(reported, settings):
    run, rows, _ = reported
    kept = {name: (run.path / name).read_bytes() for name in ("transfer.csv", "figures/transfer.png")}
    write_reading_files(replace(run, config=settings.with_flags(test_feature_dataset=())), rows)
    assert not any((run.path / name).exists() for name in kept)
    assert "On other data sets" not in (run.path / "probe_training_summary.md").read_text()
    write_reading_files(run, rows)
    assert (run.path / "transfer.csv").read_bytes() == kept["transfer.csv"]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("colours.tiny.64.-1", ProbeError, "No feature of colours.tiny.64.-1 has a class of a probe, or two classes"),
        ("missing.tiny.64.-1", DatasetError, "missing.tiny.64.-1"),
        ("states.tiny.64.-1", ProbeError, "has the texts and labels of the data set of the run"),
        ("short.tiny.64.-1", StoreError, "has no layer 0, which the run probes"),
        ("unread.tiny.64.-1", StoreError, "get_activations.py"),
    ],
)
def test_refuses_data_sets_that_cannot_be_compared(reported, settings, name, error, message):
    run, rows, _ = reported
    config = settings.with_flags(test_feature_dataset=(name,))
    with pytest.raises(error, match=message):
        transfer(replace(run, config=config), read_features(rows))
    # Before any task is run, too.
    with pytest.raises(error, match=message):
        create_run(config)


def test_a_data_set_that_is_named_twice_is_refused(settings):
    with pytest.raises(SettingsError, match="each data set of --test_feature_dataset once"):
        settings.with_flags(test_feature_dataset=("moods.tiny.64.-1", "moods.tiny.64.-1"))


def test_with_several_folds_each_fold_chooses_its_layer_and_all_groups_give_the_interval(settings):
    run = run_probing(settings.with_flags(test_folds=3, controls=(), test_feature_dataset=()))
    (feature,) = read_features(load_results(run))
    probes = feature.probes.set_index(["fold", "layer"])
    assert {fold: probes.loc[fold]["validation_log_loss"].idxmin() for fold in range(3)} == feature.layers
    assert feature.confusion.sum() == 120  # every row is tested once
    inputs, hits, groups = open_inputs(run.config), [], []
    task = Task("reading_probes", 0, (feature.feature,))
    for split in task_splits(run, task, inputs)[0]:
        row, test = probes.loc[(split.fold, feature.layers[split.fold])], split.split.test
        x = inputs.store.read(feature.layers[split.fold])[split.rows.row[test]].astype(np.float64)
        scores = x @ np.reshape(row["coef"], (3, -1)).T + row["class_intercepts"]
        hits.append(scores.argmax(axis=1) == split.rows.label[test])
        groups.append(split.rows.group[test])
    assert len(np.unique(np.concatenate(groups))) == sum(len(np.unique(of_fold)) for of_fold in groups)
    low, high = accuracy_interval(np.concatenate(hits), np.concatenate(groups))
    names, sentences = write_reading_files(run, feature.rows)
    text = (run.path / "probe_training_summary.md").read_text()
    assert "Each of 3 folds was the test set once" in text
    layers = ", ".join(str(feature.layers[fold]) for fold in range(3))
    chosen = f"layers {layers} in test folds 0, 1, 2"
    assert f"L{chosen[1:]}" in text
    share = np.concatenate(hits).mean()
    assert f"validation chose {chosen}; accuracy {share:.3f} ({low:.3f} to {high:.3f})" in sentences[0]
    assert "transfer.csv" not in names
    monitors = pd.read_csv(run.path / "probe_monitor_metrics.csv")
    assert len(monitors) == 3 * 2 * 3 * 3  # folds, layers, classes, rates


def test_adam_leaves_the_probe_after_the_last_epoch_too(settings):
    flags = {"solver": "adam", "epochs": 20, "layers": (1,), "controls": (), "test_feature_dataset": ()}
    run = run_probing(settings.with_flags(**flags))
    rows = load_results(run)
    write_reading_files(run, rows)
    row = read_features(rows)[0].chosen.iloc[0]
    best, last = (read_probe(run.path / "probes" / f"probe_at_layer_1{name}") for name in ("", "_final"))
    assert last.coef.ravel() == pytest.approx(row["last_coef"])
    # It was trained with sigmoids, and no temperature was fitted to it.
    assert (last.link, last.temperature, best.link) == ("sigmoid", 1.0, "softmax")
    scores = np.random.default_rng(0).standard_normal((5, 3))
    assert last.probabilities(scores) == pytest.approx(1 / (1 + np.exp(-scores)))
    excess = row["excess_over_optimum"]
    assert last.provenance.gap == pytest.approx(excess / (1 + excess))
    assert f"{excess:.2%} above its minimum" in last.provenance.status
    assert not last.provenance.converged
    assert last.provenance.metrics == {}
    assert best.provenance.gap == pytest.approx(row["duality_gap"])
    assert best.provenance.status == row["status"]
    metrics = pd.read_csv(run.path / "probe_training_metrics.csv")
    assert metrics["epoch"].tolist() == list(range(1, 21))
    assert metrics["val_accuracy"].notna().sum() == 2
    assert f"{row['excess_over_optimum']:.3f}" in (run.path / "probe_training_summary.md").read_text()


def test_every_probe_has_a_card_that_names_all_rows(reported):
    run, rows, _ = reported
    (feature,) = read_features(rows)
    row = feature.probes.set_index("layer").loc[1]
    card = (run.path / "probes" / "probe_at_layer_1" / "README.md").read_text()
    assert f"{row['n_train']} training, {row['n_validation']:.0f} validation and {row['n_test']} test rows" in card
    assert f"| accuracy | {row['test_accuracy']:.3f} |" in card


def test_the_monitor_metrics_are_in_a_table_and_in_the_summary(reported):
    run, rows, _ = reported
    (feature,) = read_features(rows)
    monitors = pd.read_csv(run.path / "probe_monitor_metrics.csv").set_index(["layer", "class", "false_positive_rate"])
    row = feature.probes.set_index("layer").loc[1]
    assert monitors.loc[(1, "happy", 0.05), "recall"] == pytest.approx(row["test_monitor_recall"][5])
    assert monitors.loc[(1, "sad", 0.05), "partial_roc_auc"] == pytest.approx(row["test_monitor_partial_roc_auc"][8])
    counts = feature.confusion.sum(axis=1)
    assert monitors.loc[(1, "calm", 0.01), "n_negative"] == counts[1] + counts[2]
    assert "cannot be measured" in monitors.loc[(1, "calm", 0.001), "note"]
    text = (run.path / "probe_training_summary.md").read_text()
    at = monitors.loc[(feature.layer, "happy", 0.05)]
    assert f"| happy | 5.0% | {at['recall']:.3f}" in text
