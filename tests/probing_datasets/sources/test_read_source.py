"""Reading labelled texts: tables, folders of source files, hub data sets, bundled texts, and damaged ones."""

import codecs
import gzip
import json
from collections import Counter
from pathlib import Path

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.demo import DEMO_TEXTS
from probing_datasets.foundation.errors import SourceError
from probing_datasets.foundation.file_languages import LANGUAGE_OF_EXTENSION
from probing_datasets.sources.groups import groups_of_rows
from probing_datasets.sources.hugging_face_tables import open_hub
from probing_datasets.sources.read_source import read_source
from probing_datasets.sources.table_files import ReadOptions
from probing_datasets.sources.text_folders import MAX_FILE_BYTES, read_source_files
from probing_datasets.sources.text_rows import SourceColumns, TextRow, columns_to_read, digest_rows, text_rows
from tests.builders.sources import compress, read_rows, write_files, write_table

ROWS = [
    {"body": 'first, "quoted"\nsecond line', "lang": "de", "doc": "1", "extra": 0},
    {"body": "שלום 😀\ttab", "lang": "he", "doc": "2", "extra": 1},
    {"body": "NA", "lang": "NA", "doc": "007", "extra": 2},
]
COLUMNS = SourceColumns("body", "lang", "doc")


@pytest.fixture(params=["parquet", "jsonl", "csv", "JSONL"])
def table_path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"table.{request.param}"


def test_tables(table_path):
    write_table(table_path, ROWS)
    rows = list(read_source(str(table_path), "natural_lang_id", COLUMNS))
    assert rows == [TextRow(r["body"], r["lang"], r["doc"]) for r in ROWS]


def test_without_label_or_group_column(table_path):
    write_table(table_path, ROWS)
    rows = list(read_source(str(table_path), "text_features", SourceColumns("body", "", "")))
    assert rows == [TextRow(r["body"], "", f"row {i}") for i, r in enumerate(ROWS)]


NESTED = [{"text": "a", "meta": {"pile_set_name": "ArXiv", "deep": {"id": 7}}, "a.b": "dotted", "a": {"b": "inner"}}]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_dotted_names_reach_into_structs(tmp_path, suffix):
    path = Path(write_table(tmp_path / f"t.{suffix}", NESTED))
    columns = SourceColumns("text", "meta.pile_set_name", "meta.deep.id", ("a.b", "meta.missing"))
    assert list(read_source(str(path), "pile_test", columns)) == [TextRow("a", "ArXiv", "7", ("dotted", None))]
    with pytest.raises(SourceError, match="no column 'other.name' for the label; it has: text, meta, a.b, a"):
        read_source(str(path), "pile_test", SourceColumns("text", "other.name", ""))


def test_further_columns_must_exist(table_path):
    write_table(table_path, ROWS)
    with pytest.raises(SourceError, match="no column 'subject' for the field subject"):
        read_source(str(table_path), "counterfact", SourceColumns("body", "", "", ("subject",)))


def test_folders_have_no_columns(tmp_path):
    with pytest.raises(SourceError, match=r"is a folder, which has no column 'subject'. Pass a table"):
        read_source(str(tmp_path), "counterfact", SourceColumns("body", "", "", ("subject",)))


def test_a_collection_without_bundled_texts():
    with pytest.raises(SourceError, match="No texts are bundled for compound_words. Pass --source"):
        read_source("demo", "compound_words", SourceColumns())


def test_rows_without_text_or_label_are_skipped(table_path):
    empty = [{**ROWS[0], "body": ""}, {**ROWS[0], "body": None}, {**ROWS[0], "lang": None}, {**ROWS[0], "lang": ""}]
    write_table(table_path, [*empty, ROWS[1]])
    skipped = Counter()
    rows = list(read_source(str(table_path), "natural_lang_id", COLUMNS, skipped=skipped))
    assert [row.label for row in rows] == ["he"]
    assert skipped == {"rows have no text or no label": 4}


def test_gigantic_row(table_path):
    write_table(table_path, [{**ROWS[0], "body": "long " * 600_000}, *ROWS])
    rows = list(read_source(str(table_path), "natural_lang_id", COLUMNS))
    assert [len(row.text) for row in rows] == [3_000_000, *(len(r["body"]) for r in ROWS)]


