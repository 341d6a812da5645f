"""Fixtures of stage 1: small parts, models that are loaded once, a reference by plain hooks."""

import pytest

from probing_datasets.feature_dataset import load_feature_dataset
from sparse_probing.activations import inputs
from sparse_probing.activations.harvesting import prepare
from tests.builders.harvests import PART_ROWS, load_model_once, mlp_activations


@pytest.fixture
def models_loaded_once(monkeypatch):
    """Load each model once for all tests."""
    monkeypatch.setattr(inputs, "load_model", load_model_once)


@pytest.fixture
def small_parts(models_loaded_once, monkeypatch):
    """Cut every store into parts of 100 rows, and load each model once for all tests."""
    monkeypatch.setattr(prepare, "choose_part_rows", lambda n_rows, row_bytes: min(n_rows, PART_ROWS))


@pytest.fixture(scope="session")
def reference(tiny_model_dir, tiny_dataset_root):
    """By layer and sequence (length, 48) float32: plain hooks on the model, one sequence at a time, no padding."""
    return mlp_activations(tiny_model_dir, load_feature_dataset("natural_lang_id.tiny.64.-1", tiny_dataset_root))
