"""Scores of texts by a probe of a run: equal to those of the rows that it was fitted to, for each aggregation."""

from dataclasses import replace

import numpy as np
import pytest

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.feature_dataset.probed_rows import ProbedRows
from probing_datasets.foundation.errors import ModelError, ProbeError
from sparse_probing.activations.harvest import harvest
from sparse_probing.api.probe import probe
from sparse_probing.models import load_model
from sparse_probing.probes.metrics.monitor_metrics import threshold_at
from sparse_probing.saved_probes.load_probe import load_probe
from tests.builders.saved_probes import made_probe


@pytest.fixture
def texts(tiny_model_dir, tiny_dataset):
    """The texts of some sequences of the data set, decoded so that they are tokenized alike."""
    tokenizer = load_tokenizer(str(tiny_model_dir))
    frame = tiny_dataset.description
    ids = [t[frame.n_prefix : len(t) - frame.n_suffix] for t in tiny_dataset.tokens(np.arange(12))]
    return [tokenizer.decode(i, clean_up_tokenization_spaces=False) for i in ids], ids


@pytest.mark.parametrize("aggregation", ["mean", "max", "last"])
def test_scores_equal_those_of_the_stored_rows(tiny_harvest, tiny_dataset, tiny_dataset_root, texts, aggregation):
    store = harvest(tiny_harvest.with_flags(activation_aggregation=aggregation, output_precision="32"))
    result = probe(
        store,
        tiny_dataset,
        max_k=4,
        layers=(1,),
        feature_dataset_dir=tiny_dataset_root,
        results_dir=tiny_harvest.activations.results_dir,
    )
    fitted = result.saved_probe("German", layer=1, k=4)
    rows = ProbedRows(*store.rows)
    same = [
        i
        for i, (text, ids) in enumerate(zip(*texts, strict=True))
        if load_tokenizer(tiny_harvest.activations.model)(text, add_special_tokens=False)["input_ids"] == ids.tolist()
    ]
    assert len(same) >= 6
    expected = fitted.scores_of(store.read(1))[:, 0]
    by_sequence = dict(zip(rows.sequence.tolist(), expected.tolist(), strict=True))
    scores = fitted.score([texts[0][i] for i in same], batch_size=5)
    np.testing.assert_allclose(scores, [by_sequence[i] for i in same], atol=1e-5)
    assert (fitted.predict([texts[0][i] for i in same]) == (np.asarray(scores) > 0)).all()


def test_scores_of_tokens_pool_to_the_score_of_the_text(tiny_harvest, tiny_dataset, tiny_dataset_root):
    store = harvest(tiny_harvest.with_flags(activation_aggregation="mean"))
    result = probe(
        store,
        tiny_dataset,
        max_k=2,
        layers=(1,),
        feature_dataset_dir=tiny_dataset_root,
        results_dir=tiny_harvest.activations.results_dir,
    )
    fitted, given = result.saved_probe("French", layer=1, k=2), ["Bonjour tout le monde", "a", "Guten Morgen"]
    per_token = fitted.score(given, per_token=True)
    assert ["".join(text for text, _ in tokens).replace(" ", "") for tokens in per_token] == [
        text.replace(" ", "") for text in given
    ]
    means = [np.mean([score for _, score in tokens]) for tokens in per_token]
    np.testing.assert_allclose(means, fitted.score(given), atol=1e-5)


def test_bad_input(tiny_harvest, tiny_dataset, tiny_dataset_root, caplog):
    store = harvest(tiny_harvest.with_flags(activation_aggregation="mean"))
    result = probe(
        store,
        tiny_dataset,
        max_k=2,
        layers=(1,),
        feature_subset=("French",),
        feature_dataset_dir=tiny_dataset_root,
        results_dir=tiny_harvest.activations.results_dir,
    )
    fitted = result.saved_probe("French", layer=1)
    with pytest.raises(ProbeError, match="Pass a list of texts"):
        fitted.score("Bonjour")
    with pytest.raises(ProbeError, match="Text 1 has no score: the text has no tokens"):
        fitted.score(["Bonjour", ""])
    with pytest.raises(ProbeError, match="trained on tokens. Score them with per_token=True"):
        replace(fitted, aggregation="none").score(["Bonjour"])
    with pytest.raises(ProbeError, match="Text 0 has no score: it holds half of a surrogate pair"):
        fitted.score(["Bonjour \ud83d"])
    with pytest.raises(ProbeError, match="Text 1 is NoneType, not a string"):
        fitted.score(["Bonjour", None])
    with pytest.raises(ProbeError, match="batch size must be at least 1, not 0"):
        fitted.score(["Bonjour"], batch_size=0)
    other = load_model(tiny_harvest.activations.model, random_init=True, seed=3)
    with pytest.raises(ModelError, match="Pass the model that it was trained on"):
        fitted.score(["Bonjour"], model=other)
    allowed = {"model": other, "allow_other_weights": True}
    score = fitted.score(["Bonjour"], **allowed)
    assert fitted.predict(["Bonjour"], **allowed).tolist() == [score[0] > 0]
    assert fitted.predict_proba(["Bonjour"], **allowed) == pytest.approx(fitted.probabilities(score[:, None])[:, 0])
    assert len(fitted.score(["Bonjour"], per_token=True, **allowed)[0]) >= 1
    assert np.isfinite(fitted.score(["word " * 500])).all()
    assert "1 of 1 texts are longer than 63 tokens; their end is not scored." in caplog.text
    with pytest.raises(ProbeError, match="No probe has k 3. There are: 1, 2"):
        result.saved_probe("French", layer=1, k=3)


def test_a_threshold_is_kept_with_its_origin_and_decides_what_is_predicted(tmp_path):
    made = made_probe()
    x = np.random.default_rng(0).standard_normal((40, 50))
    scores = made.scores_of(x)[:, 0]
    benign = threshold_at(scores[:20], 0.1, "20 reviews", pooling="max")
    probe = made.with_threshold(benign.value, benign.origin)
    assert (scores[:20] > probe.threshold).sum() == 2
    assert made.threshold == 0.25  # the probe itself is not changed
    probe.save(tmp_path / "probe")
    loaded = load_probe(tmp_path / "probe")
    assert (loaded.threshold, loaded.threshold_origin) == (benign.value, benign.origin)
    assert "20 reviews" in loaded.threshold_origin
    assert "pooled: max" in loaded.threshold_origin
    assert loaded.scores_of(x)[:, 0] == pytest.approx(scores)
    assert f"{benign.value:.6g}" in (tmp_path / "probe" / "README.md").read_text()


@pytest.mark.parametrize(
    ("probe", "threshold", "origin", "message"),
    [
        (made_probe(3), 0.0, "chosen", "only probes of two classes have a threshold"),
        (made_probe(), 0.0, " ", "Say how the threshold was set"),
        (made_probe(), np.nan, "chosen", "threshold finite"),
    ],
)
def test_a_threshold_without_a_meaning_is_refused(probe, threshold, origin, message):
    with pytest.raises(ProbeError, match=message):
        probe.with_threshold(threshold, origin)
