"""Features of LaTeX sources: characters by hand, tokens of every tokenizer, negatives, broken paragraphs."""

import re
from pathlib import Path

import numpy as np
import pytest

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.collections.latex import LatexConfig, build
from probing_datasets.collections.latex.collection import COLUMNS, annotate_tokens
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SourceError
from probing_datasets.sources.text_rows import TextRow
from tests.builders.datasets import places_of
from tests.builders.sources import SOURCES, read_rows, write_table

LATEX = SOURCES / "latex.jsonl"
REFERENCES = ("ref", "cite")


def config(folder: Path, **options) -> LatexConfig:
    defaults = {"source": str(LATEX), "min_positives": 3, "rows_per_feature": 10**6, "ignore_first": 0}
    return LatexConfig(tokenizer=str(folder), context_length=2000, **(defaults | options))


def marked(text: str, feature: str) -> str:
    """Mark the characters of a text, taken as tokens of one character, for which a feature holds."""
    spans = np.array([(i, i + 1) for i in range(len(text))], np.int32)
    holds = annotate_tokens(TextRow(text), spans, REFERENCES)[:, COLUMNS.index(feature)]
    return "".join(character if marked else "·" for character, marked in zip(text, holds, strict=True))


FORMULAS = r"if $x_1^n$ is \[\frac{a}{b}\] ."
MARKED_FORMULAS = {
    "is_math": r"····x_1^n·······\frac{a}{b}····",
    "is_inline_math": r"····x_1^n······················",
    "is_display_math": r"················\frac{a}{b}····",
    "is_subscript": r"······1························",
    "is_superscript": r"········n······················",
    "is_frac": r"·····················{a}{b}····",
    "is_numerator": r"······················a········",
    "is_denominator": r"·························b·····",
    "start_math": r"···$···········[···············",
    "end_math": r"·········$··················]··",
}
TITLES = r"\title{A} \section{B} \ref{c} \author{D}"
MARKED_TITLES = {
    "is_title": r"·······A································",
    "is_section_title": r"···················B····················",
    "is_reference": r"···························c············",
    "is_author": r"······································D·",
}


@pytest.mark.parametrize("feature", MARKED_FORMULAS)
def test_features_of_formulas(feature):
    assert marked(FORMULAS, feature) == MARKED_FORMULAS[feature]


@pytest.mark.parametrize("feature", MARKED_TITLES)
def test_features_of_titles(feature):
    assert marked(TITLES, feature) == MARKED_TITLES[feature]


def test_the_first_character_of_a_token_counts():
    text = "a$x$"
    spans = np.array([(0, 2), (2, 4), (4, 4)], np.int32)  # "a$", "x$", and a marker without a character
    holds = annotate_tokens(TextRow(text), spans, REFERENCES)
    features = {name: holds[:, i].tolist() for i, name in enumerate(COLUMNS)}
    assert features["is_math"] == [False, True, False]
    assert features["start_math"] == [True, False, False]
    assert features["end_math"] == [False, True, False]
    assert holds[:, -1].tolist() == [True, True, False]  # whether it may be probed


def decoded(dataset: FeatureDataset, folder: Path, feature: str, label: int) -> set[str]:
    """The tokens of a feature with a label, each decoded separately."""
    tokenizer = load_tokenizer(str(folder))
    probes = dataset.feature_probes(feature)
    tokens = dataset.tokens(np.arange(dataset.description.n_sequences))
    rows = np.flatnonzero(probes.label == label)
    ids = {int(tokens[probes.sequence[i]][probes.position[i]]) for i in rows}
    return {tokenizer.decode([i]).strip().removeprefix("##") for i in ids}


def test_delimiters_and_denominators_with_every_tokenizer(tokenizer_dir):
    """Formulas are $k$, $x_k$, align*, $y = ..$, \\[ .. \\] and $$ .. $$; a 12 is one token of the byte-level BPE."""
    dataset = build(config(tokenizer_dir))
    assert decoded(dataset, tokenizer_dir, "start_math", 1) == {"$", "}", "["}
    assert decoded(dataset, tokenizer_dir, "end_math", 1) == {"$", "}", "]"}
    digits = {*"0123456789", "12"}
    assert decoded(dataset, tokenizer_dir, "is_denominator", 1) <= digits | {"b", "^"}
    assert "b" in decoded(dataset, tokenizer_dir, "is_denominator", 1)
    assert decoded(dataset, tokenizer_dir, "is_superscript", 1) <= digits | {"m", "+"}


def test_half_of_the_negatives_mirror_the_positives(tokenizer_dirs):
    folder = tokenizer_dirs["byte_level_bpe"]
    dataset = build(config(folder))
    sub, superscript = (places_of(dataset, f"is_{kind}", 1) for kind in ("subscript", "superscript"))
    negatives = places_of(dataset, "is_subscript", -1)
    mirrored = len(negatives & superscript)
    assert mirrored > 10
    assert 0.4 < mirrored / len(negatives) < 0.6
    assert not sub & superscript


def test_three_modes(tokenizer_dirs):
    dataset = build(config(tokenizer_dirs["byte_level_bpe"]))
    info = dataset.description.features["math_mode"]
    assert (info.kind, info.classes) == ("multiclass", ("text", "inline", "display"))
    probes = dataset.feature_probes("math_mode")
    modes = dict(zip(zip(probes.sequence, probes.position, strict=True), probes.label, strict=True))
    for feature, mode in (("is_inline_math", 1), ("is_display_math", 2)):
        shared = places_of(dataset, feature, 1) & set(modes)
        assert len(shared) > 100
        assert {modes[place] for place in shared} == {mode}


def test_broken_paragraphs_are_not_probed_and_noted(tokenizer_dirs):
    """One paragraph of each source has a brace too many."""
    folder = tokenizer_dirs["byte_level_bpe"]
    dataset = build(config(folder))
    (note,) = [note for note in dataset.description.dropped if "cannot be parsed" in note]
    assert re.fullmatch(r"\d\.\d% of the tokens are in paragraphs that cannot be parsed; they are not probed\.", note)
    texts = load_tokenizer(str(folder)).batch_decode(
        [tokens[: position + 1] for tokens, position in up_to_probes(dataset)], skip_special_tokens=True
    )
    assert not any("broken" in text.rpartition("\n\n")[2] for text in texts if not text.endswith("\n"))


def up_to_probes(dataset: FeatureDataset):
    for feature in dataset.features:
        probes = dataset.feature_probes(feature)
        yield from zip(dataset.tokens(probes.sequence), probes.position.tolist(), strict=True)


def test_sources_that_cannot_be_parsed_are_named(tokenizer_dirs, tmp_path):
    rows = read_rows(LATEX)
    rows[3]["text"] = "{" * 30
    source = write_table(tmp_path / "sources.jsonl", rows)
    dataset = build(config(tokenizer_dirs["wordpiece"], source=source))
    assert dataset.description.n_sequences == 11
    (note,) = [note for note in dataset.description.dropped if "badger.tex" in note]
    assert "badger.tex: no paragraph can be parsed: Unexpected end of stream, was expecting '}'" in note


def test_no_source_is_bundled(tokenizer_dirs):
    with pytest.raises(SourceError, match="No texts are bundled for latex"):
        build(config(tokenizer_dirs["wordpiece"], source="demo"))


def test_reference_macros_can_be_chosen(tokenizer_dirs):
    folder = tokenizer_dirs["byte_level_bpe"]
    both, one = (build(config(folder, reference_macros=macros)) for macros in (("ref", "cite"), ("cite",)))
    assert places_of(one, "is_reference", 1) < places_of(both, "is_reference", 1)
