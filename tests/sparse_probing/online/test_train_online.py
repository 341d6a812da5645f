"""Online probes: the result rows of stage 2 on a store of the same rows, their metrics, and the probes themselves."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss, matthews_corrcoef, roc_auc_score

from probing_datasets.feature_dataset import load_feature_dataset
from probing_datasets.feature_dataset.probed_rows import ProbedRows, feature_rows
from probing_datasets.foundation.errors import DamagedFileError, ProbeError, SettingsError, TaskError
from sparse_probing import harvest, load_online, probe, train_online
from sparse_probing.config import SplitConfig
from sparse_probing.online.online_run import OnlineRun
from sparse_probing.studies.base.feature_splits import split_rows
from tests.builders.harvests import flip_bit, load_model_once
from tests.builders.online import MIXED, online_settings

STUDIES = {"binary": "dense_probe", "multiclass": "multinomial_sweep", "regression": "dense_regression_probe"}
PLACE = "blocks.1.mlp.hook_post"


@pytest.fixture(scope="module")
def config(tiny_model_dir, root, tmp_path_factory):
    return online_settings(
        tiny_model_dir,
        root,
        tmp_path_factory.mktemp("results"),
        pooling=("mean", "last"),
        further_locations=("hook_resid_post",),
        controls=("shuffled_labels",),
    )


@pytest.fixture(scope="module")
def run(config):
    return train_online(config)


@pytest.fixture(scope="module")
def store(config):
    """A store of the same rows."""
    flags = {name: config.flags()[name] for name in ("feature_dataset_dir", "results_dir")}
    return harvest(MIXED, config.activations.model, aggregation="mean", **flags)


@pytest.mark.parametrize(("kind", "study"), STUDIES.items())
def test_rows_are_those_of_stage_2_on_a_store_to_the_last_bit(run, config, store, kind, study):
    flags = {name: config.flags()[name] for name in ("feature_dataset_dir", "results_dir")}
    own = {"binary": {"feature_subset": ("German",)}, "multiclass": {"ks": (48,)}}.get(kind, {})
    stored = probe(store, MIXED, study, regularization=1.0, **own, **flags).rows
    online = run.rows[(run.rows["study"] == study) & (run.rows["aggregation"] == "mean")]
    online = online[online["hook_point"] == "mlp.hook_post"]
    keys, columns = ["feature", "layer", "control", "probe"], stored.columns.drop("experiment_name")
    one, two = (frame.sort_values(keys)[columns].reset_index(drop=True) for frame in (online, stored))
    assert len(one) > 3
    pd.testing.assert_frame_equal(one, two, check_exact=True, check_dtype=False)


def test_the_frame_has_one_row_for_every_place_pooling_and_label_set(run):
    metrics = run.metrics
    assert len(metrics) == len(run) == 2 * 2 * 2 * 3
    assert not metrics.duplicated(["place", "pooling", "label_set"]).any()
    assert set(metrics["status"].str.split(".").str[0]) == {"Exact"}
    written = pd.read_csv(run.path / "metrics.csv")
    pd.testing.assert_frame_equal(written, metrics, check_dtype=False, rtol=1e-14)
    of_classes = metrics[metrics["label_set"] != "length"]
    assert of_classes[["loss", "accuracy", "precision", "recall", "f1", "matthews", "roc_auc"]].notna().all(axis=None)
    assert metrics.loc[metrics["label_set"] == "length", ["loss", "r2"]].notna().all(axis=None)
    better = of_classes["roc_auc"] - of_classes["shuffled_roc_auc"]
    assert better[of_classes["pooling"] == "mean"].min() > 0.2  # a control with shuffled labels finds nothing


def test_measures_of_several_classes_are_those_of_scikit_learn(run, store):
    """Scores of the saved probe on rows of the store, at the test rows of the run."""
    saved = run[PLACE, "mean", "language"]
    row = run.metrics.set_index(["place", "pooling", "label_set"]).loc[(PLACE, "mean", "language")]
    labelled = feature_rows(run.dataset, "language", ProbedRows(*store.rows), "mean")
    (split,) = split_rows("language", "multiclass", labelled, SplitConfig(), 0)
    x, y = store.layer(1)[labelled.row[split.split.test]], labelled.label[split.split.test]
    scores = saved.scores_of(x)
    assert row["accuracy"] == pytest.approx((scores.argmax(1) == y).mean())
    assert row["matthews"] == pytest.approx(matthews_corrcoef(y, scores.argmax(1)))
    areas = [roc_auc_score(y == c, scores[:, c]) for c in range(4)]
    assert row["roc_auc"] == pytest.approx(np.mean(areas))
    frequencies = np.bincount(labelled.label[split.split.train].astype(int)) / len(split.split.train)
    probabilities = softmax(scores + np.log(frequencies), axis=1)  # the fit weighted classes equally
    assert row["loss"] == pytest.approx(log_loss(y, probabilities, labels=range(4)), rel=1e-5)


def test_probes_predict_new_texts_and_are_saved(run, tmp_path, tiny_model_dir):
    model = load_model_once(str(tiny_model_dir))
    saved = run[PLACE, "mean", "German"]
    texts = ["Der Hund schläft unter dem Tisch, und die Katze schaut ihm zu.", "The dog sleeps under the table."]
    np.testing.assert_array_equal(saved.predict(texts, model=model), saved.score(texts, model=model) > 0)
    saved.save(tmp_path / "german")
    assert run[PLACE, "last", "language"].predict(texts, model=model).shape == (2,)
    assert run[PLACE, "mean", "length"].predict(texts, model=model).dtype == float


def test_features_of_texts_are_what_the_probes_read(run, tiny_model_dir):
    model = load_model_once(str(tiny_model_dir))
    texts = ["A longer text comes first, of several words.", "Der Hund.", "The dog sleeps."]
    features = run.features(texts, model=model, batch_size=2)
    assert set(features) == {(place.location.name, place.pooling) for place in run.places}
    for pooling in ("mean", "last"):
        saved = run[PLACE, pooling, "German"]
        scores = saved.scores_of(features[PLACE, pooling])[:, 0]
        np.testing.assert_allclose(np.array(saved.score(texts, model=model)), scores, rtol=1e-4, atol=1e-4)
    with pytest.raises(ProbeError, match="Text 1 has no features"):
        run.features(["one", ""], model=model)


def test_submodules_are_places_and_their_probes_score_texts(tiny_model_dir, root, tmp_path, run):
    names = ("gpt_neox.layers.1.mlp.act", "gpt_neox.layers.1.attention.query_key_value", "blocks.1.mlp.hook_post")
    flags = {"probe_location": names[0], "further_locations": names[1:], "feature_subset": ("German",)}
    own = train_online(online_settings(tiny_model_dir, root, tmp_path, **flags))
    assert [place.location.name for place in own.places] == list(names[:2])  # the third is the first
    np.testing.assert_array_equal(own[names[0], "mean"].coef, run[PLACE, "mean", "German"].coef)
    model = load_model_once(str(tiny_model_dir))
    features = own.features(["Der Hund."], model=model)
    for name in names[:2]:
        score = np.array(own[name, "mean", "German"].score(["Der Hund."], model=model))
        np.testing.assert_allclose(own[name].scores_of(features[name, "mean"])[:, 0], score, rtol=1e-4, atol=1e-4)


def test_label_sets_of_several_data_sets_are_those_of_each_alone(tiny_model_dir, root, tmp_path, run, tiny_dataset):
    tiny_dataset.save(root / tiny_dataset.name)
    flags = {"further_datasets": (tiny_dataset.name,), "layers": (1,), "feature_subset": ("length", "Greek")}
    both = train_online(online_settings(tiny_model_dir, root, tmp_path, **flags))
    one, two = both[PLACE, "mean", "length"], run[PLACE, "mean", "length"]
    np.testing.assert_allclose(one.coef, two.coef, rtol=1e-4, atol=1e-4)
    assert one.provenance.dataset == MIXED
    assert both[PLACE, "mean", "Greek"].provenance.dataset == tiny_dataset.name


def test_data_sets_in_memory_and_by_name_in_one_pass(tiny_model_dir, root, tmp_path, run, tiny_dataset):
    mixed = load_feature_dataset(MIXED, root)
    in_memory = replace(mixed, description=replace(mixed.description, name="only.in.memory"))
    settings = {"further_datasets": (tiny_dataset.name,), "layers": (1,), "feature_subset": ("length", "Greek")}
    tiny_dataset.save(root / tiny_dataset.name)
    settings |= {"probe_location": "mlp.hook_post", "regularization": 1.0, "controls": (), "feature_dataset_dir": root}
    both = train_online(in_memory, str(tiny_model_dir), results_dir=tmp_path, **settings)
    np.testing.assert_allclose(
        both[PLACE, "mean", "length"].coef, run[PLACE, "mean", "length"].coef, rtol=1e-4, atol=1e-4
    )
    assert both[PLACE, "mean", "length"].provenance.dataset == "only.in.memory"
    assert both[PLACE, "mean", "Greek"].provenance.dataset == tiny_dataset.name


def test_a_data_set_that_was_made_again_is_refused(config, run, tmp_path, root, tiny_dataset):
    other = replace(tiny_dataset, description=replace(tiny_dataset.description, name=MIXED))
    with pytest.raises(ProbeError, match="is not what the run was trained on"):
        OnlineRun.open(run.path, [other])[PLACE, "mean", "German"]


def test_measures_of_a_cross_validation_are_means_over_its_folds(config, tmp_path):
    folds = train_online(
        config.with_flags(
            test_folds=3, results_dir=tmp_path, layers=(1,), pooling=("mean",), feature_subset=("German",)
        )
    )
    rows = folds.all_rows[(folds.all_rows["control"] == "") & (folds.all_rows["hook_point"] == "mlp.hook_post")]
    assert len(rows) == 3
    row = folds.metrics.set_index("place").loc[PLACE]
    assert row["n_test"] == rows["n_test"].sum() == rows["n_train"].iloc[0] + rows["n_test"].iloc[0]
    assert row["accuracy"] == pytest.approx(rows["test_accuracy"].mean(), rel=1e-12)
    assert np.isnan(row["test_roc_auc_low"])
    np.testing.assert_array_equal(folds[PLACE, "mean", "German"].coef[0], rows[rows["fold"] == 0]["coef"].item())


def test_keys_and_batch_sizes_that_mean_nothing(run):
    for key in ((), (None, "mean", "German"), (PLACE, "mean", "German", "more")):
        with pytest.raises(ProbeError, match="a place, a pooling and a label set"):
            run[key]
    with pytest.raises(ProbeError, match="batch_size must be at least 1"):
        run.features(["A text."], batch_size=0)


def test_a_run_is_read_from_its_folder_and_the_same_call_trains_nothing(run, config, monkeypatch):
    again = load_online(run.path)
    pd.testing.assert_frame_equal(again.metrics, run.metrics)
    np.testing.assert_array_equal(again[PLACE, "mean", "German"].coef, run[PLACE, "mean", "German"].coef)
    monkeypatch.setattr("sparse_probing.online.train_online.rows_of_batches", None)
    pd.testing.assert_frame_equal(train_online(config).metrics, run.metrics)


def test_nothing_is_written_outside_of_the_folder_of_the_run(run, config, store):
    written = {path for path in config.activations.results_dir.rglob("*") if path.is_file()}
    outside = {path for path in written if not path.is_relative_to(run.path)}
    assert {path.relative_to(config.activations.results_dir).parts[0] for path in outside} <= {"activations", "probing"}
    files = ["metrics.csv", "plan.json", "records", "rows.parquet"]
    assert sorted(p.name for p in run.path.iterdir()) == ["description.json", *files]


def test_what_does_not_exist_is_named(run, tmp_path):
    with pytest.raises(ProbeError, match=r"No probe has the place 'blocks\.9.*There are: blocks\.0"):
        run["blocks.9.mlp.hook_post", "mean", "German"]
    with pytest.raises(ProbeError, match="more than one pooling: .*Name one"):
        run[PLACE]
    with pytest.raises(ProbeError, match="There are: German"):
        run[PLACE, "mean", "germane"]
    with pytest.raises(TaskError, match="holds no finished run"):
        load_online(tmp_path)
    with pytest.raises(TaskError, match="There is no folder"):
        load_online(tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="holds all settings"):
        train_online(run.config, "demo")


def test_a_damaged_table_is_refused_and_made_again(tiny_model_dir, root, tmp_path):
    config = online_settings(tiny_model_dir, root, tmp_path, layers=(0,), feature_subset=("German",))
    run = train_online(config)
    content = (run.path / "rows.parquet").read_bytes()
    flip_bit(run.path / "rows.parquet")
    with pytest.raises(DamagedFileError, match="checksum differs"):
        load_online(run.path)
    (run.path / "rows.parquet").write_bytes(content[:-9])
    train_online(config)
    assert (run.path / "rows.parquet").read_bytes() == content


def test_a_loaded_model_and_a_data_set_in_memory_need_no_files(tiny_model_dir, root, tmp_path, run):
    dataset = load_feature_dataset(MIXED, root)
    model = load_model_once(str(tiny_model_dir))
    nowhere = tmp_path / "nowhere"
    own = train_online(
        dataset, model, layers=[1], results_dir=tmp_path, feature_dataset_dir=nowhere, regularization=1, controls=()
    )
    assert not nowhere.exists()
    np.testing.assert_array_equal(own[PLACE, "mean", "German"].coef, run[PLACE, "mean", "German"].coef)
