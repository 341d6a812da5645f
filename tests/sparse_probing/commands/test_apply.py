"""``get_activations.py apply`` as a person runs it: texts, a store, a prompt, a generation, and what is refused."""

import hashlib
import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import get_activations
from probing_datasets.feature_dataset.probed_rows import ProbedRows
from probing_datasets.foundation.errors import ModelError, StoreError
from sparse_probing.activations.harvest import harvest
from sparse_probing.models import load_model
from sparse_probing.models.load_model import wrap_model
from sparse_probing.monitoring.apply import apply_probes
from sparse_probing.monitoring.apply_to_store import apply_to_store
from sparse_probing.monitoring.generation import watch
from sparse_probing.monitoring.prompts import score_generation
from sparse_probing.saved_probes.probe_metadata import ChatPrompt
from tests.builders.harvests import load_model_once
from tests.builders.models import ARCHITECTURES
from tests.builders.monitors import random_probe


@pytest.fixture
def command(monkeypatch, capsys):
    """A function that runs the command in this process and returns exit status, output and errors."""
    monkeypatch.setattr("sparse_probing.saved_probes.right_model.load_model", load_model_once)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["get_activations.py", "apply", *map(str, arguments)])
        status = get_activations.main()
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def saved(tiny_model_dir, tmp_path):
    """Two saved probes of the tiny model, which is named by its folder."""
    model = load_model_once(str(tiny_model_dir))
    probes = [
        random_probe(model, "German", 1, threshold=0.5),
        random_probe(model, "tone", 0, "hook_resid_post", ("happy", "sad"), aggregation="last"),
    ]
    folders = [tmp_path / "probes" / name for name in ("German", "tone")]
    for probe, folder in zip(probes, folders, strict=True):
        probe.save(folder)
    return model, probes, folders


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.csv"
    words = ["Guten Morgen", "", "Bonjour <script>alert(1)</script>", "word " * 100]
    pd.DataFrame({"text": words, "lang": ["de", "de", "fr", "en"]}).to_csv(path, index=False)
    return path, words


def test_texts_become_a_table_and_a_page(command, saved, texts, tiny_model_dir, tmp_path):
    model, probes, folders = saved
    path, words = texts
    to, page = tmp_path / "scores.parquet", tmp_path / "page.html"
    arguments = [*folders, "--texts", path, "--to", to, "--label_column", "lang", "--pooling", "max", "--html", page]
    status, out, err = command(*arguments, "--model", tiny_model_dir)
    assert status == 0, err
    assert "4 rows; scores: German, tone=happy, tone=sad, German_max" in out
    assert "1 text: the text has no tokens (text 1)" in out
    assert "1 text: longer than the context (text 3)" in out
    frame = pd.read_parquet(to)
    assert frame["label"].tolist() == ["de", "de", "fr", "en"]
    expected = apply_probes(probes, words, poolings=["max"], model=model)
    names = ["German", "tone=happy", "tone=sad", "German_max"]
    np.testing.assert_allclose(frame[names], expected[names], atol=1e-6)
    html = page.read_text()
    assert "<script>" not in html
    assert "&lt;" in html
    assert "threshold 0.5" in html
    assert f"text 0, label de, German: {frame['German'][0]:.4g}, " in html
    assert f"tone: {frame['tone_class'][0]} (probability " in html
    assert "1 text: longer than the context (text 3)." in html
    assert command(*arguments, "--model", tiny_model_dir)[0] == 0  # finished: it is not scored again


def test_tokens_become_a_table(command, saved, texts, tiny_model_dir, tmp_path):
    model, probes, folders = saved
    to = tmp_path / "tokens.parquet"
    status, _, err = command(
        folders[0],
        "--texts",
        texts[0],
        "--to",
        to,
        "--per_token",
        "--model",
        tiny_model_dir,
        "--html",
        tmp_path / "p.html",
    )
    assert status == 0, err
    frame = pd.read_parquet(to)
    assert list(frame.columns) == ["text", "position", "token", "start", "stop", "German"]
    expected = apply_probes(probes[:1], texts[1], per_token=True, model=model)
    pd.testing.assert_frame_equal(frame, expected, atol=1e-6)


