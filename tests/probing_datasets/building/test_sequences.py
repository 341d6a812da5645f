"""Token sequences: cutting and annotating texts, the context, copies, and the description."""

from collections import Counter

import numpy as np
import pytest

from probing_datasets.building.annotation import AnnotatedText
from probing_datasets.building.sequences import LabelledSequences, cut_texts, describe_sequences, draw_pieces
from probing_datasets.building.text_sampling import Texts, read_texts
from probing_datasets.building.tokenization import load_tokenizer, tokenizer_hash
from probing_datasets.foundation.errors import AnnotationError, DatasetError, SettingsError, SourceError
from probing_datasets.make_config import MakeConfig
from probing_datasets.sources.text_rows import TextRow, digest_rows
from tests.builders.sources import write_table


@pytest.fixture
def config(tokenizer_dirs, tmp_path):
    """Settings over a source of 40 texts, each of which repeats its own number."""
    rows = [
        {"text": f"{i} " * (3 * i + 1), "label": "even" if i % 2 == 0 else "odd", "group": f"g{i}"} for i in range(40)
    ]
    source = write_table(tmp_path / "numbers.jsonl", rows)

    def make(**options) -> MakeConfig:
        defaults = {"tokenizer": str(tokenizer_dirs["byte_level_bpe"]), "source": source, "min_tokens": 4}
        return MakeConfig("natural_lang_id", **{**defaults, **options})

    return make


def make_sequences(config: MakeConfig, label_column: str) -> LabelledSequences:
    return cut_texts(config, read_texts(config, label_column))


