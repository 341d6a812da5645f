"""Settings of histograms for tests: small blocks, and models that are loaded once."""

import pytest

from sparse_probing.activations.statistics import prepare


@pytest.fixture
def histogram_config(tiny_harvest, models_loaded_once, monkeypatch):
    """Blocks of 50 of the 270 sequences, and a model that is loaded once for all tests."""
    monkeypatch.setattr(prepare, "BLOCK_SEQUENCES", 50)
    return tiny_harvest.with_flags(experiment_type="full_activation_histogram", n_threads=1, top_k=4)
