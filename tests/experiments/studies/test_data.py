import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, precision_score, recall_score

from experiments.studies.data import SplitData


def test_metrics_of_several_probes_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 9)).astype(np.float32), np.tile([1, -1, -1], 20)
    data = SplitData(x[:40], y[:40], x[40:], y[40:])
    coefs = rng.standard_normal((9, 3))
    assert data.width == 9
    found = data.metrics(lambda x: x @ coefs - 0.2)
    assert len(found) == 3
    references = {
        "f1_score": f1_score,
        "precision": precision_score,
        "recall": recall_score,
        "accuracy": accuracy_score,
        "balanced_accuracy": balanced_accuracy_score,
    }
    for probe in range(3):
        for part, rows in (("train", slice(0, 40)), ("test", slice(40, 60))):
            predicted = np.where(x[rows] @ coefs[:, probe] > 0.2, 1, -1)
            for name, reference in references.items():
                assert found[probe][f"{part}_{name}"] == pytest.approx(reference(y[rows], predicted), abs=1e-12)