def numbers_in(sequences) -> list[set[int]]:
    """The numbers in each sequence except the first and the last, which may be cut."""
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
    pieces = [t[1:].tolist() for t, g in zip(all_of_them.tokens, all_of_them.groups, strict=True) if g == "g39"]
    assert [i for piece in pieces for i in piece] == whole[: len(whole) // 7 * 7]  # the last 4 are too few


def test_number_of_sequences(config):
    sequences = make_sequences(config(n_sequences=11), "label")
    assert sorted(Counter(sequences.labels.tolist()).values()) == [5, 6]
    assert len(make_sequences(config(n_sequences=10_000), "label").tokens) == 39


def test_texts_per_label(config):
    sequences = make_sequences(config(texts_per_label=5, min_tokens=1), "label")
    assert Counter(sequences.labels.tolist()) == {"even": 5, "odd": 5}
    assert sequences.dropped == ("30 texts beyond --texts_per_label 5 were not drawn.",)


def test_default_context_is_that_of_the_model(config, tokenizer_dirs, tmp_path):
    assert make_sequences(config(), "label").context_length == 48
    long = load_tokenizer(str(tokenizer_dirs["byte_level_bpe"]))
    long.model_max_length = 100_000
    long.save_pretrained(tmp_path / "long")
    assert make_sequences(config(tokenizer=str(tmp_path / "long")), "label").context_length == 512


@pytest.mark.parametrize("length", [-3, 0, 1])
def test_context_without_room(config, length):
    with pytest.raises(SettingsError, match=f"--context_length {length} leaves no room for text: 1 tokens are special"):
        make_sequences(config(context_length=length), "label")


def test_no_text(config, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceError, match="holds neither source files nor .txt files"):
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


def test_source_digest_is_that_of_the_texts_that_were_drawn(config):
    settings = config(texts_per_label=5)
    first = make_sequences(settings, "label").source_digest
    assert first == make_sequences(settings, "label").source_digest
    assert first != make_sequences(config(texts_per_label=5, seed=1), "label").source_digest
    assert first != digest_rows([])


TEXTS = {
    "emoji": "😀👩‍👩‍👧🏽 the end",
    "right to left": "שלום עולם, مرحبا بالعالم",
    "no spaces": "x" * 500,
    "nul": "a\x00b",
}


def first_characters(row: TextRow, spans: np.ndarray) -> np.ndarray:
    """Annotate with the code of the first character of a token and its place, which a test can check."""
    codes = [ord(row.text[start]) if start < stop else 0 for start, stop in spans.tolist()]
    return np.stack([codes, spans[:, 0]], axis=1).reshape(-1, 2)


@pytest.mark.parametrize("name", TEXTS)
def test_pieces_are_the_ids_of_the_text_with_their_annotations(tokenizer_dir, name):
    config = MakeConfig("text_features", str(tokenizer_dir), context_length=11, min_tokens=1, sequences_per_text=1000)
    sequences = cut_texts(config, Texts([TextRow(TEXTS[name])], ""), first_characters)
    frame = sequences.frame
    inner = [tokens[len(frame.prefix) : len(tokens) - len(frame.suffix)].tolist() for tokens in sequences.tokens]
    whole = sequences.tokenizer(TEXTS[name], add_special_tokens=False, return_offsets_mapping=True)
    assert [i for piece in inner for i in piece] == whole["input_ids"]
    assert all(len(tokens) == 11 for tokens in sequences.tokens[:-1])
    assert sequences.lengths.tolist() == [len(tokens) for tokens in sequences.tokens]
    place = 0
    for tokens, annotation in zip(sequences.tokens, sequences.annotations, strict=True):
        assert tuple(tokens[: len(frame.prefix)]) == frame.prefix
        assert tuple(tokens[len(tokens) - len(frame.suffix) :]) == frame.suffix
        assert annotation.shape == (len(tokens), 2)
        assert not annotation[: len(frame.prefix)].any()
        for code, start in annotation[len(frame.prefix) : len(tokens) - len(frame.suffix)].tolist():
            assert whole["offset_mapping"][place][0] <= start < len(TEXTS[name])
            assert chr(code) == TEXTS[name][start]
            place += 1


def refuse_odd(row: TextRow, spans: np.ndarray) -> np.ndarray:
    if int(row.group.removeprefix("g")) % 2:
        raise AnnotationError("it is odd")
    return np.zeros(len(spans))


def test_texts_that_cannot_be_parsed_are_counted_and_named(config):
    sequences = cut_texts(config(min_tokens=1), read_texts(config(min_tokens=1), "label"), refuse_odd)
    assert set(sequences.labels) == {"even"}
    expected = "20 texts could not be parsed (g1: it is odd; g3: it is odd; g5: it is odd, ...)."
    assert sequences.dropped == (expected,)
    with pytest.raises(SourceError, match=r"holds no text of 1 tokens or more .*1 texts could not be parsed \(g1"):
        cut_texts(config(min_tokens=1), Texts([TextRow("a", group="g1")], ""), refuse_odd)


def test_an_annotator_must_return_one_value_for_each_token(config):
    with pytest.raises(DatasetError, match="gave 3 values for 4 tokens of group g"):
        cut_texts(config(), Texts([TextRow("abcd", group="g")], ""), lambda row, spans: np.zeros(3))


@pytest.mark.slow
def test_several_processes_give_the_same(config):
    texts = read_texts(config(), "label")
    one, two = (cut_texts(config(num_proc=n, sequences_per_text=2), texts, first_characters) for n in (1, 2))
    assert [t.tolist() for t in one.tokens] == [t.tolist() for t in two.tokens]
    assert [a.tolist() for a in one.annotations] == [a.tolist() for a in two.annotations]
    assert one.dropped == two.dropped


def test_select_keeps_origin_and_annotations(config):
    sequences = cut_texts(config(sequences_per_text=2), read_texts(config(), "label"), first_characters)
    some = sequences.select(np.array([5, 11]))
    assert some.origin.tolist() == sequences.origin[[5, 11]].tolist()
    assert [some.texts[i].group for i in some.origin] == some.groups
    assert [a.tolist() for a in some.annotations] == [sequences.annotations[i].tolist() for i in (5, 11)]


def test_pieces_do_not_hold_the_whole_text(config):
    text = AnnotatedText(np.arange(100_000, dtype=np.int32), np.zeros((100_000, 16), np.int16))
    (piece,) = draw_pieces(config(), 0, text, 40, np.random.default_rng(0))
    assert piece.ids.base is None
    assert piece.values is not None
    assert piece.values.base is None
