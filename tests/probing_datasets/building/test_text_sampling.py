"""Random samples of texts in bounded memory, and the notes on what is not used."""

import json
from collections import Counter

import numpy as np
import pytest

from probing_datasets.building.text_sampling import draw_texts, read_texts, sample_texts
from probing_datasets.building.tokenization import MAX_CHARACTERS
from probing_datasets.foundation.errors import SourceError
from probing_datasets.make_config import MakeConfig
from probing_datasets.sources.text_rows import TextRow, digest_rows


def rows_of(n: int, label: str = "a") -> list[TextRow]:
    return [TextRow(f"text {i}", label, str(i)) for i in range(n)]


def test_sampled_texts_keep_their_order_and_bound():
    rows = rows_of(50, "a") + rows_of(3, "b")
    texts, n_read = sample_texts(iter(rows), 10, seed=0)
    assert n_read == 53
    assert [row.label for row in texts] == ["a"] * 10 + ["b"] * 3
    assert [rows.index(row) for row in texts] == sorted(rows.index(row) for row in texts)
    assert sample_texts(iter(rows), 10, seed=0)[0] == texts
    assert sample_texts(iter(rows), 10, seed=1)[0] != texts


def test_sampled_texts_are_a_uniform_sample():
    rows, draws, per_label = rows_of(20), 600, 5
    counts = Counter(row.group for seed in range(draws) for row in sample_texts(rows, per_label, seed)[0])
    expected = draws * per_label / len(rows)
    assert all(abs(counts[row.group] - expected) < 5 * np.sqrt(expected) for row in rows)


def test_equal_texts_are_drawn_apart():
    rows = [TextRow("same", "a", str(i)) for i in range(20)]
    texts, _ = sample_texts(rows, 7, seed=0)
    assert len({row.group for row in texts}) == 7


def test_a_stream_is_read_once_and_not_kept_in_memory():
    alive: Counter[str] = Counter()

    class Text(str):
        def __del__(self):
            alive["now"] -= 1

    def stream():
        for i in range(3000):
            alive["now"] += 1
            alive["most"] = max(alive["most"], alive["now"])
            yield TextRow(Text(f"text {i} " * 10), "a", str(i))

    texts, n_read = sample_texts(stream(), 10, seed=0)
    assert (len(texts), n_read) == (10, 3000)
    assert alive["most"] < 20


def test_gigantic_texts_are_cut_and_noted():
    rows = [TextRow("x" * (MAX_CHARACTERS + more), "", str(more)) for more in (-1, 0, 1, 10_000)]
    texts = draw_texts(MakeConfig("text_features"), rows)
    assert [len(row.text) for row in texts.rows] == [MAX_CHARACTERS - 1, *[MAX_CHARACTERS] * 3]
    assert texts.dropped == (f"2 texts were cut after {MAX_CHARACTERS:,} characters.",)


def test_skipped_rows_are_noted():
    skipped: Counter[str] = Counter()

    def rows():
        yield TextRow("a text")
        skipped["rows have no text"] += 2

    texts = draw_texts(MakeConfig("text_features"), rows(), skipped)
    assert texts.dropped == ("2 rows have no text.",)
    assert texts.digest == digest_rows([TextRow("a text")])


def test_the_error_for_no_text_counts_skipped_rows(tmp_path):
    source = tmp_path / "texts.jsonl"
    source.write_text('{"text": "", "group": "1"}\n' * 3)
    with pytest.raises(SourceError, match=r"texts.jsonl holds no text. 3 rows have no text or no label\."):
        read_texts(MakeConfig("text_features", source=str(source)))


def test_further_columns_are_read_and_change_the_digest(tmp_path):
    source = tmp_path / "texts.jsonl"
    digests = set()
    for subject in ("Rome", "Oslo"):
        row = {"text": "a", "group": "1", "subject": subject, "year": 3, "meta": {"id": [1, 2]}}
        source.write_text(json.dumps(row) + "\n")
        texts = read_texts(MakeConfig("text_features", source=str(source)), further=("subject", "year", "meta.id"))
        assert texts.rows == [TextRow("a", "", "1", (subject, 3, [1, 2]))]
        digests.add(texts.digest)
    assert len(digests) == 2
