"""Attention pooling in the pass: scores beside a softmax by hand, chance, resuming, saved probes, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from probing_datasets.feature_dataset import load_feature_dataset
from probing_datasets.foundation.errors import SettingsError
from sparse_probing.monitoring.apply import apply_probes
from sparse_probing.online import checkpoints
from sparse_probing.online.learners.padded_attention import mask_of
from sparse_probing.online.online_run import OnlineRun
from sparse_probing.online.pass_over_texts import pad_texts, rows_of_batches, text_batches
from sparse_probing.online.prepare import prepare_online
from sparse_probing.online.streaming import train_stream
from sparse_probing.online.streaming.label_matrix import label_matrix
from sparse_probing.online.train_online import run_online
from sparse_probing.saved_probes.load_probe import load_probe
from tests.builders.harvests import file_contents, load_model_once
from tests.builders.online import LANGUAGES, MIXED, mixed_dataset, online_settings, prepare_with

PLACE = "blocks.1.mlp.hook_post"


@pytest.fixture
def prepare(tiny_model_dir, root, tmp_path):
    def prepared(**flags):
        own = {"learner": "adamw", "pooling": ("attention",), "layers": (1,), "feature_subset": ("German", "language")}
        return prepare_with(tiny_model_dir, root, tmp_path, regularization=None, **own | flags)

    return prepared


def test_padded_texts_are_their_own_mask():
    tokens = torch.arange(12.0).reshape(6, 2)
    texts = pad_texts(tokens, [1, 3, 2])
    assert texts.shape == (3, 3, 2)
    assert mask_of(texts).sum(1).tolist() == [1, 3, 2]
    torch.testing.assert_close(texts[mask_of(texts)], tokens)


def test_scores_are_those_of_a_softmax_over_the_tokens(prepare):
    prepared = prepare(pooling=("mean", "attention"), controls=("shuffled_labels",), epochs=3)
    assert run_online(prepared)
    run, matrix = OnlineRun.open(prepared.folder), label_matrix(prepared)
    rows = run.all_rows[run.all_rows["aggregation"] == "attention"].set_index(["feature", "control"])
    assert set(rows["probe"]) == {"attention"}
    assert set(run.metrics["pooling"]) == {"mean", "attention"}

    # Tokens of each test text on its own, without padding.
    of_tokens = prepare(pooling=("none",))
    test = matrix.parts.test
    texts = {}
    for text in test.tolist():
        (pair,) = rows_of_batches(
            of_tokens, text_batches(of_tokens, np.array([text])), lambda: of_tokens.places, torch.float32
        )
        texts[text] = pair[1][of_tokens.places[0]][1].double().numpy()
    for name, column in (("German", 0), ("language", 1)):
        row, labels = rows.loc[(name, "")], matrix.rows["attention"].labels[test, column]
        query, values = row["query"], row["coef"].reshape(-1, len(row["query"]))
        pooled = np.stack([softmax(texts[text] @ query) @ texts[text] for text in test.tolist()])
        intercept = row["intercept"] if name == "German" else row["class_intercepts"]
        scores, has = pooled @ values.T + intercept, ~np.isnan(labels)
        assert row["n_test"] == has.sum()
        if name == "German":
            assert row["test_roc_auc"] == pytest.approx(roc_auc_score(labels[has], scores[has, 0]), abs=0.01)
            assert row["test_accuracy"] == pytest.approx(np.mean((scores[has, 0] > 0) == (labels[has] > 0)), abs=0.02)
        else:
            assert row["test_accuracy"] == pytest.approx(np.mean(scores[has].argmax(1) == labels[has]), abs=0.02)
        assert np.abs(query).max() > 0
        assert row["test_roc_auc"] > rows.loc[(name, "shuffled_labels"), "test_roc_auc"] + 0.1
    assert set(run.features(["Der Hund."], model=prepared.model)) == {(PLACE, "mean")}


def test_a_saved_probe_gives_the_measures_of_the_run_on_the_texts(tiny_model_dir, tiny_dataset_root, tmp_path):
    """Test texts are decoded and tokenized again; only texts that give the same tokens are in the data set."""
    model, base = (
        load_model_once(str(tiny_model_dir)),
        load_feature_dataset("natural_lang_id.tiny.64.-1", tiny_dataset_root),
    )
    ids = [t[base.description.n_prefix :].tolist() for t in base.tokens(np.arange(base.description.n_sequences))]
    texts = [str(model.tokenizer.decode(each, clean_up_tokenization_spaces=False)) for each in ids]
    encoded = model.tokenizer(texts, add_special_tokens=False)["input_ids"]
    same = np.array([i for i, (a, b) in enumerate(zip(ids, encoded, strict=True)) if a == b])
    mixed_dataset(base, same).save(tmp_path / "datasets" / MIXED)
    flags = {"learner": "adamw", "pooling": ("mean", "attention"), "layers": (1,), "regularization": None}
    prepared = prepare_online(online_settings(tiny_model_dir, tmp_path / "datasets", tmp_path, **flags), model=model)
    assert run_online(prepared)
    run, matrix = OnlineRun.open(prepared.folder, model=model), label_matrix(prepared)
    names = [each.name for each in matrix.label_sets]
    assert sorted(names) == ["German", "language", "length"]

    probes = []
    for pooling in ("attention", "mean"):
        for name in names:
            folder = run[PLACE, pooling, name].save(tmp_path / pooling / name)
            probes.append(load_probe(folder))
    test_texts = [texts[same[i]] for i in matrix.parts.test]
    table = apply_probes(probes, test_texts, model=model, batch_size=7)
    rows = run.all_rows.set_index(["aggregation", "feature"])
    for probe in probes[:3]:
        labels = matrix.rows["attention"].labels[matrix.parts.test, names.index(probe.feature)]
        has, scores = ~np.isnan(labels), probe.score(test_texts, model=model)
        y, predicted = labels[has], probe.predict(test_texts, model=model)[has]
        if probe.kind == "regression":
            measured = {"mean_squared_error": np.mean((scores[has] - y) ** 2), "r2": r2_score(y, predicted)}
        else:
            codes = y > 0 if probe.kind == "binary" else np.array(LANGUAGES)[y.astype(int)]
            ones = np.stack([y == c for c in range(4)], axis=1) if probe.classes else y > 0
            measured = {
                "accuracy": np.mean(predicted == codes),
                "roc_auc": roc_auc_score(ones, scores[has]),
                "log_loss": log_loss(y, probe.predict_proba(test_texts, model=model)[has]),
            }
        row = rows.loc[(probe.aggregation, probe.feature)]
        for name, value in measured.items():
            assert row[f"test_{name}"] == pytest.approx(value, rel=1e-5, abs=1e-5), (probe, name)
        # The same scores in one pass with all other probes, also those of the mean.
        first = "=English" if probe.classes else ""
        column = table[f"{probe.feature}{first}.{probe.aggregation}"]
        np.testing.assert_allclose(column, scores[:, 0] if probe.classes else scores, atol=1e-5)
        without = replace(probe, queries=np.zeros_like(probe.queries)).score(test_texts, model=model)
        assert np.abs(without - scores).max() > 1e-3


def test_an_interrupted_run_gives_the_same_bytes(prepare, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    prepared = prepare(feature_subset=("German",), batch_size=16, patience=3, warmup_steps=3)
    assert run_online(prepared)
    whole = file_contents(prepared.folder, "rows.parquet")
    for path in sorted(prepared.folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    inner = train_stream.StreamState.finished

    def killed(self, n_batches):
        inner(self, n_batches)
        if n_batches == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_stream.StreamState, "finished", killed)
        with pytest.raises(KeyboardInterrupt):
            run_online(prepared)
    assert run_online(prepared)
    assert file_contents(prepared.folder, "rows.parquet") == whole


@pytest.mark.parametrize("learner", ["rows", "moments"])
def test_other_learners_refuse_attention(prepare, learner):
    with pytest.raises(SettingsError, match="Use --learner adamw"):
        prepare(learner=learner)


def test_memory_counts_the_tokens_of_validation_texts(prepare):
    with pytest.raises(SettingsError, match="--memory is 200KB"):
        train_stream.train_stream(prepare(memory="200KB"))
    train_stream.train_stream(prepare(memory="200KB", pooling=("mean",)))
