"""True and false statements: from facts and from texts, the probed token, groups, spans."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.collections.counterfact import (
    CounterfactConfig,
    build,
    mark_subject_and_target,
    statement_of_text,
    statements,
    statements_of_fact,
)
from probing_datasets.feature_dataset.spans import read_span
from probing_datasets.foundation.errors import AnnotationError, DatasetError, SourceError
from probing_datasets.sources.text_rows import TextRow
from tests.builders.datasets import squeeze
from tests.builders.sources import write_table


def spans(row: TextRow) -> tuple[str, str]:
    """The characters of subject and target."""
    subject_start, subject_stop, target_start, target_stop = row.extra
    return row.text[subject_start:subject_stop], row.text[target_start:target_stop]


@pytest.mark.parametrize(
    ("prompt", "subject", "statement"),
    [
        ("The capital of Norway is", "Norway", "The capital of Norway is Oslo"),
        ("Norway's capital is ", "Norway", "Norway's capital is Oslo"),
        ("Oslo, of Oslo, is in", "Oslo", "Oslo, of Oslo, is in Oslo"),
    ],
)
def test_a_fact_is_two_statements(prompt, subject, statement):
    yes, no = statements_of_fact(prompt, subject, "Oslo", "New Delhi")
    assert (yes.text, yes.label, yes.group) == (statement, "true", subject)
    assert (no.text, no.label, no.group) == (statement.removesuffix("Oslo") + "New Delhi", "false", subject)
    assert spans(yes) == (subject, "Oslo")
    assert spans(no) == (subject, "New Delhi")


@pytest.mark.parametrize(("prompt", "subject"), [("The capital is", "Norway"), ("The capital is", "")])
def test_prompts_that_do_not_name_their_subject(prompt, subject):
    assert statements_of_fact(prompt, subject, "Oslo", "Rome") == []


def test_a_fact_without_false_target_is_one_statement():
    assert len(statements_of_fact("Norway's capital is", "Norway", "Oslo", "")) == 1


@pytest.mark.parametrize(
    ("text", "subject", "target"),
    [
        ("The city of Krasnodar is in Russia.", "Krasnodar", "Russia"),
        ("Paris Hilton lives in Paris.", "Paris Hilton", "Paris"),
        ("Oslo is in Oslo.", "Oslo", "Oslo"),
    ],
)
def test_a_statement_with_subject_and_target(text, subject, target):
    (row,) = statement_of_text(text, subject, target, "1")
    assert spans(row) == (subject, target)
    assert row.extra[3] == len(text) - 1


@pytest.mark.parametrize(("label", "expected"), [("1", "true"), ("True", "true"), ("0", "false"), ("no", "false")])
def test_labels_of_statements(label, expected):
    (row,) = statement_of_text("Oslo is in Norway.", "Oslo", "Norway", label)
    assert row.label == expected


@pytest.mark.parametrize("label", ["", "NA", "nan"])
def test_a_statement_without_a_label_is_not_false(tmp_path, label):
    row = {"text": "Oslo is in Norway.", "subject": "Oslo", "target": "Norway"}
    source, skipped = write_table(tmp_path / "t.csv", [row | {"label": text} for text in ("1", label)]), Counter()
    found = list(statements(CounterfactConfig(source=source, layout="statements"), skipped))
    assert [row.label for row in found] == ["true"]
    assert skipped["statements have no label"] == 1


def test_a_fact_without_a_false_target_is_one_statement(tmp_path):
    row = {"prompt": "Oslo is in", "subject": "Oslo", "target_true": "Norway", "target_false": "NA"}
    source = write_table(tmp_path / "t.csv", [row])
    found = list(statements(CounterfactConfig(source=source), Counter()))
    assert [row.text for row in found] == ["Oslo is in Norway"]


@pytest.mark.parametrize(("subject", "target"), [("", "Russia"), ("Omsk", "Russia"), ("Krasnodar", "Mars")])
def test_statements_without_subject_or_target(subject, target):
    assert statement_of_text("The city of Krasnodar is in Russia.", subject, target, "1") == []


def test_a_target_that_no_token_covers():
    row = TextRow("Oslo is in \u2028", extra=(0, 4, 11, 12))
    with pytest.raises(AnnotationError, match="no token covers the end of the target"):
        mark_subject_and_target(row, np.array([[0, 4], [5, 7], [8, 10]], np.int32))


# Subject, true target, false target.
FACTS = [(f"City {letter}{i}", "Far Norway", "New Delhi") for i in range(9) for letter in "XYZ"]


def facts(path: Path, false_target: str = "New Delhi") -> str:
    """Write `FACTS` and one row whose prompt does not name its subject, and return the path."""
    rows = [
        {"prompt": f"The {subject} is in", "subject": f" {subject}", "target_true": f" {yes}", "target_false": no}
        for subject, yes, no in [(subject, yes, false_target) for subject, yes, _ in FACTS]
    ]
    return write_table(path, [*rows, {**rows[0], "subject": "Atlantis"}])


def texts_of(dataset, folder: Path) -> tuple[list[str], list[str]]:
    """The text up to and with the probed token of each row, and the text after it."""
    tokenizer = load_tokenizer(str(folder))
    sequence, position, _ = dataset.feature_probes("text_true")
    tokens = dataset.tokens(sequence)
    n_prefix = dataset.description.n_prefix
    before = tokenizer.batch_decode([t[n_prefix : p + 1] for t, p in zip(tokens, position, strict=True)])
    after = tokenizer.batch_decode([t[p + 1 :] for t, p in zip(tokens, position, strict=True)])
    return before, after


def test_the_end_of_the_target_is_probed(tokenizer_dir, tmp_path):
    config = CounterfactConfig(tokenizer=str(tokenizer_dir), source=facts(tmp_path / "facts.jsonl"))
    dataset = build(config)
    probes = dataset.feature_probes("text_true")
    before, after = texts_of(dataset, tokenizer_dir)
    is_true = [squeeze(text).endswith("FarNorway") for text in before]
    assert sum(is_true) == 27
    assert np.array_equal(probes.label == 1, is_true)
    assert {squeeze(text) for text in after} == {"[SEP]" if dataset.description.n_suffix else ""}
    assert dataset.description.dropped == ("1 rows do not name their subject and target.",)


@pytest.mark.parametrize("kind", ["byte_level_bpe", "unigram"])
def test_a_target_that_ends_in_a_character_of_several_tokens(kind, tokenizer_dirs, tmp_path):
    folder = tokenizer_dirs[kind]
    dataset = build(CounterfactConfig(tokenizer=str(folder), source=facts(tmp_path / "facts.jsonl", "Bogotá 😀")))
    before, after = texts_of(dataset, folder)
    assert sum(text.endswith("Bogotá 😀") for text in before) == 27
    assert set(after) == {""}


def test_a_target_that_the_tokenizer_does_not_know_is_not_probed(tokenizer_dirs, tmp_path):
    source = facts(tmp_path / "facts.jsonl", "Bogotá שלום")
    with pytest.raises(DatasetError, match="text_true was dropped: 27 positives and 0 negatives"):
        build(CounterfactConfig(tokenizer=str(tokenizer_dirs["wordpiece"]), source=source))


def test_a_statement_may_continue_after_its_target(tokenizer_dir, tmp_path):
    rows = [
        {"text": f"The {subject} is in {target}, they say.", "subject": subject, "target": target, "label": int(true)}
        for subject, *targets in FACTS
        for target, true in zip(targets, (True, False), strict=True)
    ]
    source = write_table(tmp_path / "statements.jsonl", rows)
    dataset = build(CounterfactConfig(tokenizer=str(tokenizer_dir), source=source, layout="statements"))
    before, after = texts_of(dataset, tokenizer_dir)
    assert all(squeeze(text).startswith(",theysay.") for text in after)
    assert [squeeze(text).endswith("FarNorway") for text in before] == list(
        dataset.feature_probes("text_true").label > 0
    )


def test_the_pair_of_statements_is_one_group(tokenizer_dir, tmp_path):
    config = CounterfactConfig(tokenizer=str(tokenizer_dir), source=facts(tmp_path / "facts.jsonl"))
    dataset = build(config)
    groups = dataset.sequences["group"]
    assert sorted(groups) == sorted(2 * [subject for subject, _, _ in FACTS])


def test_spans_of_subject_and_target_are_kept(tokenizer_dir, tmp_path):
    config = CounterfactConfig(tokenizer=str(tokenizer_dir), source=facts(tmp_path / "facts.jsonl"))
    dataset = build(config)
    tokenizer = load_tokenizer(str(tokenizer_dir))
    every = np.arange(dataset.description.n_sequences)
    subjects, targets = read_span(dataset, "subject", every), read_span(dataset, "target", every)
    for index, tokens in enumerate(dataset.tokens(every)):
        subject, target = (squeeze(tokenizer.decode(tokens[slice(*s[index])])) for s in (subjects, targets))
        assert subject == squeeze(dataset.sequences["group"][index])
        assert target in ("FarNorway", "NewDelhi")
    at_end = dataset.feature_probes("text_true")
    assert np.array_equal(targets[at_end.sequence, 1] - 1, at_end.position)


def test_sources_that_are_refused(tokenizer_dirs, tmp_path):
    folder = str(tokenizer_dirs["byte_level_bpe"])
    path = tmp_path / "facts.jsonl"
    path.write_text('{"prompt": "Oslo is in", "subject": "Oslo", "target_true": "Norway", "target_false": "Peru"}\n')
    with pytest.raises(DatasetError, match="text_true was dropped: 1 positives and 1 negatives"):
        build(CounterfactConfig(tokenizer=folder, source=str(path)))
    with pytest.raises(SourceError, match="has no column 'text'"):
        build(CounterfactConfig(tokenizer=folder, source=str(path), layout="statements"))
    path.write_text('{"prompt": "It is in", "subject": "Oslo", "target_true": "Norway", "target_false": "Peru"}\n')
    with pytest.raises(SourceError, match="holds no text. 1 rows do not name their subject and target."):
        build(CounterfactConfig(tokenizer=folder, source=str(path)))
