"""Tables of every format: the same rows, bounded memory, and values that cannot be used."""

import csv
import gzip
import json
import os
import tracemalloc
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.foundation.errors import SourceError
from probing_datasets.make_config import MISSING_LABELS
from probing_datasets.sources import table_files
from probing_datasets.sources.groups import groups_of_rows
from probing_datasets.sources.hugging_face_tables import open_hub
from probing_datasets.sources.read_source import read_source
from probing_datasets.sources.table_files import ReadOptions
from probing_datasets.sources.text_rows import SourceColumns, TextRow, columns_to_read, text_rows
from tests.builders.sources import write_files

ROWS = [("gamma lamp", "yes"), ('two\nlines, "quoted"', "no"), ("שלום 😀", "yes")]
COLUMNS = SourceColumns("text", "label", "")


def read(path, columns=COLUMNS, skipped=None, **options):
    source = tuple(map(str, path)) if isinstance(path, tuple) else str(path)
    return list(read_source(source, "labelled_text", columns, ReadOptions(**options), skipped))


def texts_and_labels(rows):
    return [(row.text, row.label) for row in rows]


def delimited(separator: str) -> str:
    lines = [separator.join(f'"{cell}"' for cell in (text.replace('"', '""'), label)) for text, label in ROWS]
    return "\n".join([separator.join(("text", "label")), *lines, ""])


def arrow_table() -> pa.Table:
    return pa.table({"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS], "n": [1, 2, 3]})


def write_arrow_stream(path: Path, table: pa.Table | None = None) -> None:
    table = arrow_table() if table is None else table
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


WRITERS = {
    "t.csv": lambda path: path.write_text(delimited(",")),
    "t.tsv": lambda path: path.write_text(delimited("\t")),
    "t.csv.gz": lambda path: path.write_bytes(gzip.compress(delimited(",").encode())),
    "t.tsv.zst": lambda path: path.write_bytes(zstandard.compress(delimited("\t").encode())),
    "t.json": lambda path: path.write_text(json.dumps([{"text": t, "label": y} for t, y in ROWS], indent=2)),
    "t.jsonl.gz": lambda path: path.write_bytes(
        gzip.compress("\n\n".join(json.dumps({"text": t, "label": y}) for t, y in ROWS).encode())
    ),
    "t.parquet": lambda path: pq.write_table(arrow_table(), path),
    "t.feather": lambda path: pyarrow.feather.write_feather(arrow_table(), path),
    "t.arrow": write_arrow_stream,
    "saved": lambda path: datasets.Dataset(arrow_table()).save_to_disk(path),
    "splits": lambda path: datasets.DatasetDict({"train": datasets.Dataset(arrow_table())}).save_to_disk(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows(tmp_path, name):
    WRITERS[name](tmp_path / name)
    assert texts_and_labels(read(tmp_path / name)) == ROWS


@settings(max_examples=40)
@given(st.lists(st.tuples(st.text("ab \n\",;'", min_size=1), st.sampled_from("xy")), min_size=1, max_size=5))
def test_what_python_writes_as_csv_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("text", "label"), *rows])
    assert texts_and_labels(read(path)) == rows


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.text('ab \n"[]{},\\é', min_size=1), st.sampled_from("xy")), max_size=5),
    st.integers(1, 9),
    st.sampled_from([None, 1]),
)
def test_a_json_array_may_be_cut_anywhere_into_chunks(tmp_path_factory, rows, chunk, indent):
    path = tmp_path_factory.mktemp("json") / "t.json"
    rows = [("first", "x"), *rows]
    path.write_text(json.dumps([{"text": text, "label": label} for text, label in rows], indent=indent))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_files, "CHUNK_CHARACTERS", chunk)
        assert texts_and_labels(read(path)) == rows


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".csv.gz"])
def test_a_large_table_is_read_in_little_memory(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(table_files, "CHUNK_CHARACTERS", 2**16)
    path, record = tmp_path / f"t{suffix}", {"text": "some words " * 40, "label": "x"}
    n_rows = 6_000
    if ".csv" in suffix:
        content = "text,label\n" + f'"{record["text"]}\n",x\n' * n_rows
    elif suffix == ".jsonl":
        content = (json.dumps(record) + "\n") * n_rows
    else:
        content = "[" + ",".join([json.dumps(record)] * n_rows) + "]"
    path.write_bytes(gzip.compress(content.encode(), 1) if suffix.endswith(".gz") else content.encode())
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_source(str(path), "labelled_text", COLUMNS)) == n_rows
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(content) / 3  # 3 MB of content


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_bytes_are_text_in_utf8(tmp_path, kind):
    table = pa.table(
        {
            "text": pa.array([b"gamma lamp", "שלום".encode(), b"\xff\xfe", b"last"], pa.binary()),
            "label": pa.array([b"yes", b"no", b"yes", b"\xc4"], pa.large_binary()),
        }
    )
    write = pq.write_table if kind == "parquet" else pyarrow.feather.write_feather
    write(table, tmp_path / f"t.{kind}")
    skipped = Counter()
    assert texts_and_labels(read(tmp_path / f"t.{kind}", skipped=skipped)) == [("gamma lamp", "yes"), ("שלום", "no")]
    assert skipped == {
        "rows are left out: their 'text' holds bytes that are not UTF-8": 1,
        "rows are left out: their 'label' holds bytes that are not UTF-8": 1,
    }


