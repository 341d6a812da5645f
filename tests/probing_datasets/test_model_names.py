"""Names of models: paths, aliases and hub ids, and the short name for folders."""

import pytest
from transformer_lens.tools.model_registry.registry_io import load_model_aliases, resolve_model_alias

from probing_datasets.demo import DEMO_MODEL_PATH
from probing_datasets.model_names import model_slug, resolve_model_name


def test_demo_is_the_bundled_model():
    assert resolve_model_name("demo") == str(DEMO_MODEL_PATH)


def test_local_folder_becomes_absolute(tmp_path, monkeypatch):
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert resolve_model_name("models/mine") == str(tmp_path / "models" / "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_model_name("~/models/mine") == str(tmp_path / "models" / "mine")


@pytest.mark.parametrize(
    ("name", "resolved"),
    [
        ("pythia-70m", "EleutherAI/pythia-70m"),
        ("EleutherAI/pythia-70m", "EleutherAI/pythia-70m"),
        ("owner/no-such-model", "owner/no-such-model"),
    ],
)
def test_alias_and_hub_id(name, resolved):
    assert resolve_model_name(name) == resolved


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("demo", "demo"),
        ("EleutherAI/pythia-70m", "pythia-70m"),
        ("/data/models/tiny/", "tiny"),
        ("owner/a model (v1.5)", "a-model-v1.5-"),
    ],
)
def test_slug_is_fit_for_a_folder(name, slug):
    assert model_slug(name) == slug


def test_every_alias_of_transformer_lens_means_what_it_means_there():
    names = [alias for aliases in load_model_aliases().values() for alias in aliases]
    assert len(names) > 100
    for name in (*names, *load_model_aliases(), "no such model"):
        assert resolve_model_name(name) == (resolve_model_alias(name) or name)
