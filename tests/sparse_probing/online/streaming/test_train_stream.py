"""Streaming learners in the pass: their optimum, early stopping, nulls, groups, resuming, chance."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from probing_datasets.foundation.errors import ModelMemoryError, SettingsError
from sparse_probing import train_online
from sparse_probing.models import LanguageModel
from sparse_probing.online import checkpoints
from sparse_probing.online.learners.moments import Moments
from sparse_probing.online.online_run import OnlineRun
from sparse_probing.online.pass_over_texts import rows_of_batches, text_batches
from sparse_probing.online.streaming import train_stream as module
from sparse_probing.online.streaming.label_matrix import label_matrix, rows_of_part
from sparse_probing.online.streaming.stream_rows import balanced_threshold
from sparse_probing.online.train_online import run_online
from tests.builders.harvests import file_contents, flip_bit, load_model_once
from tests.builders.online import NULLS, prepare_with

PLACE = "blocks.1.mlp.hook_post"


@pytest.fixture
def prepare(tiny_model_dir, root, tmp_path):
    def prepared(**flags):
        return prepare_with(tiny_model_dir, root, tmp_path, regularization=None, **flags)

    return prepared


@pytest.fixture
def train(prepare):
    def trained(**flags):
        prepared = prepare(**flags)
        assert run_online(prepared)
        return OnlineRun.open(prepared.folder)

    return trained


def trained_rows(prepared):
    """Return the result rows and the failures of one process."""
    results = module.score_stream(module.train_stream(prepared))
    assert results is not None
    return results


def test_a_group_of_the_validation_or_test_part_never_trains(prepare, monkeypatch):
    seen = []
    update = Moments.update
    monkeypatch.setattr(
        Moments, "update", lambda self, rows, y: (seen.append((len(rows), y)), update(self, rows, y))[1]
    )
    prepared = prepare(learner="moments", layers=(0,))
    matrix = label_matrix(prepared)
    groups = [set(prepared.dataset.group_codes[part].tolist()) for part in vars(matrix.parts).values()]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    rows, failures = trained_rows(prepared)
    assert failures == {}
    assert sum(n for n, _ in seen) == len(matrix.parts.train)
    # Texts without a label of German are null there: neither trained on nor scored.
    german = next(row for row in rows if row["feature"] == "German")
    assert german["n_train"] == np.count_nonzero(matrix.parts.train % NULLS)
    assert german["n_test"] == np.count_nonzero(matrix.parts.test % NULLS)
    n_nulls = sum(int(y[:, 0].isnan().sum()) for _, y in seen)
    assert n_nulls == np.count_nonzero(matrix.parts.train % NULLS == 0)


@pytest.mark.parametrize("pooling", ["mean", "none"])
def test_moments_are_exact_for_squared_loss_and_better_than_chance(train, pooling):
    run = train(learner="moments", pooling=(pooling,), controls=("shuffled_labels",))
    metrics = run.metrics
    assert len(metrics) == 2 * 3
    assert metrics["status"].str.startswith("Exact for squared loss.").all()
    of_classes = metrics[(metrics["label_set"] != "length") & (metrics["layer"] == 1)]
    assert (of_classes["roc_auc"] > {"mean": 0.8, "none": 0.58}[pooling]).all()
    assert (of_classes["shuffled_roc_auc"] < 0.75).all()
    assert run[PLACE, pooling, "language"].classes == ("English", "French", "German", "Greek")


def test_adamw_says_that_it_did_not_converge_and_stops_early(prepare, monkeypatch):
    read = []
    inner = module.rows_of_batches

    def recorded(prepared, batches, places, *arguments, **keywords):
        for batch, rows in inner(prepared, batches, places, *arguments, **keywords):
            read.append(len(rows))
            yield batch, rows

    monkeypatch.setattr(module, "rows_of_batches", recorded)
    flags = {"learner": "adamw", "feature_subset": ("German",), "batch_size": 8}
    rows, _ = trained_rows(prepare(**flags, epochs=6, patience=0))
    n_whole = len(read)
    read.clear()
    stopped, _ = trained_rows(prepare(**flags, epochs=6, patience=1, warmup_steps=2, threshold=0.5))
    assert {row["status"] for row in rows + stopped} == {"Stopped, not converged."}
    assert len(read) < 0.75 * n_whole
    assert read[-1] == 2  # test texts are read at all places


def test_an_interrupted_run_gives_the_same_bytes(prepare, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    for learner in ("moments", "adamw"):
        prepared = prepare(learner=learner, batch_size=16, feature_subset=("German",), patience=3, warmup_steps=3)
        assert run_online(prepared)
        whole = file_contents(prepared.folder, "rows.parquet")
        for path in sorted(prepared.folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        calls = []
        inner = module.StreamState.finished

        def killed(self, n_batches, calls=calls, inner=inner):
            inner(self, n_batches)
            calls.append(n_batches)
            if len(calls) == 5:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(module.StreamState, "finished", killed)
            with pytest.raises(KeyboardInterrupt):
                run_online(prepared)
        assert (prepared.folder / "checkpoints" / "stream-0-of-1.safetensors").exists()
        assert run_online(prepared)
        assert file_contents(prepared.folder, "rows.parquet") == whole
        assert not (prepared.folder / "checkpoints").exists()


def test_batches_in_pieces_are_resumed_after_whole_ones(prepare, monkeypatch):
    """A batch that does not fit into memory arrives in pieces, and an interruption comes between two of them."""
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    run = LanguageModel.run

    def small_memory(self, tokens, mask, hooks):
        if len(tokens) > 4:
            raise ModelMemoryError("full")
        run(self, tokens, mask, hooks)

    update, calls = Moments.update, []

    def killed(self, rows, labels):
        calls.append(len(rows))
        if len(calls) == 23:
            raise KeyboardInterrupt
        update(self, rows, labels)

    monkeypatch.setattr(LanguageModel, "run", small_memory)
    flags = {"learner": "moments", "batch_size": 16, "feature_subset": ("German",), "layers": (1,), "patience": 3}
    prepared = prepare(**flags)
    assert run_online(prepared)
    whole = file_contents(prepared.folder, "rows.parquet")
    for path in sorted(prepared.folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Moments, "update", killed)
        with pytest.raises(KeyboardInterrupt):
            run_online(prepared)
    assert max(calls) == 4
    assert run_online(prepared)
    assert file_contents(prepared.folder, "rows.parquet") == whole


def test_a_place_that_has_stopped_learns_nothing_more(prepare, monkeypatch):
    """Also where another pooling of its location still learns."""
    prepared = prepare(learner="moments", pooling=("mean", "last"), layers=(1,), batch_size=8, patience=3)
    updates, update, check = [], Moments.update, module._check
    learning = {}

    def stop_the_mean(each, plan, place):
        check(each, plan, place)
        learning[id(each.learner)] = place.pooling
        if place.pooling == "mean":
            for stopper in each.stoppers:
                stopper.stopped = True
                updates.clear()

    def recorded(self, rows, labels):
        updates.append(learning.get(id(self)))
        update(self, rows, labels)

    monkeypatch.setattr(module, "_check", stop_the_mean)
    monkeypatch.setattr(Moments, "update", recorded)
    trained_rows(prepared)
    assert updates
    assert "mean" not in updates


def test_a_threshold_is_that_of_a_balanced_logistic_regression():
    rng = np.random.default_rng(0)
    codes = np.arange(200) % 8 == 0
    scores = rng.normal(size=200) + 3 * codes + 5
    standard = (scores - scores.mean()) / scores.std()
    peer = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-10).fit(standard[:, None], codes)
    expected = scores.mean() - scores.std() * peer.intercept_.item() / peer.coef_.item()
    assert balanced_threshold(scores, codes.astype(np.int64)) == pytest.approx(expected, rel=1e-5)
    assert balanced_threshold(-scores, codes.astype(np.int64)) == 0
    assert balanced_threshold(scores, np.ones(200, np.int64)) == 0
    assert balanced_threshold(scores[:0], codes[:0].astype(np.int64)) == 0


def test_a_rare_class_is_not_predicted_everywhere_after_a_few_steps(train):
    """Of few steps the intercept is far from its optimum: the threshold comes from validation rows."""
    run = train(learner="adamw", feature_subset=("German",), epochs=2, controls=())
    row = run.rows.iloc[-1]
    share = row["n_positive_test"] / row["n_test"]
    assert share < 0.2
    predicted = run.metrics["recall"] * share / run.metrics["precision"]
    assert (predicted < 0.5).all()
    assert (run.metrics["recall"] > 0.5).all()


def test_settings_that_these_learners_do_not_use_are_refused(prepare):
    for flags, message in (
        ({"controls": ("rotation",)}, "has the control shuffled_labels only"),
        ({"n_trials": 3}, "does not use --n_trials: only rows do"),
        ({"ks": (1, 2), "tuning_folds": 3}, "does not use --ks, --tuning_folds"),
        ({"test_folds": 3}, "does not use --test_folds"),
    ):
        for learner in ("moments", "adamw"):
            with pytest.raises(SettingsError, match=message):
                prepare(learner=learner, **flags)


def test_what_streaming_learners_cannot_do_is_refused(prepare):
    with pytest.raises(SettingsError, match="--epochs is for adamw"):
        prepare(learner="moments", epochs=2)
    with pytest.raises(SettingsError, match="runs in one process"):
        prepare(learner="adamw", world_size=2)
    with pytest.raises(SettingsError, match="nothing can be stopped early"):
        prepare(learner="moments", world_size=2, patience=3)
    with pytest.raises(SettingsError, match="--then fits studies to rows"):
        prepare(learner="moments", then=("all_neurons",))
    with pytest.raises(SettingsError, match="places need [0-9.]+ KB, and --memory is 1KB"):
        trained_rows(prepare(learner="moments", memory="1KB"))


def test_the_same_probe_predicts_new_texts(train, tiny_model_dir):
    run = train(learner="moments", feature_subset=("German", "length"))
    model = load_model_once(str(tiny_model_dir))
    saved = run[PLACE, "mean", "German"]
    probability = saved.predict_proba(["Der Hund schläft."], model=model)
    assert 0 < probability[0] < 1
    assert run[PLACE, "mean", "length"].predict(["A short text."], model=model).shape == (1,)
    assert isinstance(run.metrics, pd.DataFrame)
    assert train_online(run.config).metrics.equals(run.metrics)


@pytest.mark.parametrize("label_set", ["German", "language"])
def test_probabilities_and_loss_have_the_frequencies_of_the_classes(prepare, tiny_model_dir, label_set):
    """The loss of the frame is that of the saved probe's probabilities."""
    prepared = prepare(learner="moments", layers=(1,), feature_subset=(label_set,))
    run = train_online(prepared.config)
    matrix, saved = label_matrix(prepared), run[PLACE, "mean", label_set]
    labels = matrix.rows["mean"].labels[:, 0]
    train, test = (rows_of_part(matrix.rows["mean"], part) for part in (matrix.parts.train, matrix.parts.test))
    train, test = train[~np.isnan(labels[train])], test[~np.isnan(labels[test])]
    share = np.unique(labels[train], return_counts=True)[1] / len(train)
    odds = np.log(share[1:]) - np.log(share[:1]) if label_set == "German" else np.log(share)
    np.testing.assert_allclose(saved.prior, odds)

    batches = text_batches(prepared, np.unique(matrix.rows["mean"].sequence[test]))
    x = np.empty((len(labels), prepared.places[0].location.width))
    for _, batch in rows_of_batches(prepared, batches, lambda: prepared.places, torch.float32):
        for own, rows in batch.values():
            x[own] = rows.numpy()
    probability = saved.probabilities_of(x[test])
    measured = run.metrics["loss"].item()
    whole = np.hstack([1 - probability, probability]) if label_set == "German" else probability
    assert measured == pytest.approx(log_loss(labels[test], whole), rel=1e-6)


