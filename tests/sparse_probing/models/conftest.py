"""Fixtures of models: one for each architecture, as we load it and as Hugging Face loads it."""

import functools
import shutil

import pytest
import torch

from sparse_probing.models import load_model
from tests.builders.models import ARCHITECTURES


@pytest.fixture(scope="session")
def saved_models(tiny_model_dir, tmp_path_factory):
    """A random model of every architecture, its tokenizer beside it."""
    root = tmp_path_factory.mktemp("architectures")
    for name, architecture in ARCHITECTURES.items():
        torch.manual_seed(17)
        architecture.auto.from_config(architecture.config).save_pretrained(root / name)
        for file in tiny_model_dir.glob("tokenizer*"):
            shutil.copy(file, root / name)
    return root


@pytest.fixture(params=ARCHITECTURES)
def name(request):
    return request.param


@pytest.fixture
def architecture(name):
    return ARCHITECTURES[name]


@pytest.fixture(scope="session")
def load_once():
    return functools.cache(load_model)


@pytest.fixture
def model(name, saved_models, load_once):
    return load_once(str(saved_models / name))


@pytest.fixture
def plain(name, architecture, saved_models):
    """The same weights as Hugging Face loads them."""
    return architecture.auto.from_pretrained(saved_models / name).eval()


@pytest.fixture(scope="session")
def tiny(tiny_model_dir, load_once):
    return load_once(str(tiny_model_dir))
