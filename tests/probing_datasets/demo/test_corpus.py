"""Reading the texts on which the demo model is trained."""

import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from probing_datasets.demo.corpus import MAX_FILE_BYTES, hash_fraction, read_source_tree, read_text_folder


def test_text_folder(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "prose.txt").write_text("first é\n<|endoftext|>\n  \n<|endoftext|>second")
    with pa.output_stream(str(tmp_path / "below" / "letters.txt.zst"), compression="zstd") as stream:
        stream.write("Grüße<|endoftext|>Καλημέρα".encode())
    (tmp_path / "bad.txt").write_bytes(b"caf\xe9")
    (tmp_path / "ignored.txt.gz").write_bytes(b"x")
    (tmp_path / "ignored.md").write_text("x")
    assert sorted(read_text_folder(tmp_path)) == [
        ("bad", "caf\ufffd"),
        ("letters", "Grüße"),
        ("letters", "Καλημέρα"),
        ("prose", "first é"),
        ("prose", "second"),
    ]
    assert list(read_text_folder(tmp_path)) == list(read_text_folder(tmp_path))


FILES = {
    f"pkg{i}/{name}": f"{i} {text} " * 60 for i in range(6) for name, text in (("a.py", "import"), ("b.CSS", "{}"))
}


@pytest.fixture(params=["folder", "zip"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    others = {"pkg0/short.py": "x = 1", "pkg0/README.md": "text " * 100, "pkg0/h.h": "int x; " * 100}
    if request.param == "folder":
        for name, text in {**FILES, **others}.items():
            (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "tree" / name).write_text(text)
        return tmp_path / "tree"
    with zipfile.ZipFile(tmp_path / "tree.zip", "w") as archive:
        for name, text in {**FILES, **others}.items():
            archive.writestr(name, text)
    return tmp_path / "tree.zip"


def test_source_tree(tree):
    expected = {("CSS" if name.endswith(".CSS") else "Python", text.strip()) for name, text in FILES.items()}
    documents = list(read_source_tree(tree, 10**6))
    assert set(documents) == expected
    assert len(documents) == len(expected)


def test_order_does_not_depend_on_the_container(tree):
    by_hash = sorted(FILES, key=hash_fraction)
    assert [text for _, text in read_source_tree(tree, 10**6)] == [FILES[name].strip() for name in by_hash]


def test_budget_of_a_language(tree):
    size = len(next(iter(FILES.values())).strip())
    documents = list(read_source_tree(tree, size + 1))
    languages = [language for language, _ in documents]
    assert languages.count("Python") == languages.count("CSS") == 2  # the second one exceeds the budget


def test_long_files_are_cut(tmp_path):
    (tmp_path / "long.py").write_text("é" * MAX_FILE_BYTES)
    ((_, text),) = read_source_tree(tmp_path, 10**7)
    assert text == "é" * (MAX_FILE_BYTES // 2)


def test_hash_fraction_is_frozen_and_even():
    assert hash_fraction("a") == int("ca978112ca1bbdca", 16) / 2**64  # SHA-256 of "a" begins so
    values = [hash_fraction(str(i)) for i in range(2000)]
    assert all(0 <= value < 1 for value in values)
    assert abs(sum(values) / len(values) - 0.5) < 0.03