def test_a_store_is_scored_without_a_model(command, saved, tiny_harvest, tmp_path, monkeypatch):
    _, probes, folders = saved
    store = harvest(tiny_harvest.with_flags(activation_aggregation="mean", output_precision="32"))
    monkeypatch.setattr("sparse_probing.saved_probes.right_model.load_model", None)
    to = tmp_path / "scores.parquet"
    status, out, err = command(folders[0], "--store", store.path, "--to", to)
    assert status == 0, err
    frame, rows = pd.read_parquet(to), ProbedRows(*store.rows)
    assert frame["sequence"].tolist() == rows.sequence.tolist()
    np.testing.assert_allclose(frame["German"], probes[0].scores_of(store.read(1))[:, 0], atol=1e-9)
    named = [replace(probes[0], feature=name) for name in ("sequence", "position")]
    apply_to_store(named, store, tmp_path / "named.parquet")
    frame = pd.read_parquet(tmp_path / "named.parquet")
    assert list(frame.columns) == ["sequence", "position", "sequence_score", "position_score"]
    assert frame["sequence"].tolist() == rows.sequence.tolist()
    status, _, err = command(*folders, "--store", store.path, "--to", tmp_path / "other.parquet")
    assert status == 1
    assert "holds the mean of every sequence" in err
    assert "aggregation last" in err
    other = replace(probes[0], tokenizer_hash="0" * 64)
    with pytest.raises(StoreError, match="cut into tokens by another tokenizer"):
        apply_to_store([other], store, tmp_path / "other.parquet")
    assert apply_to_store([other], store, tmp_path / "other.parquet", allow_other_weights=True).n_rows == len(rows)


def test_scores_of_a_store_are_those_of_its_texts(saved, tiny_harvest, tiny_dataset, tmp_path):
    """A store of every token, and the same tokens from the texts."""
    model, probes, _ = saved
    store = harvest(tiny_harvest.with_flags(output_precision="32"))
    apply_to_store(probes[:1], store, tmp_path / "s.parquet")
    frame = pd.read_parquet(tmp_path / "s.parquet")
    frame_0 = frame[frame["sequence"] == 0]
    (ids,) = tiny_dataset.tokens(np.array([0]))
    text = model.tokenizer.decode(ids[1:], clean_up_tokenization_spaces=False)
    assert model.tokenizer(text)["input_ids"] == ids[1:].tolist()
    from_text = apply_probes(probes[:1], [text], per_token=True, model=model)
    by_position = dict(zip(frame_0["position"], frame_0["German"], strict=True))
    shared = [p for p in by_position if p >= 1]
    assert len(shared) >= 5
    np.testing.assert_allclose(
        [by_position[p] for p in shared], from_text["German"].to_numpy()[np.array(shared) - 1], atol=1e-5
    )


def test_a_prompt_and_its_continuation_are_printed(command, saved, tiny_model_dir, tmp_path):
    model, probes, folders = saved
    status, out, err = command(folders[0], "--prompt", "Guten Morgen\x1b[31m", "--model", tiny_model_dir)
    assert status == 0, err
    assert "\x1b" not in out
    expected = apply_probes(probes[:1], ["Guten Morgen\x1b[31m"], per_token=True, model=model)["German"]
    *of_tokens, of_text = [line for line in out.splitlines()[2:] if line.strip()]
    assert [float(line.split()[-1]) for line in of_tokens] == [pytest.approx(score, abs=1e-3) for score in expected]
    text = ["Guten Morgen\x1b[31m"]
    score, probability = probes[0].score(text, model=model)[0], probes[0].predict_proba(text, model=model)[0]
    side = "above" if score > 0.5 else "not above"
    assert of_text == f"German: {score:.4g}, {side} its threshold 0.5 (probability {probability:.3f})"
    status, out, err = command(
        folders[1], "--prompt", "Bonjour", "--model", tiny_model_dir, "--html", tmp_path / "t.html"
    )
    assert status == 0, err
    says = f"tone: {probes[1].predict(['Bonjour'], model=model)[0]} (probability "
    assert f"{says}{probes[1].predict_proba(['Bonjour'], model=model).max():.3f})" in out
    assert says in (tmp_path / "t.html").read_text()
    page = tmp_path / "page.html"
    status, out, err = command(
        folders[0], "--prompt", "Guten Morgen", "--generate", 5, "--model", tiny_model_dir, "--html", page
    )
    assert status == 0, err
    ids = [*probes[0].prefix, *model.tokenizer("Guten Morgen")["input_ids"]]
    with watch(model, probes[:1]) as watched:
        model.model.generate(torch.tensor([ids]), max_new_tokens=5, pad_token_id=0, do_sample=False)
    printed = [float(line.split()[-1]) for line in out.splitlines()[2:] if line.strip() and "page" not in line]
    # Special tokens before the text are left out: their scores are of no text.
    n_before = len(probes[0].prefix)
    np.testing.assert_allclose(printed, watched.scores[0, n_before:, 0], atol=1e-3)
    assert f"{len(ids) - n_before} tokens of the prompt" in page.read_text()


CHAT = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}<|assistant|>"