def test_only_requested_columns_of_json_lines_matter(tmp_path):
    path = tmp_path / "t.jsonl"
    lines = [
        '{"text": "good", "label": "x", "other": "\\ud800"}',
        '{"text": "half \\ud83d", "label": "x", "other": 1}',
        '{"text": "whole \\ud83d\\ude00", "label": "y", "other": {"a": [1, "b"]}}',
        '{"text": {"no": "text"}, "label": "y"}',
        '{"text": "a list", "label": ["x"], "other": null}',
        '{"text": 5, "label": 1, "other": 2.5}',
    ]
    path.write_text("\n".join(lines))
    skipped = Counter()
    assert texts_and_labels(read(path, skipped=skipped)) == [("good", "x"), ("whole 😀", "y"), ("5", "1")]
    assert skipped == {
        "rows are left out: their 'text' holds half of a surrogate pair, which is not a character": 1,
        "rows are left out: their 'text' is neither text nor a number": 1,
        "rows are left out: their 'label' is neither text nor a number": 1,
    }


def test_values_of_other_types_become_json(tmp_path):
    table = pa.table(
        {"text": ["a", "b"], "label": [1.5, float("nan")], "d": [date(2020, 1, 2), None], "n": [Decimal("1.50")] * 2}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    skipped = Counter()
    rows = read(tmp_path / "t.parquet", SourceColumns("text", "label", "", ("d", "n")), skipped)
    assert rows == [TextRow("a", "1.5", "row 0", ("2020-01-02", 1.5))]
    assert skipped == {"rows have no text or no label": 1}


OUTSIDE_OF_PYTHON = {
    "milliseconds": pa.array([0, 2**62, None], pa.timestamp("ms")),
    "with a zone": pa.array([0, 2**62, None], pa.timestamp("ms", "UTC")),
    "days": pa.array([0, 2**31 - 1, None], pa.date32()),
    "duration": pa.array([0, 2**62, None], pa.duration("s")),
    "inside": pa.array([{"at": 0}, {"at": 2**62}, {"at": None}], pa.struct({"at": pa.timestamp("ms")})),
}


@pytest.mark.parametrize("kind", ["parquet", "feather", "saved", "hub"])
@pytest.mark.parametrize("name", OUTSIDE_OF_PYTHON)
def test_a_time_that_python_cannot_hold_is_counted(tmp_path, kind, name):
    table = pa.table({"text": ["a", "b", "c"], "label": ["x", "y", "z"], "when": OUTSIDE_OF_PYTHON[name]})
    path = tmp_path / f"t.{kind}"
    if kind == "saved":
        datasets.Dataset(table).save_to_disk(path)
    elif kind == "feather":
        pyarrow.feather.write_feather(table, path)
    elif kind == "parquet":
        pq.write_table(table, path)
    else:
        path.mkdir()
        pq.write_table(table, path / "train.parquet")

    def read_rows(columns):
        if kind != "hub":
            return read(path, columns, skipped)
        opened = open_hub(str(path), ReadOptions())
        records = opened.records(columns_to_read(columns, opened.columns, "hub"))
        return list(text_rows(records, columns, skipped, False, groups_of_rows()))

    skipped = Counter()
    rows = read_rows(SourceColumns("text", "label", "", ("when",)))
    assert texts_and_labels(rows) == [("a", "x"), ("c", "z")]
    [(reason, n_rows)] = skipped.items()
    assert "their 'when' cannot be read: it holds a date or time outside the years 1 to 9999" in reason
    assert n_rows == 1
    assert len(read_rows(COLUMNS)) == 3  # a column that is not requested does not matter


PANDAS_MISSING = "#N/A,#N/A N/A,#NA,-1.#IND,-1.#QNAN,-NaN,-nan,1.#IND,1.#QNAN,<NA>,N/A,NA,NULL,NaN,None,n/a,nan,null"


@pytest.mark.parametrize("label", [*PANDAS_MISSING.split(","), "NONE", "none", "Null", "NAN", "na"])
def test_a_missing_label_of_a_csv_is_not_a_class(tmp_path, label):
    path = tmp_path / "t.csv"
    path.write_text(f"text,label\none,yes\ntwo,{label}\nthree,\nfour, {label} \nNA,no\n")
    skipped, columns = Counter(), SourceColumns("text", "label", "", missing=MISSING_LABELS)
    assert texts_and_labels(read(path, columns, skipped)) == [("one", "yes"), ("NA", "no")]
    assert skipped == {
        "rows have no text or no label": 3,
        f"cells of 'label' are {label!r}, which means none (--missing_labels)": 2,
    }
    assert len(read(path, SourceColumns("text", "label", ""))) == 4  # only an empty cell is missing


def test_a_text_that_says_na_in_json_is_a_class(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a", "label": "NA"}\n{"text": "b", "label": null}\n')
    assert texts_and_labels(read(path, SourceColumns("text", "label", "", missing=MISSING_LABELS))) == [("a", "NA")]


def write_tabs(path):
    path.write_text("text\tlabel\na\tb\n")
    return path


def test_separator_and_encoding(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("text;label\nÄpfel, rot;ja\n".encode("windows-1252"))
    assert texts_and_labels(read(path, separator=";", encoding="windows-1252")) == [("Äpfel, rot", "ja")]
    with pytest.raises(SourceError, match="0xC4.*--encoding windows-1252"):
        read(path, separator=";")
    path.write_text("text;label\nÄpfel;ja\n", encoding="utf-8-sig")  # its mark decides
    assert texts_and_labels(read(path, separator=";", encoding="windows-1252")) == [("Äpfel", "ja")]
    with pytest.raises(SourceError, match="no column 'text'.* name it with --separator"):
        read(path)
    assert texts_and_labels(read(write_tabs(path), separator="\\t")) == [("a", "b")]


@pytest.mark.parametrize("separator", [";;", "\n", '"'])
def test_a_separator_that_is_not_one_sign_is_refused(tmp_path, separator):
    (tmp_path / "t.csv").write_text("text;;label\na;;b\n")
    with pytest.raises(SourceError, match="--separator must be one sign"):
        read(tmp_path / "t.csv", separator=separator)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
@pytest.mark.parametrize("encoding", ["klingon", "base64"])
def test_an_unknown_encoding_is_refused(tmp_path, name, encoding):
    (tmp_path / name).write_text('{"text": "a", "label": "b"}\n')
    with pytest.raises(SourceError, match=f"--encoding '{encoding}' is not known"):
        texts_and_labels(read(tmp_path / name, encoding=encoding))


def test_utf_16_without_a_mark_needs_its_byte_order(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("text,label\nÄpfel,ja\n".encode("utf-16-le"))
    for encoding in ("", "utf-16"):
        with pytest.raises(SourceError, match="--encoding.* utf-16-le or utf-16-be"):
            read(path, encoding=encoding)
    assert texts_and_labels(read(path, encoding="utf-16-le")) == [("Äpfel", "ja")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\na,b\nc\n", "the row that ends in line 3 has 1 cells, and there are 2 columns"),
        ('text,label\na,b\n"c,d\ne,f\n', "a double quote in or after line 3 is not closed"),
        ('text,label\n"a,b', "a double quote in or after line 2 is not closed"),
        ("text,text,label\na,b,c\n", "has 2 columns 'text'"),
        ("", "its first line holds no names of columns"),
    ],
)
def test_a_damaged_csv_is_refused_with_its_line(tmp_path, content, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(SourceError, match=message):
        read(tmp_path / "t.csv")


@pytest.mark.parametrize("name", ["t.feather", "t.arrow"])
def test_an_arrow_table_with_two_columns_of_a_name(tmp_path, name):
    table = pa.table([["a"], ["x"], ["y"]], names=["text", "label", "label"])
    if name == "t.feather":
        pyarrow.feather.write_feather(table, tmp_path / name)
    else:
        write_arrow_stream(tmp_path / name, table)
    with pytest.raises(SourceError, match="has 2 columns 'label'. Rename all except one"):
        read(tmp_path / name)
    assert len(read(tmp_path / name, SourceColumns("text", "", ""))) == 1  # a column that is not requested is not read


@pytest.mark.parametrize("end", ["", "\n"])
def test_no_text_of_a_csv_is_its_end(tmp_path, end):
    path, texts = tmp_path / "t.csv", ["one", "end of the table", "at the end of the table", "two"]
    path.write_text("\n".join(["text", *texts]) + end)
    assert [row.text for row in read(path, SourceColumns("text", "", ""))] == texts
    for cell in ('"', '"the rest', '"a ""quoted"" rest'):
        path.write_text("\n".join(["text", *texts, cell]) + end)
        with pytest.raises(SourceError, match="a double quote in or after line 6 is not closed"):
            read(path, SourceColumns("text", "", ""))


def test_every_row_without_a_group_is_its_own_group(tmp_path):
    path, columns = tmp_path / "t.csv", SourceColumns("text", "label", "group", missing=MISSING_LABELS)
    path.write_text("text,label,group\na,x,g\nb,x,NA\nc,y,nan\nd,y,\ne,y, \nf,x,g\n")
    skipped = Counter()
    groups = [row.group for row in read(path, columns, skipped)]
    assert groups == ["g", "row 1", "row 2", "row 3", "row 4", "g"]
    assert skipped == {
        f"cells of 'group' are {cell!r}, which means none (--missing_labels)": 1 for cell in ("NA", "nan")
    }


def test_several_sources_share_only_the_groups_of_a_column(tmp_path):
    table = "text,label,group\na,x,\nb,y,NA\nc,y,person\n"
    write_files(tmp_path, {"1.csv": table, "2.csv": table, "a/z/3.txt": "3", "b/z/3.txt": "4"})
    columns = SourceColumns("text", "label", "group", missing=MISSING_LABELS)
    groups = [row.group for row in read(tuple(tmp_path / name for name in ("1.csv", "2.csv", "a", "b")), columns)]
    assert groups[2] == groups[5] == "person"
    assert len(groups) == 8
    assert len(set(groups)) == 7
    write_files(tmp_path, {"1.txt": "a", "2.txt": "b"})
    columns = SourceColumns("text", "", "group")
    assert len({row.group for row in read((tmp_path / "1.txt", tmp_path / "2.txt"), columns)}) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a"}\n{"text": \n', "line 2 is not JSON"),
        ('{"text": "a"}\n[1]\n', "has a list in line 2"),
        ('{"text": "a", "label": ' + "[" * 100_000, "line 1 is not JSON"),
        ('[{"text": "a"} {"text": "b"}]', "no comma after element 0"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "holds no object with keys"),
        ("{}", "holds no object with keys"),
        (" \n", "holds no object with keys"),
        ('[{"text": "a"}][{"text": "b"}]', r"'\[' follows the end of its array"),
        ('[{"text": "a"}] \n garbage', "'g' follows the end of its array"),
        ('[{"text": "a"}]]', "']' follows the end of its array"),
        ('[] [{"text": "a"}]', r"'\[' follows the end of its array"),
    ],
)
def test_damaged_json_is_refused_with_its_place(tmp_path, content, message):
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(SourceError, match=message):
        read(tmp_path / "t.json", SourceColumns("text", "", ""))


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.json"])
def test_a_record_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(table_files, "MAX_RECORD_CHARACTERS", 1000)
    monkeypatch.setattr(table_files, "CHUNK_CHARACTERS", 100)
    heads = {"t.csv": "text,label\n", "t.jsonl": '{"text": "', "t.json": '[{"text": "'}
    (tmp_path / name).write_text(heads[name] + "x" * 5000)
    with pytest.raises(SourceError, match="line of more than|is not JSON"):
        read(tmp_path / name, SourceColumns("text", "", ""))
    if name == "t.csv":
        (tmp_path / name).write_text('text,label\n"' + "x\n" * 5000)
        with pytest.raises(SourceError, match="field larger than field limit .*begins at line 2"):
            read(tmp_path / name)


def damage(path: Path, start: int, n_bytes: int) -> None:
    data = bytearray(path.read_bytes())
    data[start : start + n_bytes] = b"\xff" * n_bytes
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("start", [200, 400, -300, -100])
def test_damaged_arrow_files_are_refused(tmp_path, start):
    path = tmp_path / "t.feather"
    pyarrow.feather.write_feather(arrow_table(), path, compression="uncompressed")
    damage(path, start, n_bytes=40)
    with pytest.raises(SourceError, match="is damaged or not a table: ."):
        read(path)


def test_a_damaged_text_of_an_arrow_file_is_left_out(tmp_path):
    path, skipped = tmp_path / "t.feather", Counter()
    pyarrow.feather.write_feather(arrow_table(), path, compression="uncompressed")
    damage(path, path.read_bytes().index(b"gamma lamp"), n_bytes=3)
    assert texts_and_labels(read(path, skipped=skipped)) == ROWS[1:]
    assert skipped == {"rows are left out: their 'text' holds bytes that are not UTF-8": 1}


def test_splits_and_names_of_classes_of_saved_datasets(tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    one = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, -1]}, features=features)
    two = datasets.Dataset.from_dict({"text": ["c"], "label": [0]}, features=features)
    datasets.DatasetDict({"train": one, "test": two}).save_to_disk(tmp_path / "saved")
    assert texts_and_labels(read(tmp_path / "saved")) == [("a", "pos")]
    assert texts_and_labels(read(tmp_path / "saved", split="test")) == [("c", "neg")]
    several = read(tmp_path / "saved", SourceColumns("text", "", "", ("label",)))
    assert [row.extra for row in several] == [("pos",), (None,)]
    with pytest.raises(SourceError, match="has no split 'dev'; it has: .*--source_split"):
        read(tmp_path / "saved", split="dev")
    next((tmp_path / "saved" / "train").glob("*.arrow")).write_bytes(b"ARROW1 damaged")
    with pytest.raises(SourceError, match="is a damaged folder of `datasets`"):
        read(tmp_path / "saved")


