"""Trained poolings that are kept: scores of texts equal those of the pooling on the activations of their tokens."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax

import sparse_probing as sp
from probing_datasets.foundation.errors import ModelError, ProbeError
from sparse_probing.models import load_model
from sparse_probing.monitoring.trained_pooling import fit_pooling
from tests.builders.harvests import load_model_once
from tests.builders.monitors import random_probe

TEXTS = ["Guten Morgen, wie geht es", "Bonjour", "a b c", "the quick brown fox " * 30]


@pytest.fixture
def model(tiny_model_dir):
    return load_model_once(str(tiny_model_dir))


def activations_of(model, probe, text: str) -> np.ndarray:
    """Return the activations of the tokens of a text, cut to the context, by a pass of it only."""
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"][: model.context_length - len(probe.prefix)]
    tokens, kept = torch.tensor([[*probe.prefix, *ids]]), []
    hook = {f"blocks.{probe.layer}.{probe.hook_point}": lambda a: kept.append(a[0].double().numpy())}
    model.run(tokens, torch.ones_like(tokens), hook)
    return kept[0][len(probe.prefix) :]


@pytest.mark.parametrize("kind", ["attention", "multimax"])
@pytest.mark.parametrize("n_heads", [1, 3])
def test_a_saved_pooling_scores_texts(model, tmp_path, kind, n_heads):
    like = random_probe(model, k=5)
    activations = [activations_of(model, like, text) for text in TEXTS]
    sequence = np.repeat(np.arange(len(TEXTS)), list(map(len, activations)))
    X = np.concatenate(activations)
    rng = np.random.default_rng(0)
    many, y = np.tile(sequence, 10) + np.repeat(np.arange(10) * len(TEXTS), len(X)), rng.permutation([-1, 1] * 20)
    fitted = fit_pooling(np.tile(X, (10, 1)), many, y, np.arange(40), kind=kind, n_heads=n_heads, max_epochs=3)
    queries = rng.normal(size=(n_heads, X.shape[1])) * (kind == "attention")
    pooling = replace(fitted, queries=queries, values=rng.normal(size=queries.shape), intercept=-0.7)
    folder = sp.save_pooling(pooling, like, tmp_path / "pooling")
    loaded = sp.load_probe(folder)
    assert (loaded.aggregation, loaded.provenance.n_train) == (kind, 32)
    assert loaded.provenance.metrics == {"validation_log_loss": fitted.validation_loss}
    assert f"{kind} over the tokens of a text, {n_heads} head" in (folder / "README.md").read_text()
    expected = pooling.scores_of(X, sequence)
    np.testing.assert_allclose(loaded.score(TEXTS, model=model, batch_size=3), expected, atol=1e-4)
    assert len(set(np.round(expected, 3))) == len(TEXTS)
    np.testing.assert_array_equal(loaded.predict(TEXTS, model=model), expected > 0)
    # A token is scored as a text that has no other token.
    of_tokens = [score for tokens in loaded.score(TEXTS, per_token=True, model=model) for _, score in tokens]
    np.testing.assert_allclose(of_tokens, pooling.scores_of(X, np.arange(len(X))), atol=1e-4)


def test_many_poolings_in_one_pass(model):
    """Heads, classes and neurons differ from probe to probe, and one has the mean; the formula by hand."""
    rng = np.random.default_rng(0)
    queries, coef = rng.normal(size=(2, 5)), rng.normal(size=(6, 5))
    probes = [
        random_probe(
            model, "language", classes=("a", "b", "c"), k=5, aggregation="attention", coef=coef, queries=queries
        ),
        random_probe(model, "mean", k=3, seed=1),
        random_probe(model, "largest", k=7, seed=2, aggregation="multimax", coef=rng.normal(size=(2, 7))),
        random_probe(model, "layer 0", layer=0, aggregation="attention", queries=rng.normal(size=(1, 48))),
    ]
    table = sp.apply_probes(probes, TEXTS, model=model, batch_size=3)
    for number, text in enumerate(TEXTS):
        z = [(activations_of(model, each, text)[:, each.support] - each.mean) / each.scale for each in probes]
        of_classes = sum(softmax(z[0] @ queries[h]) @ z[0] @ coef[3 * h : 3 * h + 3].T for h in range(2))
        expected = {
            **dict(zip(("language=a", "language=b", "language=c"), of_classes + probes[0].intercept, strict=True)),
            "mean": probes[1].coef[0] @ z[1].mean(0) + probes[1].intercept[0],
            "largest": (z[2] @ probes[2].coef.T).max(0).sum() + probes[2].intercept[0],
            "layer 0": softmax(z[3] @ probes[3].queries[0]) @ z[3] @ probes[3].coef[0] + probes[3].intercept[0],
        }
        for name, score in expected.items():
            assert table[name][number] == pytest.approx(score, abs=1e-4), name


def test_texts_models_and_probes_that_do_not_fit(model, tiny_model_dir, tmp_path):
    like = random_probe(model)
    X, sequence = np.random.default_rng(0).normal(size=(80, 48)), np.repeat(np.arange(40), 2)
    pooling = fit_pooling(X, sequence, np.tile([-1, 1], 20), np.arange(40), n_heads=1, max_epochs=1)
    loaded = sp.load_probe(sp.save_pooling(pooling, like, tmp_path / "pooling"))
    with pytest.raises(ProbeError, match="Text 1 has no score: the text has no tokens"):
        loaded.score(["a", ""], model=model)
    with pytest.raises(ProbeError, match="Pass a list of texts"):
        loaded.score("a", model=model)
    other = load_model(str(tiny_model_dir), random_init=True, seed=3)
    with pytest.raises(ModelError, match="Pass the model that it was trained on"):
        loaded.score(["a"], model=other)
    assert np.isfinite(loaded.score(["a"], model=other, allow_other_weights=True)).all()
    with pytest.raises(ProbeError, match="holds a saved probe"):
        sp.save_pooling(pooling, like, tmp_path / "pooling")
    with pytest.raises(ProbeError, match="attention: not log odds, and have no probabilities"):
        loaded.predict_proba(["a"], model=model)
    wide = replace(like, support=np.arange(1, 49))
    with pytest.raises(ProbeError, match="trained on 48 neurons, and the probe of 'German' reads neuron 48"):
        sp.save_pooling(pooling, wide, tmp_path / "wide")
