import json
from collections import Counter

import numpy as np
import pytest

from probing_datasets.config import MakeConfig
from probing_datasets.foundation.errors import SettingsError, SourceError
from probing_datasets.sequences import describe_sequences, make_sequences, sample_texts
from probing_datasets.sources import TextRow, digest_rows
from probing_datasets.tokenization import load_tokenizer, tokenizer_hash


@pytest.fixture
def config(tokenizer_dirs, tmp_path):
    """Settings over a source of 40 texts, each of which repeats its own number."""
    rows = [
        {"text": f"{i} " * (3 * i + 1), "label": "even" if i % 2 == 0 else "odd", "group": f"g{i}"} for i in range(40)
    ]
    source = tmp_path / "numbers.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(**options) -> MakeConfig:
        defaults = {"tokenizer": str(tokenizer_dirs["byte_level_bpe"]), "source": str(source), "min_tokens": 4}
        return MakeConfig("natural_lang_id", **{**defaults, **options})

    return make


def numbers_in(sequences) -> list[set[int]]:
    """Numbers that occur whole in each sequence, whose first and last may be cut."""
    texts = sequences.tokenizer.batch_decode([t[1:] for t in sequences.tokens])
    return [{int(n) for n in text.split()[1:-1]} for text in texts]


def test_labels_and_groups_stay_with_their_text(config):
    sequences = make_sequences(config(sequences_per_text=3), "label")
    for numbers, label, group in zip(numbers_in(sequences), sequences.labels, sequences.groups, strict=True):
        for number in numbers:
            assert group == f"g{number}"
            assert label == ("even" if number % 2 == 0 else "odd")


def test_lengths(config):
    sequences = make_sequences(config(context_length=16, sequences_per_text=100), "label")
    lengths = np.array([len(t) for t in sequences.tokens])
    assert sequences.context_length == 16
    assert lengths.max() == 16
    assert lengths.min() >= 1 + 4  # the beginning-of-sequence token and --min_tokens others
    assert sequences.dropped == ("1 texts are shorter than --min_tokens 4.",)  # '0 '


def test_sequences_per_text(config):
    for most in (1, 2):
        sequences = make_sequences(config(context_length=8, sequences_per_text=most), "label")
        assert max(Counter(sequences.groups).values()) == most
    all_of_them = make_sequences(config(context_length=8, min_tokens=5, sequences_per_text=1000), "label")
    whole = all_of_them.tokenizer("39 " * (3 * 39 + 1), add_special_tokens=False)["input_ids"]
    kept = [t[1:].tolist() for t, g in zip(all_of_them.tokens, all_of_them.groups, strict=True) if g == "g39"]
    assert [i for chunk in kept for i in chunk] == whole[: len(whole) // 7 * 7]  # the last 4 are too few


def test_number_of_sequences(config):
    sequences = make_sequences(config(n_sequences=11), "label")
    assert sorted(Counter(sequences.labels.tolist()).values()) == [5, 6]
    assert len(make_sequences(config(n_sequences=10_000), "label").tokens) == 39


def test_texts_per_label(config):
    sequences = make_sequences(config(texts_per_label=5, min_tokens=1), "label")
    assert Counter(sequences.labels.tolist()) == {"even": 5, "odd": 5}
    assert sequences.dropped == ("30 texts beyond --texts_per_label 5 were not drawn.",)


def test_default_context_is_what_the_model_takes(config, tokenizer_dirs, tmp_path):
    assert make_sequences(config(), "label").context_length == 48
    long = load_tokenizer(str(tokenizer_dirs["byte_level_bpe"]))
    long.model_max_length = 100_000
    long.save_pretrained(tmp_path / "long")
    assert make_sequences(config(tokenizer=str(tmp_path / "long")), "label").context_length == 512


@pytest.mark.parametrize("length", [-3, 0, 1])
def test_context_without_room(config, length):
    with pytest.raises(SettingsError, match=f"--context_length {length} leaves no room beside 1 special tokens"):
        make_sequences(config(context_length=length), "label")


def test_no_text(config, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceError, match="holds no text"):
        make_sequences(config(source=str(tmp_path / "folder")), "label")
    with pytest.raises(SourceError, match=r"holds no text of 5000 tokens or more \(--min_tokens\)"):
        make_sequences(config(min_tokens=5000), "label")


def test_select(config):
    sequences = make_sequences(config(), "label")
    some = sequences.select(np.array([3, 7]), ("a note",))
    assert [t.tolist() for t in some.tokens] == [sequences.tokens[i].tolist() for i in (3, 7)]
    assert some.labels.tolist() == [sequences.labels[3], sequences.labels[7]]
    assert some.groups == [sequences.groups[3], sequences.groups[7]]
    assert some.dropped == (*sequences.dropped, "a note")


def test_description(config):
    settings = config(n_sequences=20, seed=3, licence="CC0")
    sequences = make_sequences(settings, "label")
    description = describe_sequences(settings, sequences)
    assert description.name == "natural_lang_id.byte_level_bpe.48.20"
    assert description.tokenizer_hash == tokenizer_hash(sequences.tokenizer)
    assert (description.n_prefix, description.n_suffix, description.seed) == (1, 0, 3)
    assert description.source["name"] == settings.source
    assert description.source["licence"] == "CC0"
    assert MakeConfig(**description.options) == MakeConfig(**settings.options())  # replays the run


def rows_of(n: int, label: str = "a") -> list[TextRow]:
    return [TextRow(f"text {i}", label, str(i)) for i in range(n)]


def test_sampled_texts_keep_their_order_and_bound():
    rows = rows_of(50, "a") + rows_of(3, "b")
    kept, n_read = sample_texts(iter(rows), 10, seed=0)
    assert n_read == 53
    assert [row.label for row in kept] == ["a"] * 10 + ["b"] * 3
    assert [rows.index(row) for row in kept] == sorted(rows.index(row) for row in kept)
    assert sample_texts(iter(rows), 10, seed=0)[0] == kept
    assert sample_texts(iter(rows), 10, seed=1)[0] != kept


def test_sampled_texts_are_a_uniform_sample():
    rows, draws, per_label = rows_of(20), 600, 5
    counts = Counter(row.group for seed in range(draws) for row in sample_texts(rows, per_label, seed)[0])
    expected = draws * per_label / len(rows)
    assert all(abs(counts[row.group] - expected) < 5 * np.sqrt(expected) for row in rows)


def test_equal_texts_are_drawn_apart():
    rows = [TextRow("same", "a", str(i)) for i in range(20)]
    kept, _ = sample_texts(rows, 7, seed=0)
    assert len({row.group for row in kept}) == 7


def test_source_digest_is_that_of_the_texts_that_were_drawn(config):
    settings = config(texts_per_label=5)
    first = make_sequences(settings, "label").source_digest
    assert first == make_sequences(settings, "label").source_digest
    assert first != make_sequences(config(texts_per_label=5, seed=1), "label").source_digest
    assert first != digest_rows([])