def test_a_number_that_is_not_a_class_is_counted(tmp_path):
    names = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    table = pa.table({"text": ["a", "b", "c", "d"], "label": [1, 7, -1, -2]}, schema=names.arrow_schema)
    datasets.Dataset(table).save_to_disk(tmp_path / "saved")
    skipped = Counter()
    assert texts_and_labels(read(tmp_path / "saved", skipped=skipped)) == [("a", "pos")]
    assert skipped == {
        "rows are left out: their 'label' is a number that is not one of its 2 classes": 2,
        "rows have no text or no label": 1,
    }


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("train/dataset_info.json", '{"features": ' + "[" * 100_000),
        ("train/dataset_info.json", '{"features": ' + '{"a": ' * 900 + "1" + "}" * 901),
        ("train/state.json", "[" * 100_000),
        ("train/state.json", {"_data_files": []}),
        ("train/state.json", {"_data_files": [{"filename": "../../outside.arrow"}]}),
        ("train/state.json", {"_data_files": [{"filename": "/etc/hostname"}]}),
        ("train/state.json", {"_data_files": [{}]}),
        ("train/state.json", []),
        ("dataset_dict.json", {"splits": ["../outside"]}),
        ("dataset_dict.json", {"splits": None}),
        ("dataset_dict.json", "{}"),
    ],
)
def test_a_saved_data_set_that_was_changed_is_refused(tmp_path, file, content):
    datasets.DatasetDict({"train": datasets.Dataset(arrow_table())}).save_to_disk(tmp_path / "saved")
    datasets.Dataset(arrow_table()).save_to_disk(tmp_path / "outside")
    write_arrow_stream(tmp_path / "outside.arrow")
    path = tmp_path / "saved" / file
    if isinstance(content, dict):
        content = json.dumps(json.loads(path.read_text()) | content)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(SourceError, match="is a damaged folder of `datasets`: ."):
        read(tmp_path / "saved")


