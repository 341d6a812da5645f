"""Languages as binary features: labels, shared positions, rare languages."""

from pathlib import Path

import numpy as np
import pytest

from probing_datasets.collections.language_id import build
from probing_datasets.foundation.errors import DatasetError
from probing_datasets.make_config import MakeConfig
from tests.builders.datasets import decoded_sequences
from tests.builders.sources import write_table

WORDS = {"Greek": "και the το ", "Hebrew": "של the על ", "Latin": "et the in "}


@pytest.fixture
def source(tmp_path: Path):
    """A function that writes texts of given languages, ``n`` texts in ``n_groups`` groups each."""

    def write(languages: dict[str, tuple[int, int]], suffix: str = "") -> str:
        rows = [
            {"text": WORDS[language] * 6 + suffix, "label": language, "group": f"{language}{i % n_groups}"}
            for language, (n, n_groups) in languages.items()
            for i in range(n)
        ]
        return write_table(tmp_path / "languages.jsonl", rows)

    return write


def language_of(text: str) -> str:
    """The language of a text, by its script."""
    if any("α" <= character <= "ω" for character in text):
        return "Greek"
    return "Hebrew" if any("א" <= character <= "ת" for character in text) else "Latin"


def test_one_against_the_rest(source, tokenizer_dirs):
    path = source({"Greek": (24, 4), "Hebrew": (20, 5), "Latin": (30, 3)})
    dataset = build(MakeConfig("natural_lang_id", str(tokenizer_dirs["byte_level_bpe"]), source=path))
    texts = decoded_sequences(dataset, tokenizer_dirs["byte_level_bpe"])
    truth = np.array([language_of(text) for text in texts])
    assert dataset.features == ("Greek", "Hebrew", "Latin")
    for language in dataset.features:
        probes = dataset.feature_probes(language)
        assert np.array_equal(probes.label == 1, truth[probes.sequence] == language)
        assert dataset.description.features[language].kind == "binary"
        n = {"Greek": 24, "Hebrew": 20, "Latin": 30}[language]
        assert dataset.description.features[language].counts == {"1": 5 * n, "-1": 5 * (74 - n)}
    assert all(group.startswith(language) for group, language in zip(dataset.sequences["group"], truth, strict=True))


def test_all_languages_share_their_positions(source, tokenizer_dir):
    path = source({"Greek": (20, 2), "Latin": (20, 2)})
    dataset = build(MakeConfig("natural_lang_id", str(tokenizer_dir), source=path, positions_per_sequence=3))
    greek, latin = (dataset.feature_probes(f) for f in dataset.features)
    assert np.array_equal(greek.sequence, latin.sequence)
    assert np.array_equal(greek.position, latin.position)
    assert np.array_equal(greek.label, -latin.label)
    assert np.bincount(greek.sequence).tolist() == [3] * 40


@pytest.mark.parametrize("ignore_first", [0, 4])
def test_special_and_ignored_positions_are_not_probed(source, tokenizer_dir, ignore_first):
    path = source({"Greek": (20, 2), "Latin": (20, 2)})
    settings = MakeConfig(
        "natural_lang_id",
        str(tokenizer_dir),
        source=path,
        ignore_first=ignore_first,
        positions_per_sequence=1000,
    )
    dataset = build(settings)
    d, probes = dataset.description, dataset.feature_probes("Latin")
    for sequence, length in enumerate(dataset.lengths):
        expected = np.arange(d.n_prefix + ignore_first, length - d.n_suffix)
        assert np.array_equal(probes.position[probes.sequence == sequence], expected)


def test_special_tokens_in_the_text_are_not_probed(source, tokenizer_dirs):
    path = source({"Greek": (20, 2), "Latin": (20, 2)}, suffix="<|endoftext|> et the")
    settings = MakeConfig(
        "natural_lang_id",
        str(tokenizer_dirs["byte_level_bpe"]),
        source=path,
        context_length=400,
        positions_per_sequence=1000,
    )
    dataset = build(settings)
    assert all((tokens == 0).sum() == 1 for tokens in dataset.tokens(np.arange(40)))  # the first one


def test_rare_languages_are_dropped_and_noted(source, tokenizer_dirs):
    path = source({"Greek": (24, 4), "Hebrew": (19, 5), "Latin": (30, 3)})
    dataset = build(MakeConfig("natural_lang_id", str(tokenizer_dirs["wordpiece"]), source=path))
    assert dataset.features == ("Greek", "Latin")
    assert dataset.description.n_sequences == 54
    assert dataset.description.dropped == (
        "Hebrew was dropped: 19 sequences in 5 groups, and it needs at least 20 (--min_positives) in 2.",
        "38 sequences have the tokens of one in another group: they may be in training and test rows both.",
    )


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        ({"Greek": (30, 3)}, r"Fewer than two languages are left \(Greek\)\. .*Check --label_column"),
        ({"Greek": (30, 3), "Latin": (5, 5)}, r"Latin was dropped: 5 sequences in 5 groups.*--min_positives"),
        ({"Greek": (30, 3), "Latin": (30, 1)}, r"Latin was dropped: 30 sequences in 1 groups"),
        ({"Greek": (2, 2), "Latin": (2, 2)}, r"languages are left \(none\)"),
    ],
)
def test_too_little_to_probe(source, tokenizer_dirs, languages, message):
    settings = MakeConfig("natural_lang_id", str(tokenizer_dirs["wordpiece"]), source=source(languages))
    with pytest.raises(DatasetError, match=message):
        build(settings)