def test_labels_may_look_like_numbers_first(table_path):
    rows = [{"text": f"text {i} " + "x" * 200, "label": str(i % 3), "group": "g"} for i in range(6000)]
    write_table(table_path, [*rows, {"text": "last", "label": "none", "group": "g"}])
    assert list(read_source(str(table_path), "natural_lang_id", SourceColumns()))[-1].label == "none"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (SourceColumns("text", "lang", "doc"), "no column 'text' for the text; it has: body, lang, doc, extra"),
        (SourceColumns("body", "label", "doc"), "no column 'label' for the label.*--label_column"),
        (SourceColumns("body", "lang", "group"), r"no column 'group' for the group.*--group_column \(empty:"),
    ],
)
def test_missing_column(table_path, columns, message):
    write_table(table_path, ROWS)
    with pytest.raises(SourceError, match=message):
        read_source(str(table_path), "natural_lang_id", columns)


@pytest.mark.parametrize("content", [b"", b"\x00\x01 no table", b'{"body": broken\n'])
def test_not_a_table(table_path, content):
    table_path.write_bytes(content)
    with pytest.raises(SourceError, match=r"table\.\w+ (is damaged or not a table|has no column|holds zero bytes)"):
        list(read_source(str(table_path), "natural_lang_id", COLUMNS))


