"""Probes that are published on a hub of this machine, and loaded from it."""

import subprocess
import sys

import numpy as np
import pytest

import sparse_probing as sp
from probing_datasets.foundation.environment import environment_of_a_program
from probing_datasets.foundation.errors import DamagedFileError, ProbeError
from tests.builders.fake_hub import fake_hub
from tests.builders.saved_probes import made_probe

NAME = "somebody/french-neurons"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that `huggingface_hub` takes for the real one, with an empty cache and no token."""
    with fake_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        of_files = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", of_files)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        yield hub


def test_a_published_probe_is_loaded_as_it_was(hub):
    probe = made_probe(outputs=3)
    commit = sp.push_to_hub(probe, NAME, private=True)
    assert hub.private[NAME] is True
    assert sorted(hub.commits[NAME][commit]) == ["README.md", "probe.json", "probe.safetensors"]
    loaded = sp.load_probe(NAME)
    x = np.random.default_rng(0).standard_normal((5, 50))
    np.testing.assert_array_equal(loaded.probabilities_of(x), probe.probabilities_of(x))
    assert (loaded.classes, loaded.provenance) == (probe.classes, probe.provenance)
    assert f'sp.load_probe("{NAME}")' in hub.commits[NAME][commit]["README.md"].decode()


def test_a_revision_is_the_probe_of_that_time(hub):
    first, second = made_probe(threshold=1.0), made_probe(threshold=2.0)
    commit = sp.push_to_hub(first, NAME)
    sp.push_to_hub(second, NAME)
    assert sp.load_probe(NAME).threshold == 2
    assert sp.load_probe(NAME, revision=commit).threshold == 1
    with pytest.raises(ProbeError, match="no probe somebody/french-neurons on the hub at revision 'old'"):
        sp.load_probe(NAME, revision="old")


def test_without_a_network_the_cache_is_used(hub, monkeypatch):
    sp.push_to_hub(made_probe(threshold=1.0), NAME)
    sp.load_probe(NAME)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert sp.load_probe(NAME).threshold == 1
    with pytest.raises(ProbeError, match="The hub cannot be reached, and the probe somebody/other is not in its cache"):
        sp.load_probe("somebody/other")
    with pytest.raises(ProbeError, match="could not be published as"):
        sp.push_to_hub(made_probe(), NAME)


def test_a_repository_of_something_else_is_kept(hub):
    hub.create(NAME, {"model.safetensors": b"weights", "README.md": b"a card"})
    with pytest.raises(ProbeError, match=r"holds other files than a probe \(model.safetensors\)"):
        sp.push_to_hub(made_probe(), NAME)
    assert [*hub.commits[NAME].values()] == [{"model.safetensors": b"weights", "README.md": b"a card"}]
    with pytest.raises(ProbeError, match="holds no saved probe: it has no probe.json"):
        sp.load_probe(NAME)


def test_what_is_too_large_for_a_probe_is_not_downloaded(hub):
    sp.push_to_hub(made_probe(), NAME)
    hub.sizes["probe.safetensors"] = 2**40
    hub.requests.clear()
    with pytest.raises(ProbeError, match="probe.safetensors of .* has 1,099,511,627,776 bytes"):
        sp.load_probe(NAME)
    assert not [request for request in hub.requests if "resolve" in request]


def test_a_damaged_file_of_a_hub_is_refused(hub):
    commit = sp.push_to_hub(made_probe(), NAME)
    damaged = bytearray(hub.commits[NAME][commit]["probe.safetensors"])
    damaged[-1] ^= 1
    hub.commit(NAME, "main", {"probe.safetensors": bytes(damaged)})
    with pytest.raises(DamagedFileError, match="does not have the checksum in probe.json"):
        sp.load_probe(NAME)


@pytest.mark.parametrize("name", ["french", "a/b/c", "../up", "somebody/..", "http://x/y", "a b/c", ""])
def test_names_that_no_repository_has(name):
    with pytest.raises(ProbeError, match="is not the name of a repository"):
        sp.push_to_hub(made_probe(), name)
    with pytest.raises(ProbeError):
        sp.load_probe(name)


def test_a_fresh_process_follows_hf_endpoint(hub, tmp_path):
    """The variable of the environment is enough, as for everything else on the hub."""
    probe = made_probe()
    sp.push_to_hub(probe, NAME)
    code = f"import sparse_probing as sp; print(sp.load_probe({NAME!r}).intercept.tolist())"
    variables = environment_of_a_program() | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables, check=False)
    assert done.stdout == f"{probe.intercept.tolist()}\n", done.stderr
