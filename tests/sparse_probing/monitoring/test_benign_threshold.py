"""A threshold on a file of benign texts: the rate, what is left out, and what is refused."""

import logging

import numpy as np
import pandas as pd
import pytest

from probing_datasets.feature_dataset.text_hashes import token_hash
from probing_datasets.foundation.errors import ProbeError, SourceError
from sparse_probing.monitoring.apply import apply_probes
from sparse_probing.monitoring.benign_threshold import BenignTexts, probe_with_benign_threshold
from tests.builders.harvests import load_model_once
from tests.builders.monitors import random_probe

WORDS = ["one", "two", "three", "four", "sun", "gift", "rain", "loss", "lake", "tea"]


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return load_model_once(str(tiny_model_dir))


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, 6)) for _ in range(60)]


def benign(tmp_path, texts, **settings):
    pd.DataFrame({"line": texts}).to_csv(tmp_path / "calm.csv", index=False)
    return BenignTexts(tmp_path / "calm.csv", "line", **settings)


def test_at_most_the_share_of_benign_texts_is_above(model, texts, tmp_path):
    probe = random_probe(model, threshold=9.0)
    careful = probe_with_benign_threshold(probe, benign(tmp_path, texts, false_positive_rate=0.1), model=model)
    scores = apply_probes([probe], texts, model=model)["German"].to_numpy()
    assert len(np.unique(scores)) == 60
    assert careful.threshold == pytest.approx(np.sort(scores)[-7])
    assert (scores > careful.threshold + 1e-6).sum() == 6
    assert careful.predict(texts, model=model).sum() in (6, 7)  # one is the threshold, up to the batch it is in
    assert "at most 0.1 of the 60 benign scores of calm.csv are above it (6 are" in careful.threshold_origin
    assert np.array_equal(careful.coef, probe.coef)


def test_texts_of_the_data_set_and_empty_ones_are_left_out_and_counted(model, texts, tmp_path, caplog):
    probe = random_probe(model)
    ids = [model.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts[:20]]
    known = {token_hash([*probe.prefix, *of_text, *probe.suffix]) for of_text in ids}
    file = benign(tmp_path, [*texts, ""], false_positive_rate=0.1)
    with caplog.at_level(logging.WARNING):
        careful = probe_with_benign_threshold(probe, file, known, model)
    scores = apply_probes([probe], texts[20:], model=model)["German"].to_numpy()
    assert careful.threshold == pytest.approx(np.sort(scores)[-5])
    for note in ("left out: 20 texts in the data set of the probe", "left out: 1 text without a score"):
        assert note in careful.threshold_origin
        assert note in caplog.text
    with pytest.raises(ProbeError, match="no benign text to set a threshold on .left out: 20 texts in the data set"):
        probe_with_benign_threshold(probe, benign(tmp_path, texts[:20]), known, model)


def test_a_rate_that_cannot_be_measured_is_warned_of(model, texts, tmp_path, caplog):
    probe = random_probe(model)
    with caplog.at_level(logging.WARNING):
        careful = probe_with_benign_threshold(probe, benign(tmp_path, texts, false_positive_rate=0.01), model=model)
    assert "a rate of 0.01 cannot be measured with 60 negatives" in caplog.text
    assert "cannot be measured" in careful.threshold_origin


def test_a_probe_of_tokens_has_the_threshold_of_a_pooling(model, texts, tmp_path):
    probe = random_probe(model, aggregation="none")
    file = benign(tmp_path, texts, false_positive_rate=0.1, pooling="rolling")
    careful = probe_with_benign_threshold(probe, file, model=model)
    scores = apply_probes([probe], texts, poolings=["rolling"], model=model)["German_rolling"].to_numpy()
    assert careful.threshold == pytest.approx(np.sort(scores)[-7])
    assert "pooled: rolling" in careful.threshold_origin


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"classes": ("a", "b")}, {}, "only probes of two classes have a threshold"),
        ({"aggregation": "none"}, {}, "was trained on tokens. Say how their scores are pooled"),
        ({}, {"pooling": "max"}, "by the mean of its activations.* Leave out --pooling"),
        ({}, {"false_positive_rate": 1.0}, "at least 0 and below 1, not 1.0"),
        ({}, {"false_positive_rate": -0.1}, "at least 0 and below 1, not -0.1"),
    ],
)
def test_refusals(model, texts, tmp_path, changes, settings, message):
    with pytest.raises(ProbeError, match=message):
        probe_with_benign_threshold(random_probe(model, **changes), benign(tmp_path, texts, **settings), model=model)


def test_a_column_that_is_not_there(model, texts, tmp_path):
    benign(tmp_path, texts)
    with pytest.raises(SourceError, match="has no column 'text'"):
        probe_with_benign_threshold(random_probe(model), BenignTexts(tmp_path / "calm.csv"), model=model)