@pytest.mark.parametrize("learner", ["moments", "adamw"])
def test_a_probe_that_learns_nothing_has_the_loss_of_the_frequencies(prepare, learner):
    flags = {"learner": learner, "layers": (1,), "feature_subset": ("German",), "controls": ("shuffled_labels",)}
    rows, _ = trained_rows(prepare(**flags))
    (control,) = [row for row in rows if row["control"]]
    share = control["n_positive_test"] / control["n_test"]
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert entropy < 0.4  # with equal frequencies the loss would be .69
    assert control["test_log_loss"] == pytest.approx(entropy, abs=0.1)


def test_a_plan_is_what_its_file_holds_and_the_same_call_reads_the_run(prepare):
    prepared = prepare(learner="moments", feature_subset=("German",), layers=(0, 1), controls=())
    assert prepared.plan == json.loads(json.dumps(prepared.plan))
    first, again = (train_online(prepared.config).metrics for _ in range(2))
    assert first.equals(again)


def test_the_sums_of_several_processes_are_those_of_one(prepare, monkeypatch):
    """Equal to one process up to rounding, and the same bytes, whichever is last and whatever was interrupted."""
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    flags = {"learner": "moments", "batch_size": 16, "layers": (1,)}

    def shares():
        return [prepare(**flags, world_size=3, rank=rank) for rank in range(3)]

    def published(prepared):
        content = file_contents(prepared.folder, "rows.parquet")
        assert not (prepared.folder / "checkpoints").exists()
        for path in sorted(prepared.folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        return content

    assert run_online(prepare(**flags))
    one = OnlineRun.open(prepare(**flags).folder).all_rows
    published(prepare(**flags))
    assert [run_online(share) for share in shares()] == [False, False, True]
    rows = OnlineRun.open(shares()[0].folder).all_rows
    for row in one.to_dict("records"):
        matching = [rows[name] == row[name] for name in ("feature", "aggregation")]
        (same,) = rows[np.logical_and(*matching)].to_dict("records")
        np.testing.assert_allclose(same["coef"], row["coef"], rtol=1e-9, atol=1e-9 * np.abs(row["coef"]).max())
        measure = "test_r2" if row["feature"] == "length" else "test_accuracy"
        assert same[measure] == pytest.approx(row[measure], rel=1e-9)
        assert (same["n_train"], same["regularization"]) == (row["n_train"], row["regularization"])
    whole = published(shares()[0])

    # Another process is last; one is interrupted while it learns, and the last one while it scores test texts.
    inner = module.StreamState.finished

    def killed(self, n_batches):
        inner(self, n_batches)
        if n_batches == 2:
            raise KeyboardInterrupt

    first, second, third = shares()
    with monkeypatch.context() as patch:
        patch.setattr(module.StreamState, "finished", killed)
        with pytest.raises(KeyboardInterrupt):
            run_online(third)
    assert not run_online(second)
    assert not run_online(third)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_result_rows", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_online(first)
    flip_bit(first.folder / "checkpoints" / "stream-1-of-3.safetensors")
    assert not run_online(first)  # the damaged sums are made again by their process, which is then the last
    assert run_online(second)
    assert published(first) == whole