def test_several_sources_are_one_after_another(tmp_path):
    files = {"a.csv": "text,label\n1,x\n", "b.jsonl": '{"text": "2", "label": "y"}\n', "c/z/3.txt": "3"}
    write_files(tmp_path, files)
    rows = read(tuple(tmp_path / name for name in ("a.csv", "b.jsonl", "c")))
    assert texts_and_labels(rows) == [("1", "x"), ("2", "y"), ("3", "z")]
    assert len({row.group for row in rows}) == 3
    with pytest.raises(SourceError, match="There is no file .*d.csv"):
        read_source((str(tmp_path / "a.csv"), str(tmp_path / "d.csv")), "labelled_text", COLUMNS)


def test_a_table_of_files(tmp_path):
    write_files(
        tmp_path, {"t/a.txt": "Good.\n", "t/sub/b.txt": "Bad.", "t/l.csv": "file,label\na.txt,1\nsub/b.txt,0\nc,1\n"}
    )
    skipped, columns = Counter(), SourceColumns("text", "label", "", file="file")
    assert texts_and_labels(read(tmp_path / "t/l.csv", columns, skipped)) == [("Good.", "1"), ("Bad.", "0")]
    assert list(skipped.values()) == [1]


@pytest.mark.parametrize("name", ["x" * 5_000, "loop", "loop/a.txt", "a\0b", "\ud800", "a.txt/b", "pipe", "", "."])
def test_a_name_that_no_file_has_is_counted(tmp_path, name):
    write_files(tmp_path, {"a.txt": "Good."})
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    records = [{"file": name, "label": "1"}, {"file": "a.txt", "label": "1"}]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    skipped = Counter()
    rows = read(tmp_path / "t.jsonl", SourceColumns("text", "label", "", file="file"), skipped)
    assert texts_and_labels(rows) == [("Good.", "1")]
    assert skipped == {f"rows name a file that does not exist in {tmp_path.resolve()}": 1}