def test_table_that_breaks_off(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(path, [{**ROWS[0], "body": f"{i}" * 50} for i in range(5000)])
    data = bytearray(path.read_bytes())
    data[100 : len(data) // 2] = bytes(len(data) // 2 - 100)
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match="is damaged or not a table"):
        list(read_source(str(path), "natural_lang_id", COLUMNS))


def test_csv_must_be_utf8(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("body,lang,doc\nÄpfel und Birnen,de,1\n".encode("latin-1"))
    with pytest.raises(SourceError, match="latin.csv is not UTF-8: it holds the byte 0xC4, .* `iconv"):
        read_source(str(path), "natural_lang_id", COLUMNS)


def test_missing_file_and_unknown_format(tmp_path):
    with pytest.raises(SourceError, match=r"There is no file .*nowhere\.csv. Check --source"):
        read_source(str(tmp_path / "nowhere.csv"), "natural_lang_id", COLUMNS)
    (tmp_path / "notes.docx").write_text("text")
    with pytest.raises(SourceError, match=r"no known format. .* \.parquet, \.jsonl, .*\.csv, .*\.txt, or"):
        read_source(str(tmp_path / "notes.docx"), "natural_lang_id", COLUMNS)


@pytest.mark.parametrize("collection", DEMO_TEXTS)
def test_demo(collection):
    rows = list(read_source("demo", collection, SourceColumns("ignored", "ignored", "ignored")))
    assert rows == [TextRow(r["text"], r["label"], r["group"]) for r in read_rows(DEMO_TEXTS[collection])]


def test_tree_of_source_files(tmp_path):
    write_files(
        tmp_path,
        {
            "pkg_b/deep/down/x.CPP": "int main() {}",
            "pkg_b/style.css": "a { b: c }",
            "pkg_a/m.py": "\n  import os\n",
            "top.rs": "fn main() {}",
            "pkg_a/bad.py": b"x = '\xff\xfe'",
            "pkg_a/header.h": "int x;",
            "pkg_a/README.md": "text",
            "pkg_a/empty.py": " \n ",
            "pkg_a/huge.py": "x" * (MAX_FILE_BYTES + 1),
        },
    )
    (tmp_path / "pkg_a" / "link.py").symlink_to(tmp_path / "pkg_a" / "m.py")
    skipped, ignored = Counter(), SourceColumns("ignored", "ignored", "ignored")
    rows = list(read_source(str(tmp_path), "programming_lang_id", ignored, skipped=skipped))
    assert skipped == {
        "files hold no text": 1,
        "files are not text in UTF-8": 1,
        f"files are larger than {MAX_FILE_BYTES:,} bytes": 1,
    }
    assert sorted(rows) == sorted(
        [
            TextRow("int main() {}", "C++", "pkg_b"),
            TextRow("a { b: c }", "CSS", "pkg_b"),
            TextRow("import os", "Python", "pkg_a"),
            TextRow("fn main() {}", "Rust", "top.rs"),
        ]
    )
    assert rows == list(read_source_files(tmp_path, Counter()))  # the order is fixed


def test_extensions_are_lower_case_and_without_headers():
    assert all(e == e.lower() and e.startswith(".") for e in LANGUAGE_OF_EXTENSION)
    assert ".h" not in LANGUAGE_OF_EXTENSION


@pytest.fixture
def hub_dataset(tmp_path: Path) -> str:
    folder = tmp_path / "hub" / "corpus"
    folder.mkdir(parents=True)
    write_table(folder / "train.parquet", ROWS)
    write_table(folder / "test.parquet", ROWS[:1])
    return str(folder)


def read_hub(name: str, columns: SourceColumns, split: str = "train") -> list[TextRow]:
    table = open_hub(name, ReadOptions(split))
    return list(
        text_rows(
            table.records(columns_to_read(columns, table.columns, name)), columns, Counter(), False, groups_of_rows()
        )
    )


def test_hub_dataset(hub_dataset):
    expected = [TextRow(r["body"], r["lang"], r["doc"]) for r in ROWS]
    assert read_hub(hub_dataset, COLUMNS) == expected
    assert read_hub(f"{hub_dataset}:default", COLUMNS, "test") == expected[:1]


def test_hub_class_numbers_become_names_and_rows_without_one_are_skipped(tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    table = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    table.to_parquet(tmp_path / "train.parquet")
    rows = read_hub(str(tmp_path), SourceColumns(group=""))
    assert [(row.text, row.label) for row in rows] == [("a", "pos"), ("b", "neg")]


def test_rows_without_a_group_are_separate_groups(tmp_path):
    path = write_table(tmp_path / "t.parquet", [{"text": "a", "label": "x", "group": g} for g in ("1", None, None)])
    groups = [row.group for row in read_source(path, "natural_lang_id", SourceColumns())]
    assert groups[0] == "1"
    assert len(set(groups)) == 3


def test_any_other_name_is_a_hub_dataset(hub_dataset, monkeypatch):
    monkeypatch.setattr("probing_datasets.sources.read_source.open_hub", lambda *asked: open_hub(hub_dataset, asked[1]))
    assert len(list(read_source("owner/name:config", "x", COLUMNS, ReadOptions("test")))) == 1


def test_hub_dataset_bad_split_configuration_and_column(hub_dataset):
    with pytest.raises(SourceError, match=r"split 'dev'.*Available splits: "):
        read_hub(hub_dataset, COLUMNS, "dev")
    with pytest.raises(SourceError, match="could be read.*'other'"):
        read_hub(f"{hub_dataset}:other", COLUMNS)
    with pytest.raises(SourceError, match="no column 'text' for the text"):
        read_hub(hub_dataset, SourceColumns())


def test_unknown_hub_dataset_offline():
    with pytest.raises(SourceError, match=r"No file, folder or hub data set 'owner/nothing'.*HF_HOME cache\."):
        read_source("owner/nothing", "natural_lang_id", COLUMNS)


extras = st.lists(st.none() | st.integers(0, 3) | st.text(max_size=3), max_size=1).map(tuple)
row_lists = st.lists(
    st.builds(TextRow, st.text(max_size=5), st.text(max_size=3), st.text(max_size=3), extras), max_size=4
)


@settings(max_examples=30)
@given(row_lists, row_lists)
def test_digest_tells_rows_apart(first, second):
    assert (digest_rows(first) == digest_rows(second)) == (first == second)


def test_digest_knows_where_a_value_ends():
    assert digest_rows([TextRow("ab", "c", "")]) != digest_rows([TextRow("a", "bc", "")])


def as_bytes(rows, kind):
    """The rows as a table of text."""
    if kind == "csv":
        quoted = [r["body"].replace('"', '""') for r in rows]
        lines = [f'"{text}",{r["lang"]},{r["doc"]}' for text, r in zip(quoted, rows, strict=True)]
        return "\n".join(["body,lang,doc", *lines, ""])
    if kind == "json":
        return json.dumps(rows, indent=1, ensure_ascii=False)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-be"])
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst", ".xz", ".bz2"])
def test_every_encoding_and_compression_gives_the_same_rows(tmp_path, kind, encoding, suffix):
    data = as_bytes(ROWS, kind).encode(encoding)
    path = tmp_path / f"table.{kind}{suffix}"
    path.write_bytes(compress((codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b"") + data, suffix))
    rows = list(read_source(str(path), "natural_lang_id", COLUMNS))
    assert rows == [TextRow(r["body"], r["lang"], r["doc"]) for r in ROWS]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
def test_a_table_in_another_encoding_is_refused_in_one_line(tmp_path, kind):
    path = tmp_path / f"latin.{kind}"
    path.write_bytes(as_bytes([{"body": "\xc4pfel", "lang": "de", "doc": "1"}], kind).encode("latin-1"))
    with pytest.raises(SourceError, match=r"is not UTF-8: it holds the byte 0xC4, .* `iconv") as error:
        list(read_source(str(path), "natural_lang_id", COLUMNS))
    assert "\n" not in str(error.value)


def test_a_json_array_of_texts(tmp_path):
    path = tmp_path / "texts.json"
    path.write_text('["one", "two"]')
    assert [row.text for row in read_source(str(path), "x", SourceColumns("text", "", ""))] == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "holds a JSON array with a int in it, element 0. Pass an array of objects"),
        ('[{"text": "one"}, ["two"]]', "holds a JSON array with a list in it, element 1"),
        ('[{"text": "one"}, ', "is not JSON: .* It may be damaged or cut off"),
    ],
)
def test_other_json_is_refused(tmp_path, content, message):
    path = tmp_path / "texts.json"
    path.write_text(content)
    with pytest.raises(SourceError, match=message):
        list(read_source(str(path), "x", SourceColumns("text", "", "")))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_text_file_holds_paragraphs_or_lines(tmp_path, encoding, suffix):
    no_labels = SourceColumns("text", "", "")
    path = tmp_path / f"notes.txt{suffix}"
    path.write_bytes(compress("One é.\r\nStill one.\r\n\r\nTwo.\r\n".encode(encoding), suffix))
    assert list(read_source(str(path), "x", no_labels)) == [
        TextRow("One é.\nStill one.", group="row 0"),
        TextRow("Two.", group="row 1"),
    ]
    path.write_bytes(compress("One é.\nTwo.\n".encode(encoding), suffix))
    assert [row.text for row in read_source(str(path), "x", no_labels)] == ["One é.", "Two."]
    with pytest.raises(SourceError, match=r"holds texts without labels. Pass a table .* for each label"):
        read_source(str(path), "x", SourceColumns())