def test_a_chat_is_continued_in_its_template(command, saved, tiny_model_dir, monkeypatch):
    _, _, folders = saved
    arguments = [folders[0], "--prompt", "Bonjour", "--generate", 3, "--chat", "--model", tiny_model_dir]
    status, _, err = command(*arguments)
    assert status == 1
    assert "has no chat template. Leave out --chat." in err
    chatting = load_model(str(tiny_model_dir))
    monkeypatch.setattr("sparse_probing.saved_probes.right_model.load_model", lambda *_, **__: chatting)
    for template, says in {
        "{{ raise_exception('no users') }}": "fails: TemplateError: no users",
        "{{ 'hello' }}": "changes or loses the message",
    }.items():
        chatting.tokenizer.chat_template = template
        status, _, err = command(*arguments)
        assert status == 1
        assert says in err
    chatting.tokenizer.chat_template = CHAT
    status, out, err = command(*arguments)
    assert status == 0, err
    assert "'<'" in out or "'<|'" in out


def test_one_sentence_says_what_is_wrong(command, saved, texts, tiny_model_dir, tmp_path):
    _, _, folders = saved
    path, to = texts[0], tmp_path / "s.parquet"
    (tmp_path / "probes" / "damaged").mkdir()
    (tmp_path / "probes" / "damaged" / "probe.json").write_text(json.dumps({"content": {}, "digest": "0"}))
    wrong = {
        "Pass one of --texts, --store, --prompt": [folders[0]],
        "got --texts, --prompt": [folders[0], "--texts", path, "--prompt", "a", "--to", to],
        "name the table with --to": [folders[0], "--texts", path],
        "There is no file": [folders[0], "--texts", tmp_path / "none.csv", "--to", to],
        "continues a --prompt": [folders[0], "--texts", path, "--to", to, "--generate", 3],
        "holds no texts to show": [folders[0], "--store", "x", "--to", to, "--html", "p.html"],
        "is named twice": [folders[0], str(folders[0]) + "/", "--prompt", "a"],
        "Only --texts are read with --pooling": [folders[0], "--prompt", "a", "--pooling", "max"],
        "read with --label_column, --per_token": [folders[0], "--prompt", "a", "--label_column", "b", "--per_token"],
        "read with --text_column": [folders[0], "--store", "x", "--to", to, "--text_column", "words"],
        "read with --per_token, --pooling": [folders[0], "--store", "x", "--to", to, "--pooling", "max", "--per_token"],
        "Leave out --model, --batch_size": [folders[0], "--store", "x", "--to", to, "--model", "a", "--batch_size", 8],
        "--seed goes with --sample": [folders[0], "--prompt", "a", "--seed", 8],
        "--html_texts with --texts and --html": [folders[0], "--texts", path, "--to", to, "--html_texts", 8],
        "--chat and --sample go with --generate": [folders[0], "--prompt", "a", "--sample"],
        "has no column 'words'": [folders[0], "--texts", path, "--to", to, "--text_column", "words"],
        "There is no folder": [tmp_path / "none", "--prompt", "a"],
        "is damaged": [tmp_path / "probes" / "damaged", "--prompt", "a"],
        "a model in a local folder": [folders[0], "--prompt", "a"],
        "The prompt cannot be scored": [folders[0], "--prompt", "", "--model", tiny_model_dir],
        "Shorten the prompt": [folders[0], "--prompt", "a", "--generate", 64, "--model", tiny_model_dir],
        "trained on the weights": [folders[0], "--prompt", "a", "--model", "demo"],
    }
    for says, arguments in wrong.items():
        status, _, err = command(*arguments)
        assert status == 1, says
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, err
        assert says in lines[0]
        assert "Traceback" not in err


