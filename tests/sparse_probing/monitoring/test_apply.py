"""Probes applied to texts and files: equal to plain passes, resumed after a kill, and bad texts stop nothing."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from probing_datasets.foundation.errors import ModelError, ProbeError, SettingsError, SourceError, StoreError
from sparse_probing.models import load_model
from sparse_probing.monitoring import apply as apply_module
from sparse_probing.monitoring.apply import apply_probes, apply_to_file
from sparse_probing.monitoring.score_files import ScoredFile, description_path, parts_folder
from sparse_probing.monitoring.score_pooling import POOLINGS, pool_texts
from sparse_probing.saved_probes.probe_matrices import score_names
from sparse_probing.saved_probes.probe_metadata import ChatPrompt
from tests.builders.harvests import flip_bit, load_model_once
from tests.builders.monitors import random_probe

TEXTS = ["Guten Morgen, wie geht es", "Bonjour", "", "the quick brown fox " * 30, "a b c", "ñandú 東京 🙂 ok"]


@pytest.fixture
def model(tiny_model_dir):
    return load_model_once(str(tiny_model_dir))


@pytest.fixture
def probes(model):
    return [
        random_probe(model, "German", 1, aggregation="mean"),
        random_probe(model, "tone", 0, "hook_resid_post", ("happy", "sad"), k=4, aggregation="last"),
        random_probe(model, "French", 1, k=3, seed=1, aggregation="max"),
        random_probe(model, "verb", 0, "hook_resid_post", seed=2, aggregation="none"),
    ]


def token_scores(model, probe, text: str) -> tuple[list[int], np.ndarray]:
    """Return the ids of a text, cut to the context, and its activations at the hook point, by a pass of it only."""
    room = min(probe.context_length, model.context_length) - len(probe.prefix) - len(probe.suffix)
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"][:room]
    sequence = [*probe.prefix, *ids, *probe.suffix]
    kept = []
    hook = {f"blocks.{probe.layer}.{probe.hook_point}": lambda a: kept.append(a[0].double().numpy())}
    model.run(torch.tensor([sequence]), torch.ones(1, len(sequence), dtype=torch.long), hook)
    return ids, kept[0][len(probe.prefix) : len(sequence) - len(probe.suffix)]


def test_scores_equal_those_of_single_passes(model, probes):
    frame = apply_probes(probes, TEXTS, poolings=POOLINGS, model=model, batch_size=3)
    assert list(frame.columns[:8]) == ["text", "n_tokens", "note", "German", "tone=happy", "tone=sad", "French", "verb"]
    pools = {"mean": lambda a: a.mean(0), "max": lambda a: a.max(0), "last": lambda a: a[-1]}
    for number in (0, 1, 3, 4, 5):
        row = frame.loc[number]
        for probe, names in zip(probes, (["German"], ["tone=happy", "tone=sad"], ["French"], ["verb"]), strict=True):
            ids, activations = token_scores(model, probe, TEXTS[number])
            if probe.aggregation == "none":
                assert np.isnan(row["verb"])
            else:
                expected = probe.scores_of(pools[probe.aggregation](activations))
                np.testing.assert_allclose(row[names].to_numpy(float), expected, atol=1e-5)
            for pooling in POOLINGS:
                expected = pool_texts([probe.scores_of(activations)], pooling)[0]
                pooled = row[[f"{name}_{pooling}" for name in names]].to_numpy(float)
                np.testing.assert_allclose(pooled, expected, atol=1e-5)
    assert frame.loc[2].drop(["text", "n_tokens", "note"]).isna().all()
    assert frame["note"].tolist()[2] == "the text has no tokens"
    room = model.context_length - 1
    n_tokens = len(model.tokenizer(TEXTS[3])["input_ids"])
    assert frame["note"][3] == f"longer than the context: the first {room} of {n_tokens} tokens are scored"
    assert (frame["note"][[0, 1, 4, 5]] == "").all()


def test_tokens_have_the_scores_of_their_activations(model, probes):
    short = replace(probes[0], feature="short", context_length=9)
    frame = apply_probes([*probes, short], TEXTS, per_token=True, model=model)
    assert set(frame["text"]) == {0, 1, 3, 4, 5}
    for number, of_text in frame.groupby("text"):
        ids, activations = token_scores(model, probes[0], TEXTS[number])
        assert of_text["position"].tolist() == list(range(len(ids)))
        np.testing.assert_allclose(of_text["German"], probes[0].scores_of(activations)[:, 0], atol=1e-5)
        assert [TEXTS[number][a:b] for a, b in zip(of_text["start"], of_text["stop"], strict=True)] == list(
            of_text["token"]
        )
        n_short = min(len(ids), 8)
        assert of_text["short"].notna().sum() == n_short
        np.testing.assert_allclose(of_text["short"][:n_short], of_text["German"][:n_short], atol=1e-5)


def test_texts_that_do_not_fit_into_memory_are_scored_in_smaller_batches(model, probes, monkeypatch):
    expected = apply_probes(probes, TEXTS, poolings=["mean"], model=model)
    whole = type(model)._forward
    batches = []

    def little_memory(self, tokens, mask, hooks):
        batches.append(len(tokens))
        if len(tokens) > 2:
            raise torch.OutOfMemoryError("out of memory")
        whole(self, tokens, mask, hooks)

    monkeypatch.setattr(type(model), "_forward", little_memory)
    frame = apply_probes(probes, TEXTS, poolings=["mean"], model=model)
    assert max(batches) == 5
    pd.testing.assert_frame_equal(frame, expected, atol=1e-5)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(apply_module, "PART_TEXTS", 4)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "texts.jsonl"
    rows = [{"words": f"{TEXTS[i % 6]} {i}" if i % 6 != 2 else None, "kind": "ab"[i % 2]} for i in range(18)]
    rows[7]["words"] = [1, 2]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path, rows


def test_a_file_is_scored_in_parts_and_recorded(model, probes, source, tmp_path, small_parts):
    path, rows = source
    record = apply_to_file(probes, path, tmp_path / "out" / "s.parquet", "words", "kind", poolings=["max"], model=model)
    frame = pd.read_parquet(tmp_path / "out" / "s.parquet")
    usable = [i for i, row in enumerate(rows) if isinstance(row["words"], str)]
    expected = apply_probes(probes, [rows[i]["words"] for i in usable], poolings=["max"], model=model)
    assert frame["text"].tolist() == list(range(18))
    assert frame["label"].tolist() == [row["kind"] for row in rows]
    names = [name for name in expected.columns[3:] if name != "tone_class"]
    larger = expected["tone=happy"] > expected["tone=sad"]
    assert frame.loc[usable, "tone_class"].tolist() == np.where(larger, "happy", "sad").tolist()
    assert frame.loc[[2, 7, 8, 14], "tone_class"].isna().all()
    np.testing.assert_allclose(frame.loc[usable, names].to_numpy(), expected[names].to_numpy(), atol=1e-5)
    unusable = [2, 7, 8, 14]
    assert frame.loc[unusable, names].isna().all(axis=None)
    assert frame["note"][7] == "the cell is neither text nor a number"
    assert record.n_rows == 18
    assert record.columns == names
    assert record.notes["no text"] == (3, 2)
    assert record.notes["longer than the context"] == (3, 3)
    assert not parts_folder(tmp_path / "out" / "s.parquet").exists()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["s.parquet", "s.parquet.json"]


def test_a_kill_loses_one_part_and_a_damaged_part_is_made_again(
    model, probes, source, tmp_path, small_parts, monkeypatch, caplog
):
    path, _ = source
    probes = probes[:3]
    to, whole = tmp_path / "s.parquet", tmp_path / "whole.parquet"
    apply_to_file(probes, path, whole, "words", model=model)
    scored = []
    score = apply_module.TextScorer.score

    def killed_in_the_third_part(self, texts):
        scored.append(len(texts))
        if len(scored) == 3:
            raise KeyboardInterrupt
        return score(self, texts)

    monkeypatch.setattr(apply_module.TextScorer, "score", killed_in_the_third_part)
    with pytest.raises(KeyboardInterrupt):
        apply_to_file(probes, path, to, "words", model=model)
    assert not to.exists()
    flip_bit(parts_folder(to) / "000001.parquet")
    with pytest.raises(StoreError, match="Other results exist"):
        apply_to_file(probes[:1], path, to, "words", model=model)
    scored.clear()
    scored.extend([0, 0, 0])
    apply_to_file(probes, path, to, "words", model=model)
    assert scored[3:] == [4, 4, 4, 2]  # the damaged part and those that were missing
    assert "000001.parquet is made again" in caplog.text
    assert to.read_bytes() == whole.read_bytes()
    scored.clear()
    finished = apply_to_file(probes, path, to, "words", model=model)
    assert isinstance(finished, ScoredFile)
    assert scored == []  # it is finished: nothing runs
    flip_bit(to)
    monkeypatch.setattr(apply_module.TextScorer, "score", score)
    apply_to_file(probes, path, to, "words", model=model)
    assert to.read_bytes() == whole.read_bytes()


def test_a_table_of_other_inputs_is_replaced_only_when_requested(model, probes, source, tmp_path):
    path, _ = source
    probes = probes[:3]
    to = tmp_path / "s.parquet"
    to.write_text("mine")
    with pytest.raises(StoreError, match="is not a table that this command wrote"):
        apply_to_file(probes, path, to, "words", model=model)
    assert to.read_text() == "mine"
    apply_to_file(probes, path, to, "words", model=model, overwrite=True)
    with pytest.raises(StoreError, match=r"made from other inputs or settings \(probes\)"):
        apply_to_file(probes[:1], path, to, "words", model=model)
    path.write_text(path.read_text() + json.dumps({"words": "one more", "kind": "a"}) + "\n")
    with pytest.raises(StoreError, match=r"made from other inputs or settings \(source_file\)"):
        apply_to_file(probes, path, to, "words", model=model)
    apply_to_file(probes, path, to, "words", model=model, overwrite=True)
    assert len(pd.read_parquet(to)) == 19
    description_path(to).write_text("{}")
    with pytest.raises(Exception, match="is damaged"):
        apply_to_file(probes, path, to, "words", model=model)


def test_a_text_that_is_cut_for_one_of_several_probes_says_so(model, probes, tmp_path):
    short = replace(probes[0], feature="short", context_length=9, prefix=probes[0].prefix)
    words = ["Guten Morgen, wie geht es dir heute", "a b"]
    n_tokens = len(model.tokenizer(words[0])["input_ids"])
    frame = apply_probes([probes[0], short], words, model=model)
    note = f"longer than the context: the first 8 of {n_tokens} tokens are scored (short)"
    assert frame["note"].tolist() == [note, ""]
    pd.DataFrame({"text": words}).to_csv(tmp_path / "w.csv")
    record = apply_to_file([probes[0], short], tmp_path / "w.csv", tmp_path / "s.parquet", model=model)
    assert record.notes == {"longer than the context": (1, 0)}
    assert pd.read_parquet(tmp_path / "s.parquet")["note"].tolist() == [note, ""]


def test_a_table_made_with_another_tokenizer_is_not_this_one(model, probes, source, tmp_path):
    """With other weights allowed, the tokenizer decides the numbers too."""
    path, to = source[0], tmp_path / "s.parquet"
    german, other = replace(probes[0], tokenizer_hash=""), replace(model)
    vars(other)["tokenizer_hash"] = "ab" * 32
    apply_to_file([german], path, to, "words", model=model, allow_other_weights=True)
    with pytest.raises(StoreError, match=r"made from other inputs or settings \(tokenizer\)"):
        apply_to_file([german], path, to, "words", model=other, allow_other_weights=True)


def test_a_part_ends_where_its_tokens_have_many_scores(model, probes, source, tmp_path, monkeypatch):
    path, to, whole = source[0], tmp_path / "s.parquet", tmp_path / "whole.parquet"
    apply_to_file(probes, path, whole, "words", per_token=True, model=model)
    n_texts, score = [], apply_module.TextScorer.score
    monkeypatch.setattr(
        apply_module.TextScorer, "score", lambda self, texts: n_texts.append(len(texts)) or score(self, texts)
    )
    n_outputs, longest = 5, model.context_length - 1
    monkeypatch.setattr(apply_module, "PART_SCORES", 4 * longest * n_outputs)
    apply_to_file(probes, path, to, "words", per_token=True, model=model)
    assert n_texts == [4, 4, 4, 4, 2]
    pd.testing.assert_frame_equal(pd.read_parquet(to), pd.read_parquet(whole), atol=1e-6)
    n_texts.clear()
    apply_to_file(probes[:1], path, tmp_path / "texts.parquet", "words", model=model)
    assert n_texts == [18]  # no scores of tokens are kept


def test_scores_are_named_by_what_their_probes_differ_in(model, probes):
    german = probes[0]
    few = random_probe(model, "German", 1, k=3)
    assert score_names([german, replace(german, layer=0)]) == ["German@1", "German@0"]
    assert score_names([german, replace(german, hook_point="hook_mlp_out")]) == [
        "German.mlp.hook_post",
        "German.hook_mlp_out",
    ]
    assert score_names([german, few]) == ["German.k48", "German.k3"]
    assert score_names([german, replace(german, aggregation="max")]) == ["German.mean", "German.max"]
    assert score_names([german, few, replace(few, layer=0)])[1:] == ["German@1.k3", "German@0"]
    assert score_names([probes[1], replace(probes[1], layer=1)])[2:] == ["tone=happy@1", "tone=sad@1"]
    assert score_names([german, german, few]) == ["German.k48", "German.k48#2", "German.k3"]


def test_probes_that_the_model_cannot_take(model, probes):
    german = probes[0]
    n_tokens = model.model.get_input_embeddings().num_embeddings
    with pytest.raises(ModelError, match=f"puts the token {n_tokens} around a text, and .* has {n_tokens} tokens"):
        apply_probes([replace(german, prefix=(n_tokens,))], ["a"], model=model)
    assert np.isfinite(apply_probes([replace(german, prefix=(n_tokens - 1,))], ["a"], model=model)["German"][0])
    many = replace(german, prefix=(0,) * model.context_length, context_length=1000)
    with pytest.raises(ModelError, match="puts 64 special tokens around a text, and .* takes 64 tokens"):
        apply_probes([many], ["a"], model=model)
    with pytest.raises(ProbeError, match="3 special tokens around a text needs a longer context than 1 tokens"):
        replace(german, prefix=(0, 0), suffix=(0,), context_length=1)


CHAT_TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}<|assistant|>"


def test_messages_are_put_into_the_prompt_of_the_data_set(model, tiny_model_dir):
    chatting = load_model(str(tiny_model_dir))
    chatting.tokenizer.chat_template = CHAT_TEMPLATE
    chat = ChatPrompt("", "I think this user is", hashlib.sha256(CHAT_TEMPLATE.encode()).hexdigest())
    probe = random_probe(chatting, aggregation="none", chat=chat)
    plain = replace(probe, chat=None, aggregation="last")
    message = "Guten Morgen"
    rendered = f"<|user|>{message}\n<|assistant|> I think this user is"
    score = probe.score([message], model=chatting)
    np.testing.assert_allclose(score, plain.score([rendered], model=chatting), atol=1e-6)
    tokens = probe.score([message], per_token=True, model=chatting)[0]
    assert tokens[-1][1] == pytest.approx(score[0], abs=1e-6)
    frame = apply_probes([probe], [message, " ", "long " * 200, "<|endoftext|> hi"], model=chatting)
    assert frame["note"][1] == "the message is empty"
    assert frame["note"][2].startswith("not scored, longer than the context: a prompt of ")
    assert frame["German"].isna().tolist() == [False, True, True, False]
    assert frame["note"][3] == "it spells a special token of the template"
    chatting.tokenizer.chat_template = CHAT_TEMPLATE.replace("<|", "[")
    with pytest.raises(ModelError, match="another chat template than this tokenizer has"):
        probe.score([message], model=chatting)
    with pytest.raises(ProbeError, match="put a text into different prompts"):
        apply_probes([probe, plain], [message], per_token=True, model=chatting)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ raise_exception('only system messages') }}", "fails: TemplateError: only system messages"),
        ("{% for m in messages %}<|{{ m.role }}|>{% endfor %}", "changes or loses the message"),
        ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "changes or loses the message"),
    ],
)
def test_a_chat_template_that_raises_or_drops_the_message(tiny_model_dir, template, says):
    chatting = load_model(str(tiny_model_dir))
    chatting.tokenizer.chat_template = template
    chat = ChatPrompt("", "It is", hashlib.sha256(template.encode()).hexdigest())
    with pytest.raises(SettingsError, match=says):
        random_probe(chatting, aggregation="last", chat=chat).score(["Guten Morgen"], model=chatting)


def test_a_folder_where_parts_would_be_is_never_emptied(model, probes, source, tmp_path):
    path, _ = source
    to = tmp_path / "s.parquet"
    mine = parts_folder(to) / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("three years of work")
    with pytest.raises(SettingsError, match="holds files that no call of apply wrote"):
        apply_to_file(probes[:1], path, to, "words", model=model, overwrite=True)
    assert mine.read_text() == "three years of work"


def test_bad_requests(model, probes, source, tmp_path):
    path, _ = source
    with pytest.raises(ProbeError, match="no probes to apply"):
        apply_probes([], ["a"], model=model)
    with pytest.raises(ProbeError, match="Pass a list of texts"):
        apply_probes(probes[:1], "a", model=model)
    with pytest.raises(ProbeError, match=r"'verb' was trained on tokens.*--pooling mean"):
        apply_probes(probes, ["a"], model=model)
    with pytest.raises(ProbeError, match="has no pooled scores"):
        apply_probes(probes, ["a"], per_token=True, poolings=["max"], model=model)
    with pytest.raises(SettingsError, match=r"with \.parquet at its end"):
        apply_to_file(probes[:1], path, tmp_path / "s.csv", "words", model=model)
    with pytest.raises(SourceError, match="has no column 'text'"):
        apply_to_file(probes[:1], path, tmp_path / "s.parquet", model=model)
    with pytest.raises(SourceError, match="Texts are read from a file that ends in"):
        apply_to_file(probes[:1], tmp_path, tmp_path / "s.parquet", model=model)
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(SourceError, match="holds no object with keys"):
        apply_to_file(probes[:1], tmp_path / "empty.jsonl", tmp_path / "s.parquet", model=model)
    twin = replace(probes[0], feature="German")
    assert "German#2" in apply_probes([probes[0], twin], ["a"], model=model).columns
    for bad, says in {None: "Text 1 is NoneType, not a string", 3: "Text 1 is int, not a string"}.items():
        with pytest.raises(ProbeError, match=says):
            apply_probes(probes[:1], ["a", bad], model=model)
    with pytest.raises(ProbeError, match="batch size must be at least 1, not 0"):
        apply_probes(probes[:1], ["a"], model=model, batch_size=0)
    half = apply_probes(probes[:1], ["a", "b \ud83d"], model=model)
    assert half["note"].tolist() == ["", "it holds half of a surrogate pair, which is not a character"]
    assert half["German"].isna().tolist() == [False, True]
    named_text = replace(probes[0], feature="text")
    assert "text_score" in apply_probes([named_text], ["a"], model=model).columns


def test_a_model_in_a_folder_must_be_passed(model, probes):
    with pytest.raises(ModelError, match=r"trained on 'tiny', a model in a local folder.*--model FOLDER"):
        apply_probes([replace(probes[0], model="tiny", model_is_folder=True)], ["a"])


def test_other_weights_are_refused_with_the_name_of_the_wanted_model(model, probes, tiny_model_dir, caplog):
    other = load_model(str(tiny_model_dir), random_init=True, seed=5)
    with pytest.raises(ModelError, match=r"of '.*tiny' \(float32\), and .* has the weights"):
        apply_probes(probes[:1], ["a"], model=other)
    frame = apply_probes(probes[:1], ["a"], model=other, allow_other_weights=True)
    assert np.isfinite(frame["German"]).all()
    assert "Scores may mean nothing" in caplog.text
