"""Texts that probes are applied to: what a user may get wrong is one sentence."""

import pytest

from probing_datasets.foundation.errors import SourceError
from probing_datasets.sources.table_files import ReadOptions
from sparse_probing.monitoring.text_source import read_texts


@pytest.mark.parametrize("name", ["t.csv", "t.txt"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ReadOptions(encoding="klingon"), "--encoding 'klingon' is not known"),
        (ReadOptions(separator=";;"), "--separator must be one sign, such as ';'"),
    ],
)
def test_an_unknown_encoding_or_separator_is_refused(tmp_path, name, options, message):
    (tmp_path / name).write_text("text\na\n")
    if name == "t.txt" and options.separator:
        pytest.skip("a text has no cells")
    with pytest.raises(SourceError, match=message):
        list(read_texts(tmp_path / name, "text", "", options))