def test_the_name_of_a_file_may_be_a_field(tmp_path):
    write_files(tmp_path, {"a.txt": "Good.", "t.jsonl": '{"meta": {"file": "a.txt"}, "label": "1"}\n'})
    rows = read(tmp_path / "t.jsonl", SourceColumns("text", "label", "", file="meta.file"))
    assert texts_and_labels(rows) == [("Good.", "1")]


@pytest.mark.parametrize("source", ["saved", "folder", "t.txt", "owner/name"])
def test_only_a_table_in_a_file_names_files(tmp_path, source):
    write_files(tmp_path, {"folder/x/a.txt": "Good.", "t.txt": "a.txt"})
    datasets.Dataset.from_dict({"file": ["a.txt"], "label": ["1"]}).save_to_disk(tmp_path / "saved")
    with pytest.raises(SourceError, match="--file_column needs a table in a file"):
        read(source if "/" in source else tmp_path / source, SourceColumns("text", "label", "", file="file"))


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "link.txt"])
def test_a_table_of_files_names_none_outside_its_folder(tmp_path, name):
    write_files(tmp_path, {"secret.txt": "x", "t/l.csv": f"file,label\n{name},1\n"})
    (tmp_path / "t" / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(SourceError, match="names a file outside of its folder"):
        read(tmp_path / "t/l.csv", SourceColumns("text", "label", "", file="file"))


def test_loose_texts_with_a_table_of_labels_get_advice(tmp_path):
    write_files(tmp_path, {"a.txt": "x", "labels.csv": "file,label\na.txt,1\n"})
    with pytest.raises(SourceError, match=r"If .*labels.csv has their labels, .*--file_column"):
        read(tmp_path)
