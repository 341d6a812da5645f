"""Texts that probes are applied to: what a user may get wrong is one sentence."""

import pytest

from probing_datasets.foundation.errors import SourceError
from probing_datasets.sources.table_files import ReadOptions
from sparse_probing.monitoring.text_source import read_texts


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("t.csv", ReadOptions(encoding="klingon"), "--encoding 'klingon' is not known"),
        ("t.txt", ReadOptions(encoding="klingon"), "--encoding 'klingon' is not known"),
        ("t.csv", ReadOptions(separator=";;"), "--separator must be one sign, such as ';'"),
    ],
)
def test_an_unknown_encoding_or_separator_is_refused(tmp_path, name, options, message):
    (tmp_path / name).write_text("text\na\n")
    with pytest.raises(SourceError, match=message):
        list(read_texts(tmp_path / name, "text", "", options))
