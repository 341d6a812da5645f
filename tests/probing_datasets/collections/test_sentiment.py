"""Reviews: the positive class is the favourable one, whatever the labels are called."""

import numpy as np
import pytest

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.collections.sentiment import SentimentConfig, build
from tests.builders.sources import write_table


@pytest.mark.parametrize(("negative", "positive"), [(0, 1), ("negative", "positive"), ("neg", "pos")])
def test_positives_are_positive(tokenizer_dir, tmp_path, negative, positive):
    rows = [
        {"text": f"{'Loved' if i % 3 else 'Hated'} film {i}", "label": positive if i % 3 else negative}
        for i in range(60)
    ]
    source = write_table(tmp_path / "reviews.jsonl", rows)
    dataset = build(SentimentConfig(tokenizer=str(tokenizer_dir), source=source))
    (feature,) = dataset.features
    assert feature == ("sentiment" if positive == 1 else f"sentiment: {positive}")
    probes, tokenizer = dataset.feature_probes(feature), load_tokenizer(str(tokenizer_dir))
    texts = tokenizer.batch_decode(dataset.tokens(probes.sequence))
    assert np.array_equal(probes.label == 1, ["Loved" in text.replace(" ", "") for text in texts])
    assert probes.label.sum() == 0
