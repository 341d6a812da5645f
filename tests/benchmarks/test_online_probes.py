"""The benchmark of online probes at a tiny size, and the peer's flow as it is re-expressed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import SGDClassifier

from benchmarks._online_peer import PeerProbe, PeerRunner
from benchmarks._online_texts import GERMAN, LANGUAGE, ROMANCE, SHORTEST, windows_of_languages
from benchmarks.online_probes import OnlineBenchmark, compare
from sparse_probing.models import load_model


@pytest.fixture(scope="module")
def tables():
    config = OnlineBenchmark(
        ("cost", "accuracy"), hook_points=("hook_mlp_out",), layers=(1,), n_sequences=90, context_length=24, repeats=1
    )
    return dict(compare(config))


def test_every_contender_is_timed_on_the_same_batches(tables):
    names = [row["contender"] for row in tables["cost"]]
    assert names == [
        "no-op", "bare", "ours", "peer", "ours, exact fits of 2 binary sets", "ours, exact fits of 9 classes"
    ]  # fmt: skip
    ratios = {row["contender"]: float(row["/ no-op, all batches"]) for row in tables["cost"]}
    assert ratios["no-op"] == 1
    assert ratios["ours"] < ratios["ours, exact fits of 2 binary sets"]
    assert ratios["ours"] < ratios["peer"]  # the peer runs the unembedding


def test_both_are_scored_on_the_same_test_rows(tables):
    assert [row["label set"] for row in tables["accuracy"]] == [GERMAN, ROMANCE, LANGUAGE]
    for row in tables["accuracy"]:
        assert float(row["ours"].split(" to ")[0]) > float(row["most common label"])
        assert int(row["peer's batches of 8 until it stops"].split(" to ")[0]) <= 12


def test_windows_keep_texts_and_their_translations_in_one_group():
    dataset = windows_of_languages(540, 24)
    lengths = dataset.lengths
    assert lengths.min() >= SHORTEST
    assert lengths.max() <= 24
    assert len(set(dataset.group_codes)) == 30
    language, german = dataset.feature_probes(LANGUAGE), dataset.feature_probes(GERMAN)
    names = np.array(dataset.description.features[LANGUAGE].classes)
    assert np.array_equal(german.label > 0, names[language.label.astype(int)] == GERMAN)
    assert len(set(dataset.group_codes[german.sequence[german.label > 0]])) == 30


def test_the_peer_pools_padding_and_looks_at_one_row_of_a_batch_of_eight():
    model = load_model("demo")
    name = "blocks.1.hook_mlp_out"
    peer = PeerRunner(model.model, {name: model.point(name).site}, (0, 1))
    tokens = torch.zeros((1, 6), dtype=torch.long)
    tokens[0, :2] = torch.tensor([5, 7])
    kept = []
    model.run(tokens, torch.ones_like(tokens), {name: lambda a: kept.append(a.mean(1).numpy())})
    np.testing.assert_allclose(peer.pooled(tokens)[name], kept[0], rtol=1e-4, atol=1e-5)
    probe, seen = PeerProbe((0, 1), test_size=0.1, patience=5, warmup_steps=10), []
    fit = SGDClassifier(loss="log_loss", random_state=0)
    probe.model = SimpleNamespace(
        partial_fit=lambda rows, labels, classes: seen.append(len(rows)) or fit.partial_fit(rows, labels, classes),
        predict_proba=lambda rows: seen.append(len(rows)) or fit.predict_proba(rows),
    )
    probe.step(np.random.default_rng(0).normal(size=(8, 4)), np.arange(8) % 2)
    assert seen == [7, 1]


def test_the_peer_stops_after_its_patience_and_not_before_its_warm_up():
    rng = np.random.default_rng(0)
    probe = PeerProbe((0, 1), test_size=0.1, patience=5, warmup_steps=10)
    while not probe.stopped:
        probe.step(rng.normal(size=(8, 4)), rng.integers(2, size=8))
    assert 15 <= probe.n_steps < 40
    rows = probe.n_steps
    probe.step(rng.normal(size=(8, 4)), rng.integers(2, size=8))
    assert probe.n_steps == rows
