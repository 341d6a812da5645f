"""What probes predict from scores: classes of texts, and lines about one text."""

import numpy as np
from scipy.special import expit, softmax

from sparse_probing.saved_probes.predictions import predicted_classes, predictions_in_words, probe_names
from tests.builders.saved_probes import made_probe

TONES = ("happy", "sad", "neutral")
PROBES = [
    made_probe(),
    made_probe(3, feature="tone", classes=TONES),
    made_probe(3, feature="tone", classes=TONES, layer=2, link="none"),
    made_probe(feature="length", kind="regression", link="none"),
]


def test_the_class_with_the_largest_score():
    assert probe_names(PROBES) == ["French", "tone@1", "tone@2", "length"]
    scores = np.random.default_rng(0).standard_normal((20, 8))
    scores[3, 2], scores[4] = np.nan, np.nan
    classes = predicted_classes(PROBES, scores)
    assert list(classes) == ["tone@1", "tone@2"]
    for name, columns in (("tone@1", scores[:, 1:4]), ("tone@2", scores[:, 4:7])):
        expected = [None if np.isnan(row).any() else max(zip(row, TONES, strict=True))[1] for row in columns]
        assert classes[name] == expected
        assert set(TONES) < set(expected)  # and None, for the fifth text


def test_lines_about_one_text():
    scores = np.array([0.5, -1, 2, 1, 3, 2, 1, 34.25])
    above = expit(0.5 / PROBES[0].temperature + PROBES[0].prior[0])
    of_sad = softmax(scores[1:4] / PROBES[1].temperature + PROBES[1].prior)[1]
    assert predictions_in_words(PROBES, scores) == [
        f"French: 0.5, above its threshold 0.25 (probability {above:.3f})",
        f"tone@1: sad (probability {of_sad:.3f})",
        "tone@2: happy",
        "length: 34.25",
    ]
    scores[0], scores[2] = 0.25, np.nan
    lines = predictions_in_words(PROBES, scores)
    assert lines[0].startswith("French: 0.25, not above its threshold 0.25")
    assert [line.partition(":")[0] for line in lines] == ["French", "tone@2", "length"]