def test_no_file_is_replaced_that_is_not_an_earlier_result(command, saved, texts, tiny_model_dir, tmp_path):
    _, _, folders = saved
    path, to, page = texts[0], tmp_path / "s.parquet", tmp_path / "page.html"
    parquet, notes = tmp_path / "q.parquet", tmp_path / "notes.html"
    pd.read_csv(path).to_parquet(parquet)
    (tmp_path / "t.parquet.json").write_text('[{"text": "a"}]')
    notes.write_text("<p>mine</p>")
    (tmp_path / "folder.html").mkdir()
    before = {file: file.read_bytes() for file in [path, parquet, notes, *folders[0].iterdir()]}
    prompt = [folders[0], "--prompt", "a", "--generate", 3, "--html"]
    from_table = [folders[0], "--texts", path, "--to", to, "--html"]
    refused = {
        "holds the texts": [folders[0], "--texts", parquet, "--to", parquet, "--overwrite"],
        "t.parquet.json holds the texts": [
            *[folders[0], "--texts", tmp_path / "t.parquet.json", "--to", tmp_path / "t.parquet", "--overwrite"]
        ],
        "notes.html exists, and is not a page that this command wrote": [*prompt, notes],
        "ends in .html, not ": [*from_table, path],
        "s.parquet. Name another file with --html": [*from_table, to],
        "folder.html is a folder": [*prompt, tmp_path / "folder.html"],
        "is the folder of a probe": [*prompt, folders[0] / "page.html"],
        "is the folder of a probe.": [folders[0], "--texts", path, "--to", folders[0] / "s.parquet"],
    }
    for says, arguments in refused.items():
        # None of them loads the model, which is in a folder: it would be named as missing.
        status, out, err = command(*arguments)
        assert (status, out) == (1, ""), says
        assert says in err
    assert all(file.read_bytes() == content for file, content in before.items())
    assert not to.exists()
    assert not list(folders[0].glob("s.parquet*"))
    model = ["--model", tiny_model_dir]
    assert command(*prompt, notes, "--overwrite", *model)[0] == 0
    assert "<title>Scores of a prompt</title>" in notes.read_text()
    assert command(*prompt, page, *model)[0] == 0
    first = page.read_bytes()
    assert command(*prompt, page, *model)[0] == 0  # an earlier page is replaced without a question
    assert page.read_bytes() == first


def test_a_chat_that_is_generated_begins_as_the_one_that_is_scored(command, saved, tiny_model_dir, monkeypatch, caplog):
    """The same tokens up to the beginning of the answer, with the same scores; the date does not change them."""
    model, probes, folders = saved
    template = "<|{{ strftime_now('%d %B %Y') }}|>" + CHAT.replace("<|assistant|>", "<|assistant|>\n")
    chatting = load_model(str(tiny_model_dir))
    chatting.tokenizer.chat_template = template
    monkeypatch.setattr("sparse_probing.saved_probes.right_model.load_model", lambda *_, **__: chatting)
    chat = ChatPrompt("", "It is", hashlib.sha256(template.encode()).hexdigest())
    probe = replace(probes[0], chat=chat)
    probe.save(folders[0], overwrite=True)

    def printed(out):
        lines = [line.split() for line in out.splitlines()[2:] if line.strip()[:1].isdigit()]
        return [float(line[-1]) for line in lines]

    arguments = [folders[0], "--prompt", "Bonjour", "--model", tiny_model_dir]
    status, out, err = command(*arguments)
    assert status == 0, err
    of_apply = printed(out)
    status, out, err = command(*arguments, "--generate", 2, "--chat")
    assert status == 0, err
    of_generation = printed(out)
    n_completion = len(chatting.tokenizer("It is", add_special_tokens=False)["input_ids"])
    n_shared = len(of_apply) - n_completion
    assert n_shared == len(of_generation) - 2
    np.testing.assert_allclose(of_generation[:n_shared], of_apply[:n_shared], atol=2e-3)
    assert "followed by 'It is'; here the model writes the answer" in caplog.text


def test_probes_that_read_other_tokens_have_no_common_page_or_generation(
    command, saved, texts, tiny_model_dir, tmp_path
):
    _, probes, folders = saved
    others = {"cut": {"kept": "end"}, "framed": {"prefix": (5, 6)}}
    for name, changes in others.items():
        replace(probes[0], feature=name, **changes).save(tmp_path / name)
    to = tmp_path / "s.parquet"
    page = ["--texts", texts[0], "--to", to, "--html", tmp_path / "p.html", "--model", tiny_model_dir]
    status, _, err = command(folders[0], tmp_path / "cut", *page)
    assert status == 1
    assert "Score tokens with probes of one kind at a time" in err
    assert not to.exists()
    written = ["--prompt", "Bonjour", "--generate", 2, "--model", tiny_model_dir]
    status, _, err = command(folders[0], tmp_path / "framed", *written)
    assert status == 1
    assert "'German' and of 'framed' begin with other special tokens" in err
    assert command(folders[0], tmp_path / "cut", *written)[0] == 0  # no text is cut


def test_a_model_that_does_not_generate(tiny_model_dir):
    """An encoder has neither ``generate`` nor a configuration of it."""
    torch.manual_seed(0)
    config, _, _, auto = ARCHITECTURES["bert"]
    encoder = wrap_model(auto.from_config(config).eval(), load_model_once(str(tiny_model_dir)).tokenizer, "bert")
    with pytest.raises(ModelError, match="does not generate text. Apply the probes to texts"):
        score_generation([random_probe(encoder)], encoder, "Guten Morgen", 3)
