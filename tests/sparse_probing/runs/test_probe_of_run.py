"""Probes of real runs on the demo model: saved, loaded, and equal to the run on its own test texts."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss, r2_score

import probing_experiment
import sparse_probing as sp
from probing_datasets.demo import DEMO_MODEL_PATH
from probing_datasets.feature_dataset.probed_rows import ProbedRows, feature_rows
from probing_datasets.foundation.errors import ProbeError
from probing_datasets.make import make_dataset
from sparse_probing.models import load_model
from sparse_probing.neurons.ranked_neurons import write_ranked_neurons
from sparse_probing.runs.probe_of_run import probe_of_run
from tests.builders.runs import run_script

LANGUAGES = ("English", "German", "French")
LAYER = 1

STUDIES = {
    "heuristic_sparsity_sweep": ("german", {"k": 1}, {"max_k": 4}),
    "all_neurons": ("german", {}, {}),
    "l1_path": ("german", {}, {"max_k": 8}),
    "optimal_sparse_probing": (
        "german",
        {"k": 2, "probe": "optimal_hinge"},
        {"osp_upto_k": 2, "osp_heuristic_filter_size": 10},
    ),
    "dense_probe": ("german", {}, {}),
    "multinomial_sweep": ("language", {"k": 4, "probe": "multinomial"}, {"max_k": 4}),
    "heuristic_sparse_regression_sweep": ("length", {"k": 4}, {"max_k": 4}),
    "dense_regression_probe": ("length", {}, {}),
}
"""Feature, choice and settings of each study."""


@pytest.fixture(scope="module")
def table() -> list[dict]:
    """Texts with the language, whether it is German, and the length; the last topics are for the test."""
    lines = (DEMO_MODEL_PATH.parent / "natural_lang.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["label"] in LANGUAGES]
    topics = sorted({row["group"] for row in rows})
    return [
        {
            "text": row["text"],
            "language": row["label"],
            "german": "yes" if row["label"] == "German" else "no",
            "length": float(len(row["text"])),
            "group": row["group"],
            "split": "test" if topics.index(row["group"]) >= 20 else "train",
        }
        for row in rows
    ]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return {"feature_dataset_dir": root / "feature_datasets", "results_dir": root / "results"}


@pytest.fixture(scope="module")
def store(table, places):
    file = places["results_dir"].parent / "texts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    dataset = make_dataset(
        "labelled_text",
        tokenizer="demo",
        source=str(file),
        label_column="language",
        further_labels=("german", "length"),
        label_kind="auto",
        split_column="split",
        group_column="group",
        output_dir=places["feature_dataset_dir"],
    )
    return dataset, sp.harvest(
        dataset, model="demo", aggregation="mean", layers=(LAYER,), output_precision="32", **places
    )


@pytest.fixture(scope="module")
def held_out(store, table, model):
    """A function from a feature to the stored activations, the labels and the texts of its test rows."""

    def of_feature(feature: str):
        dataset, activations = store
        rows = feature_rows(dataset, feature, ProbedRows(*activations.rows), "mean")
        is_test = rows.in_test
        decoded = [model.tokenizer.decode(ids[1:]).strip() for ids in dataset.tokens(rows.sequence[is_test])]
        text_of = {line["text"].strip(): line for line in table}
        assert all(text_of[text]["split"] == "test" for text in decoded)
        return activations.read(LAYER)[rows.row[is_test]], rows.label[is_test], [text_of[d]["text"] for d in decoded]

    return of_feature


@pytest.fixture(scope="module")
def model():
    return load_model("demo")


@pytest.fixture
def result_of(store, places):
    def fit(study: str, **settings):
        dataset, activations = store
        settings = {"controls": (), "layers": (LAYER,)} | settings
        return sp.probe(activations, dataset, study, **settings, **places)

    return fit


@pytest.mark.parametrize("study", STUDIES)
def test_a_saved_and_loaded_probe_is_that_of_the_run(study, result_of, held_out, model, tmp_path):
    feature, choice, settings = STUDIES[study]
    result = result_of(study, feature_subset=(feature,), **settings)
    probe = result.saved_probe(feature, LAYER, **choice)
    probe.save(tmp_path / "probe")
    loaded = sp.load_probe(tmp_path / "probe")

    # The row that is meant, chosen here from the table of the run.
    rows = result.rows[(result.rows["control"] == "") & (result.rows["feature"] == feature)]
    rows = rows[[np.array_equal(support, loaded.support) for support in rows["support"]]]
    rows = rows[rows["probe"] == loaded.provenance.probe]
    row = (rows[rows["chosen"]] if study == "l1_path" else rows).iloc[0]
    stored, y, texts = held_out(feature)
    scores = loaded.score(texts, model=model)

    # The scores of the run: its coefficients times the stored activations of the same texts.
    x = stored[:, row["support"]].astype(float)
    n_outputs = len(row["coef"]) // len(row["support"])
    intercept = row["intercept"] if n_outputs == 1 else row["class_intercepts"]
    expected = x @ np.reshape(row["coef"], (n_outputs, -1)).T + intercept
    np.testing.assert_allclose(scores.reshape(len(texts), -1), expected, atol=1e-5)

    # And its test metric, computed by scikit-learn from the predictions of the loaded probe.
    predicted = loaded.predict(texts, model=model)
    if feature == "german":
        assert f1_score(y > 0, predicted) == pytest.approx(row["test_f1_score"], abs=1e-9)
    elif feature == "language":
        assert accuracy_score(np.array(sorted(LANGUAGES))[y.astype(int)], predicted) == row["test_accuracy"]
    else:
        assert r2_score(y, predicted) == pytest.approx(row["test_r2"], abs=1e-5)


@pytest.fixture(scope="module")
def sweep(store, places):
    """A run of two studies with a control, as the command line makes it."""
    dataset, activations = store
    settings = {"max_k": 2, "controls": ("shuffled_labels",), "layers": (LAYER,), "feature_subset": ("german",)}
    return sp.probe(activations, dataset, "heuristic_sparsity_sweep", **settings, **places)


def test_the_origin_of_a_probe_is_that_of_its_row(sweep):
    probe = sweep.saved_probe("german", LAYER, k=2)
    row = sweep.rows[(sweep.rows["k"] == 2) & (sweep.rows["control"] == "")].iloc[0]
    control = sweep.rows[(sweep.rows["k"] == 2) & (sweep.rows["control"] == "shuffled_labels")].iloc[0]
    origin = probe.provenance
    assert (origin.study, origin.probe, origin.ranking) == ("heuristic_sparsity_sweep", "logistic", row["ranking"])
    assert (origin.n_train, origin.n_test) == (row["n_train"], row["n_test"])
    assert origin.class_counts == {"1": row["n_positive_train"], "-1": row["n_train"] - row["n_positive_train"]}
    assert origin.gap == row["newton_decrement"] < 1e-6
    assert origin.regularization == row["regularization"]
    assert origin.metrics["test_f1_score"] == row["test_f1_score"]
    assert origin.metrics["shuffled_labels/test_f1_score"] == control["test_f1_score"]
    assert origin.versions["numpy"] == np.__version__
    assert origin.source == "texts.jsonl"  # not the folder, which may name a person


def test_probabilities_are_those_that_the_run_calibrated(sweep, held_out):
    """The log loss of the probabilities, by scikit-learn, is that of the row."""
    probe = sweep.saved_probe("german", LAYER, k=2)
    row = sweep.rows[(sweep.rows["k"] == 2) & (sweep.rows["control"] == "")].iloc[0]
    stored, y, _ = held_out("german")
    assert log_loss(y > 0, probe.probabilities_of(stored)[:, 0]) == pytest.approx(row["test_log_loss"], abs=1e-6)


def test_what_cannot_be_saved_says_why(sweep, result_of):
    for choice, message in {
        ("french", LAYER): "No probe has feature 'french'. There are: german",
        ("german", 3): "No probe has layer 3. There are: 1",
        ("german", LAYER, 7): "No probe has k 7. There are: 1, 2",
        ("german", LAYER, 1, "l1_path"): "No probe has study 'l1_path'",
        ("german", LAYER, 1, None, "optimal_hinge"): "No probe has probe 'optimal_hinge'. There are: logistic",
        ("german", LAYER, 1, None, None, 511): "No probe of 'german' at layer 1 is of the single neuron 511",
    }.items():
        with pytest.raises(ProbeError, match=message):
            sweep.saved_probe(*choice)
    rotated = result_of("heuristic_sparsity_sweep", basis="rotation", max_k=1, feature_subset=("german",))
    with pytest.raises(ProbeError, match="its probes read random directions"):
        rotated.saved_probe("german", LAYER)


def test_one_neuron_is_chosen_by_its_number(result_of):
    result = result_of("enumerate_monosemantic", n_neurons=3, feature_subset=("german",))
    worst = result.rows.sort_values("train_f1_score").iloc[0]
    probe = result.saved_probe("german", LAYER, neuron=int(worst["support"][0]))
    assert probe.coef.tolist() == [[worst["coef"][0]]]


def test_the_number_of_neurons_does_not_undo_the_choice_of_validation_rows(result_of):
    result = result_of("reading_probes", feature_subset=("german",))
    rows = result._rows.copy()
    is_chosen = rows["chosen"].isin([True]) & (rows["control"] == "")
    rows.loc[is_chosen, "train_f1_score"] = 0.0  # training rows would choose another
    chosen = rows[is_chosen].iloc[0]
    assert (rows.loc[rows["k"] == chosen["k"], "train_f1_score"] > 0).any()
    for k in (None, int(chosen["k"])):
        probe = probe_of_run(result.run, rows, "german", LAYER, k=k)
        np.testing.assert_allclose(probe.coef[0], chosen["coef"])


def test_the_command_saves_a_probe(sweep, monkeypatch, capsys, tmp_path):
    def save(*arguments):
        return run_script(probing_experiment, ["save", sweep.path, *arguments], monkeypatch, capsys)

    choice = ["--feature", "german", "--layer", LAYER, "--k", "2", "--to", tmp_path / "probe"]
    status, out, err = save(*choice)
    assert (status, err) == (0, "")
    assert out == f"logistic of 2 neurons, layer {LAYER}, is saved in {tmp_path / 'probe'}\n"
    assert np.array_equal(sp.load_probe(tmp_path / "probe").coef, sweep.saved_probe("german", LAYER, k=2).coef)
    status, _, err = save(*choice)
    assert status == 1
    assert "holds a saved probe. Choose another folder, or replace the probe with --overwrite" in err
    assert save(*choice[:4], "--k", "1", *choice[6:], "--overwrite")[0] == 0
    assert len(sp.load_probe(tmp_path / "probe").support) == 1


def test_the_command_takes_the_csv_that_runs_prints(result_of, places, monkeypatch, capsys, tmp_path):
    run = result_of("enumerate_monosemantic", n_neurons=3, feature_subset=("german",)).run
    write_ranked_neurons(run, run.path / "ranked_neurons.csv")
    arguments = ["runs", "--results_dir", places["results_dir"]]
    _, out, _ = run_script(probing_experiment, arguments, monkeypatch, capsys)
    csv = next(line.split()[-1] for line in out.splitlines() if str(run.path) in line)
    assert csv == str(run.path / "ranked_neurons.csv")
    choice = ["--feature", "german", "--layer", LAYER, "--to", tmp_path / "probe"]
    status, _, err = run_script(probing_experiment, ["save", csv, *choice], monkeypatch, capsys)
    assert (status, err) == (0, "")
    assert sp.load_probe(tmp_path / "probe").feature == "german"


def test_the_command_without_a_run(monkeypatch, capsys, tmp_path):
    arguments = ["save", tmp_path, "--feature", "a", "--layer", "0", "--to", tmp_path / "probe"]
    status, _, err = run_script(probing_experiment, arguments, monkeypatch, capsys)
    assert status == 1
    assert f"There is no run in {tmp_path}" in err


def test_every_test_fold_has_its_probe(result_of, model, monkeypatch, capsys, tmp_path):
    result = result_of("dense_probe", feature_subset=("german",), test_folds=3)
    rows = result.rows[result.rows["control"] == ""].set_index("fold")
    choice = ["--feature", "german", "--layer", LAYER, "--to", tmp_path / "probe", "--overwrite"]
    for fold, flags in ((0, []), (2, ["--fold", "2"])):
        status, out, err = run_script(probing_experiment, ["save", result.path, *choice, *flags], monkeypatch, capsys)
        assert (status, err) == (0, "")
        assert f"test fold {fold} of 3 (from 0), is saved" in out
        loaded = sp.load_probe(tmp_path / "probe")
        assert loaded.coef.ravel() == pytest.approx(rows.loc[fold, "coef"])
        assert loaded.provenance.metrics["test_f1_score"] == rows.loc[fold, "test_f1_score"]
        assert (loaded.provenance.test_fold, loaded.provenance.n_test_folds) == (fold, 3)
        assert f"test rows of test fold {fold} of 3" in (tmp_path / "probe" / "README.md").read_text()
    with pytest.raises(ProbeError, match="No probe has fold 3. There are: 0, 1, 2"):
        result.saved_probe("german", LAYER, fold=3)


def test_the_command_sets_a_threshold_on_benign_texts(sweep, table, model, monkeypatch, capsys, tmp_path):
    def save(*arguments):
        choice = ["--feature", "german", "--layer", LAYER, "--k", "2", "--to", tmp_path / "probe"]
        return run_script(probing_experiment, ["save", sweep.path, *choice, *arguments], monkeypatch, capsys)

    new = [f"{row['text']} Indeed." for row in table if row["language"] == "English"][:40]
    of_run = [row["text"] for row in table[:3]]
    pd.DataFrame({"text": [*new, *of_run]}).to_csv(tmp_path / "calm.csv", index=False)
    status, out, err = save("--benign_texts", tmp_path / "calm.csv", "--false_positive_rate", "0.1")
    assert status == 0, err
    loaded = sp.load_probe(tmp_path / "probe")
    assert loaded.threshold == pytest.approx(np.sort(loaded.score(new, model=model))[-1 - len(new) // 10])
    assert loaded.threshold_origin.startswith(f"at most 0.1 of the {len(new)} benign scores of calm.csv")
    assert "left out: 3 texts in the data set of the probe" in loaded.threshold_origin
    assert f"threshold {loaded.threshold:.6g}: {loaded.threshold_origin}" in out
    for arguments, message in {
        ("--benign_texts", tmp_path / "no.csv"): "There is no file",
        ("--pooling", "max", "--false_positive_rate", "0.1"): "--false_positive_rate, --pooling without --benign_texts",
        ("--benign_texts", tmp_path / "calm.csv"): "holds a saved probe",
    }.items():
        status, _, err = save(*arguments)
        assert status == 1
        assert message in err
