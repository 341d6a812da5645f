import functools

import pytest

from sparse_probing.activations.harvesting import harvest_plan as planning
from sparse_probing.activations.statistics import job

LOAD_ONCE = functools.cache(planning.load_model)


@pytest.fixture
def histogram_config(tiny_harvest, monkeypatch):
    """Blocks of 50 of the 270 sequences, and a model that is loaded once for all tests."""
    monkeypatch.setattr(planning, "load_model", LOAD_ONCE)
    monkeypatch.setattr(job, "BLOCK_SEQUENCES", 50)
    return tiny_harvest.with_flags(experiment_type="full_activation_histogram", n_threads=1, top_k=4)
