"""Saved probes without a run and without a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparse_probing.saved_probes.probe_metadata import ProbeOrigin
from sparse_probing.saved_probes.saved_probe import SavedProbe


def made_probe(outputs: int = 1, k: int = 3, **changes: Any) -> SavedProbe:
    """Return a probe of random coefficients: of two classes, or of ``outputs`` classes."""
    rng = np.random.default_rng(outputs * 100 + k)
    origin = ProbeOrigin(
        dataset="made.demo.16.-1",
        dataset_hash="ab" * 32,
        study="heuristic_sparsity_sweep",
        probe="logistic",
        status="The fit converged.",
        seed=0,
        n_train=80,
        n_test=20,
        converged=True,
        gap=1e-9,
        regularization=0.5,
        class_counts={"1": 30, "-1": 50},
        metrics={"test_f1_score": 0.75, "test_f1_score_low": 0.5, "test_f1_score_high": 0.875},
    )
    fields: dict[str, Any] = {
        "feature": "French",
        "kind": "binary" if outputs == 1 else "multiclass",
        "classes": () if outputs == 1 else tuple(f"class {i}" for i in range(outputs)),
        "model": "demo",
        "revision": None,
        "random_init": None,
        "weight_hash": "c" * 64,
        "tokenizer_hash": "d" * 64,
        "dtype": "float32",
        "layer": 1,
        "hook_point": "mlp.hook_post",
        "aggregation": "mean",
        "prefix": (0,),
        "suffix": (),
        "context_length": 64,
        "link": "sigmoid" if outputs == 1 else "softmax",
        "threshold": 0.25 if outputs == 1 else 0.0,
        "threshold_origin": "0.25: chosen for this test",
        "provenance": origin,
        "support": rng.permutation(50)[:k].astype(np.int64),
        "coef": rng.standard_normal((outputs, k)),
        "intercept": rng.standard_normal(outputs),
        "mean": rng.standard_normal(k),
        "scale": np.exp(rng.standard_normal(k)),
        "prior": rng.standard_normal(outputs),
        "temperature": 1.7,
    }
    return SavedProbe(**fields | changes)