def test_a_folder_of_text_files(tmp_path):
    files = {
        "neg/a.txt": "Bad.\r\n\r\nReally.",
        "neg/b.txt": "Dull.".encode("utf-16"),
        "pos/c.TXT": b"\xef\xbb\xbfFine.",
        "pos/deep/d.txt.gz": gzip.compress(b"Good."),
        "pos/e.txt": "\xc4".encode("latin-1"),
        "pos/f.txt": "",
        "README.md": "not a text",
    }
    skipped = Counter()
    rows = list(read_source(str(write_files(tmp_path, files)), "sentiment", SourceColumns(), skipped=skipped))
    assert rows == [
        TextRow("Bad.\n\nReally.", "neg", "neg/a.txt"),
        TextRow("Dull.", "neg", "neg/b.txt"),
        TextRow("Fine.", "pos", "pos/c.TXT"),
        TextRow("Good.", "pos", "pos/deep/d.txt.gz"),
    ]
    assert skipped == {"files are not text in UTF-8": 1, "files hold no text": 1}
    (tmp_path / "loose.txt").write_text("No label.")
    with pytest.raises(SourceError, match=r"loose.txt has no label: .* is the name of the folder"):
        read_source(str(tmp_path), "sentiment", SourceColumns())
    loose = [row for row in read_source(str(tmp_path), "position", SourceColumns("text", "", "")) if not row.label]
    assert loose == [TextRow("No label.", "", "loose.txt")]


def test_a_folder_without_texts(tmp_path):
    write_files(tmp_path, {"a.csv.gz": b"x", "b.docx": b"x"})
    with pytest.raises(SourceError, match=r"neither source files nor .txt files. Pass its tables, such as .*a.csv.gz"):
        read_source(str(tmp_path), "x", SourceColumns())
