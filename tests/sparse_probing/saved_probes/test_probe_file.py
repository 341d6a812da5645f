"""Files of saved probes: what is written is read back; what is damaged, hostile or of another version is refused."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

import sparse_probing as sp
from probing_datasets.foundation.errors import DamagedFileError, ModelError, ProbeError, ProbeFormatError
from probing_datasets.foundation.files.sealed_json import seal
from probing_datasets.foundation.hashing import digest_json
from sparse_probing.saved_probes import probe_file
from sparse_probing.saved_probes.probe_file import METADATA, TENSORS, probe_bytes, read_probe
from sparse_probing.saved_probes.probe_metadata import ChatPrompt
from tests.builders.odd_paths import ODD, put_odd
from tests.builders.saved_probes import made_probe


def rewrite(folder, change=None, tensors=None):
    """Write the files of a saved probe as somebody would who can compute checksums."""
    content = json.loads((folder / METADATA).read_text())["content"]
    if tensors is not None:
        data = tensors if isinstance(tensors, bytes) else save(tensors)
        (folder / TENSORS).write_bytes(data)
        content["tensors_sha256"] = probe_file.hashlib.sha256(data).hexdigest()
    if change is not None:
        change(content)
    (folder / METADATA).write_bytes(seal(content))


@pytest.fixture
def folder(tmp_path):
    return made_probe(outputs=3).save(tmp_path / "probe")


@settings(max_examples=25)
@given(outputs=st.sampled_from([1, 2, 5]), k=st.integers(1, 20), seed=st.integers(0, 2**32), chat=st.booleans())
def test_a_probe_is_read_back_as_it_was(tmp_path_factory, outputs, k, seed, chat):
    """Every bit of the arrays, and every field."""
    rng = np.random.default_rng(seed)
    prompt = ChatPrompt("[{message}]", "It feels", "e" * 64, "user") if chat else None
    coef = rng.standard_normal((outputs, k)) * 10.0 ** rng.integers(-300, 300)
    probe = made_probe(outputs, k, coef=coef, chat=prompt, revision="v1.0/main", feature="tag=\x1b[31m\u202ered")
    loaded = sp.load_probe(probe.save(tmp_path_factory.mktemp("probes") / "probe"))
    for name, value in vars(probe).items():
        np.testing.assert_array_equal(getattr(loaded, name), value, err_msg=name)
    assert "\x1b" not in repr(loaded)


POOLED = {
    "one head": ("attention", 1, 1),
    "heads": ("attention", 4, 1),
    "heads and classes": ("attention", 2, 3),
    "maxima": ("multimax", 4, 1),
}


def pooled_probe(aggregation, heads, outputs, k=3):
    rng = np.random.default_rng(0)
    coef, queries = rng.standard_normal((heads * outputs, k)), rng.standard_normal((heads, k))
    queries = queries if aggregation == "attention" else None
    return made_probe(outputs, k, aggregation=aggregation, coef=coef, queries=queries)


@pytest.mark.parametrize("case", POOLED.values(), ids=POOLED)
def test_a_trained_pooling_is_read_back_as_it_was(tmp_path, case):
    probe = pooled_probe(*case)
    loaded = sp.load_probe(probe.save(tmp_path / "probe"))
    for name, value in vars(probe).items():
        np.testing.assert_array_equal(getattr(loaded, name), value, err_msg=name)
    # A token by itself has the whole weight of every head.
    x = np.random.default_rng(1).standard_normal(50)
    z, (_, heads, outputs) = (x[probe.support] - probe.mean) / probe.scale, case
    of_heads = [[z @ probe.coef[h * outputs + o] for o in range(outputs)] for h in range(heads)]
    np.testing.assert_allclose(loaded.scores_of(x), np.sum(of_heads, axis=0) + probe.intercept, rtol=1e-12)
    assert f"{case[0]} over the tokens of a text, {heads} head" in (tmp_path / "probe" / "README.md").read_text()


@pytest.mark.parametrize(
    ("aggregation", "changes"),
    [
        ("attention", {"queries": None}),
        ("attention", {"queries": np.zeros((3, 3))}),
        ("attention", {"queries": np.zeros((2, 2))}),
        ("attention", {"queries": np.zeros(3)}),
        ("attention", {"queries": np.float64(0)}),
        ("attention", {"queries": np.zeros((2, 3), np.float32)}),
        ("attention", {"queries": np.full((2, 3), np.nan)}),
        ("attention", {"coef": np.zeros((7, 3))}),
        ("attention", {"coef": np.zeros((0, 3))}),
        ("attention", {"coef": np.zeros((6, 3, 1))}),
        ("attention", {"coef": np.float64(0)}),
        ("attention", {"coef": np.full((6, 3), np.inf)}),
        ("attention", {"further": np.zeros(3)}),
        ("multimax", {"queries": np.zeros((2, 3))}),
        ("multimax", {"coef": np.zeros((4, 3))}),
        ("mean", {"coef": np.zeros((6, 3))}),
        ("mean", {"queries": np.zeros((1, 3))}),
    ],
)
def test_trained_poolings_that_no_probe_has(tmp_path, aggregation, changes):
    probe = made_probe(3) if aggregation == "mean" else pooled_probe(aggregation, 2, 3)
    folder = probe.save(tmp_path / "probe")
    arrays = load((folder / TENSORS).read_bytes()) | changes
    rewrite(folder, tensors={name: np.asarray(array) for name, array in arrays.items() if array is not None})
    with pytest.raises(DamagedFileError, match="is damaged"):
        sp.load_probe(folder)


@pytest.mark.parametrize("aggregation", ["mean", "none", "multimax", "mode"])
def test_another_pooling_than_that_of_the_arrays(tmp_path, aggregation):
    folder = pooled_probe("attention", 2, 3).save(tmp_path / "probe")
    rewrite(folder, lambda content: content["probe"].update(aggregation=aggregation))
    with pytest.raises(DamagedFileError, match="is damaged"):
        sp.load_probe(folder)


def test_scores_are_those_of_the_formula():
    probe = made_probe(outputs=3, k=4)
    x = np.random.default_rng(0).standard_normal((2, 6, 50))
    expected = [
        [sum(c * (row[j] - m) / s for c, j, m, s in zip(coef, probe.support, probe.mean, probe.scale, strict=True)) + b
         for coef, b in zip(probe.coef, probe.intercept, strict=True)]
        for row in x.reshape(-1, 50)
    ]  # fmt: skip
    np.testing.assert_allclose(probe.scores_of(x).reshape(-1, 3), expected, rtol=1e-12)
    odds = np.exp(np.array(expected) / 1.7 + probe.prior)
    np.testing.assert_allclose(probe.probabilities_of(x).reshape(-1, 3), odds / odds.sum(1, keepdims=True), rtol=1e-12)
    each = replace(probe, link="sigmoid").probabilities_of(x).reshape(-1, 3)
    np.testing.assert_allclose(each, odds / (1 + odds), rtol=1e-12)
    with pytest.raises(ProbeError, match="have no probabilities"):
        replace(probe, link="none").probabilities_of(x)
    with pytest.raises(ProbeError, match="the activations have 20 columns"):
        probe.scores_of(x[..., :20])


def test_a_folder_of_something_else_is_kept(folder, tmp_path):
    probe = made_probe()
    with pytest.raises(ProbeError, match="holds a saved probe. Choose another folder, or replace"):
        probe.save(folder)
    probe.save(folder, overwrite=True)
    assert sp.load_probe(folder).kind == "binary"
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(ProbeError, match="holds other files than a saved probe"):
        probe.save(folder, overwrite=True)
    assert (folder / "thesis.tex").read_text() == "years of work"
    (tmp_path / "file").write_text("text")
    with pytest.raises(ProbeError, match="is not a folder"):
        probe.save(tmp_path / "file", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "probe"]  # nothing temporary


def test_where_there_is_no_probe(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", _unreachable)
    with pytest.raises(ProbeError, match="There is no saved probe in .*: it has no probe.json"):
        sp.load_probe(tmp_path)
    with pytest.raises(ProbeError, match="There is no folder"):
        sp.load_probe(tmp_path / "nowhere")
    with pytest.raises(ProbeError, match="There is no folder probes/Frnech. On the hub: .*Frnech"):
        sp.load_probe("probes/Frnech")
    with pytest.raises(ProbeError, match="is a local folder, which has no revision"):
        sp.load_probe(tmp_path, revision="main")


def _unreachable(*_, **__):
    raise ConnectionError("the network is down")


@pytest.mark.parametrize("name", [METADATA, TENSORS])
@pytest.mark.parametrize("kind", ODD)
def test_something_else_in_the_place_of_a_file(folder, name, kind):
    """A pipe does not block."""
    put_odd(kind, folder / name)
    with pytest.raises((DamagedFileError, OSError)) as raised:
        sp.load_probe(folder)
    assert kind == "link to itself" or isinstance(raised.value, DamagedFileError)


@pytest.mark.parametrize("name", [METADATA, TENSORS])
def test_every_changed_byte_is_noticed(folder, name):
    original = (folder / name).read_bytes()
    for position in np.linspace(0, len(original) - 1, 60).astype(int):
        data = bytearray(original)
        data[position] ^= 1
        (folder / name).write_bytes(data)
        with pytest.raises(DamagedFileError):
            sp.load_probe(folder)
    for length in (0, 1, len(original) // 2, len(original) - 1):
        (folder / name).write_bytes(original[:length])
        with pytest.raises(DamagedFileError):
            sp.load_probe(folder)
    (folder / name).write_bytes(original)
    sp.load_probe(folder)


@pytest.mark.parametrize("version", [0, 2, "1", True, None, [1] * 50])
def test_another_format_version_is_refused(folder, version):
    rewrite(folder, lambda content: content.update(format_version=version))
    with pytest.raises((ProbeFormatError, DamagedFileError), match="format"):
        sp.load_probe(folder)


@pytest.mark.parametrize(("name", "limit"), [(METADATA, "MAX_METADATA_BYTES"), (TENSORS, "MAX_TENSOR_BYTES")])
def test_a_huge_file_is_not_read(folder, name, limit):
    os.truncate(folder / name, getattr(probe_file, limit) + 1)  # sparse: takes no space on the disk
    with pytest.raises(DamagedFileError, match="at most .* are read"):
        sp.load_probe(folder)


HOSTILE = {
    "a path as model": {"model": "/etc"},
    "a relative path as model": {"model": "../model"},
    "a home as model": {"model": "~root"},
    "a path behind an owner": {"model": "owner/../../etc"},
    "a URL as model": {"model": "http://host/model"},
    "a line end behind the model": {"model": "gpt2\n"},
    "a revision with a path": {"revision": "../../x"},
    "an absolute revision": {"revision": "/x"},
    "a hook point with a path": {"hook_point": "../mlp"},
    "a code in the hook point": {"hook_point": "mlp\x1b[31m"},
    "another attribute of torch": {"dtype": "load"},
    "a negative layer": {"layer": -1},
    "a huge layer": {"layer": 10**9},
    "a huge context": {"context_length": 2**40},
    "a negative token": {"prefix": [-1]},
    "an unknown kind": {"kind": "code"},
    "an unknown link": {"link": "eval"},
    "the kind of other arrays": {"kind": "binary"},
    "missing classes": {"classes": ["a", "b"]},
    "equal classes": {"classes": ["a", "b", "b"]},
    "no name": {"feature": ""},
    "a name without end": {"feature": "a" * 10_000},
    "a number as name": {"feature": 3},
    "a threshold that is not finite": {"threshold": float("nan")},
    "a hash that is none": {"weight_hash": "../../x"},
    "no origin": {"provenance": None},
    "half of a character as name": {"feature": "\ud800x"},
    "half of a character as class": {"classes": ["a", "b", "\ud800"]},
    "half of a character as origin of the threshold": {"threshold_origin": "\ud800"},
    "no room for a text": {"context_length": 3, "prefix": [0, 0], "suffix": [0]},
    "a chat that loses the message": {
        "chat": {"template": "User:", "completion": "", "template_hash": "", "probed_tokens": "last"}
    },
    "a third part of a text": {"kept": "middle"},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_metadata_that_no_probe_has(folder, change):
    rewrite(folder, lambda content: content["probe"].update(change))
    with pytest.raises(DamagedFileError, match="is damaged"):
        sp.load_probe(folder)


@pytest.mark.parametrize(
    ("kind", "link"), [("binary", "softmax"), ("regression", "sigmoid"), ("regression", "softmax")]
)
def test_probabilities_that_no_probe_of_this_kind_has(tmp_path, kind, link):
    """The softmax of one score is always 1."""
    folder = made_probe(kind=kind, link="none").save(tmp_path / "probe")
    rewrite(folder, lambda content: content["probe"].update(link=link))
    with pytest.raises(DamagedFileError, match=f"a {kind} probe have no probabilities by the link '{link}'"):
        sp.load_probe(folder)


def test_metadata_that_is_nested_deeply(folder):
    content = json.loads((folder / METADATA).read_text())["content"]
    text = '{"a":' * 100_000 + "1" + "}" * 100_000
    (folder / METADATA).write_text(f'{{"content": {text}, "digest": "{digest_json(content)}"}}')
    with pytest.raises(DamagedFileError, match="nested too deeply"):
        sp.load_probe(folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("support", np.array([1, 1, 2])),
        ("support", np.array([-1, 1, 2])),
        ("support", np.array([0, 1, 2**31])),
        ("support", np.array([0, 1])),
        ("support", np.array([0.0, 1.0, 2.0])),
        ("support", np.array([[0, 1, 2]])),
        ("support", np.empty(0, np.int64)),
        ("coef", np.full((3, 3), np.inf)),
        ("coef", np.zeros((1, 3))),
        ("coef", np.zeros((3, 3), np.float32)),
        ("intercept", np.zeros(2)),
        ("mean", np.array([0, np.nan, 0])),
        ("scale", np.array([1.0, 0.0, 1.0])),
        ("scale", np.ones((3, 1))),
        ("prior", np.full(3, -np.inf)),
        ("temperature", np.array([0.0])),
        ("temperature", np.array([np.inf])),
        ("temperature", np.ones(2)),
        ("temperature", None),
        ("further", np.zeros(3)),
    ],
)
def test_arrays_that_no_probe_has(folder, name, value):
    arrays = load((folder / TENSORS).read_bytes())
    arrays[name] = value
    rewrite(folder, tensors={key: array for key, array in arrays.items() if array is not None})
    with pytest.raises(DamagedFileError, match="is damaged"):
        sp.load_probe(folder)


@pytest.mark.parametrize("data", [b"", b"\x80\x04N.", b"\xff" * 64, (2**40).to_bytes(8, "little") + b"{}"])
def test_tensors_of_another_format(folder, data):
    rewrite(folder, tensors=data)
    with pytest.raises(DamagedFileError, match="holds no tensors"):
        sp.load_probe(folder)


def test_a_local_model_is_saved_without_its_folder(tmp_path, monkeypatch):
    """No path of this machine leaves it, and none of another machine is opened here."""
    (tmp_path / "secret" / "tiny").mkdir(parents=True)
    probe = made_probe(model=str(tmp_path / "secret" / "tiny"))
    for content in probe_bytes(probe).values():
        assert b"secret" not in content
    loaded = sp.load_probe(probe.save(tmp_path / "probe"))
    assert "secret" not in (tmp_path / "probe" / "README.md").read_text()
    assert (loaded.model, loaded.model_is_folder) == ("tiny", True)
    with pytest.raises(ModelError, match="trained on 'tiny', a model in a local folder, with the weights cccccccccccc"):
        loaded.score(["text"])
    again = read_probe(loaded.save(tmp_path / "again"))
    assert (again.model, again.model_is_folder) == ("tiny", True)
    # A name of the hub does not become a folder of the working directory.
    of_hub = made_probe(model="owner/model").save(tmp_path / "of_hub")
    assert not sp.load_probe(of_hub).model_is_folder
    (tmp_path / "owner" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert sp.load_probe(of_hub).model_is_folder


def test_what_no_file_may_say_is_not_written(tmp_path):
    with pytest.raises(ProbeError, match="cannot be saved"):
        made_probe(feature="a" * 10_000).save(tmp_path / "probe")
    with pytest.raises(ProbeError, match="not finite"):
        made_probe(provenance=replace(made_probe().provenance, gap=float("nan"))).save(tmp_path / "probe")
    with pytest.raises(ProbeError, match="half of a surrogate pair"):
        made_probe(threshold_origin="\ud800").save(tmp_path / "probe")
    with pytest.raises(ProbeError, match="must be texts, without half surrogate pairs"):
        made_probe(feature="\ud800x")
    assert list(tmp_path.iterdir()) == []
