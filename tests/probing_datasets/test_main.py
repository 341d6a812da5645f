"""The command line of `python -m probing_datasets`: list, make, describe, and its errors."""

import subprocess
import sys
from pathlib import Path

import pytest

from probing_datasets.__main__ import main
from probing_datasets.make import COLLECTIONS, make_dataset
from probing_datasets.make_config import MakeConfig
from tests.builders.sources import write_table


def languages_table(path: Path, languages: dict[str, int]) -> str:
    """Write the given number of texts of each language, each its own group, and return the path."""
    rows = [
        {"text": "some words of a text that is long enough", "label": language, "group": f"{language}{i}"}
        for language, n in languages.items()
        for i in range(n)
    ]
    return write_table(path, rows)


@pytest.fixture
def make(tiny_model_dir, tmp_path, capsys):
    """A function that runs `make` and returns the exit status, the output and the errors."""

    def run(collection: str, *flags: str):
        status = main(["make", collection, "--tokenizer", str(tiny_model_dir), *flags])
        return status, *capsys.readouterr()

    return run


def test_make_list_describe(make, tmp_path, capsys):
    status, out, err = make("natural_lang_id")
    folder = tmp_path / "feature_datasets" / "natural_lang_id.tiny.64.-1"
    assert status == 0
    assert f"saved {folder}" in out  # on one line, however long
    assert "270 sequences" in out
    assert "30 groups" in out
    assert err == ""
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COLLECTIONS)
    assert out.rstrip().endswith("natural_lang_id.tiny.64.-1")
    for name in (folder.name, str(folder)):
        assert main(["describe", name, "--examples", "1"]) == 0
        out = capsys.readouterr().out
        assert "German" in out
        assert "⟦" in out.split("Swedish")[1]


def test_list_without_data_sets(capsys):
    assert main(["list"]) == 0
    assert "none" in capsys.readouterr().out


def test_markup_in_examples_is_printed_unchanged(tiny_model_dir, tmp_path, capsys):
    rows = [{"text": rf"\[/] [b] {i} " * 5, "label": "ab"[i % 2], "group": f"g{i}"} for i in range(40)]
    source = write_table(tmp_path / "texts.jsonl", rows)
    dataset = make_dataset(MakeConfig("natural_lang_id", str(tiny_model_dir), source=source))
    assert main(["describe", dataset.name, "--examples", "5"]) == 0
    out = capsys.readouterr().out
    assert r"\[/]" in out
    assert "[b]" in out


def test_flags_take_hyphens_and_underscores(make):
    for flag in ("--n_sequences", "--n-sequences"):
        status, out, _ = make("natural_lang_id", flag, "90", "--min_positives", "5")
        assert status == 0
        assert "90 sequences" in out


NUMBERS = {"--positive_fraction": "2", "--n_sequences": "0", "--ignore_first": "-1", "--texts_per_label": "0"}


@pytest.mark.parametrize("flag", NUMBERS)
def test_values_outside_their_range(make, flag):
    status, _, err = make("text_features", flag, NUMBERS[flag])
    assert status == 1
    assert err.startswith(f"error: {flag} must ")


def test_context_without_room(make):
    assert make("natural_lang_id", "--context_length", "1")[0::2] == (
        1,
        "error: --context_length 1 leaves no room for text: 1 tokens are special.\n",
    )


@pytest.mark.parametrize(
    ("languages", "flags", "message"),
    [
        (
            {"de": 30, "fr": 30},
            ["--text_column", "body"],
            "has no column 'body' for the text; it has: text, label, group",
        ),
        ({"de": 30, "fr": 30}, ["--label_column", "lang"], "has no column 'lang' for the label"),
        ({"de": 30, "fr": 30}, ["--group_column", "doc"], "has no column 'doc' for the group"),
        ({"de": 30}, [], "Fewer than two languages are left (de)."),
        (
            {"de": 30, "fr": 4},
            [],
            "fr was dropped: 4 sequences in 4 groups, and it needs at least 20 (--min_positives)",
        ),
        ({"de": 30, "fr": 30}, ["--min_tokens", "64"], "holds no text of 64 tokens or more (--min_tokens)"),
    ],
)
def test_bad_sources(make, tmp_path, languages, flags, message):
    source = languages_table(tmp_path / "texts.jsonl", languages)
    status, out, err = make("natural_lang_id", "--source", source, *flags)
    assert status == 1
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "feature_datasets").exists()


UNREACHABLE = """
import sys
from probing_datasets.__main__ import main
status = main(["make", "natural_lang_id", *sys.argv[1:]])
print(status, sorted({"datasets", "torch", "transformer_lens", "transformers"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--source", "nowhere.csv"], "There is no file nowhere.csv"),
        (["--source", "no/such/folder"], "There is no file or folder no/such/folder"),
        (["--source", "owner/nothing"], "No file, folder or hub data set 'owner/nothing' could be read"),
        (["--tokenizer", "owner/nothing"], "No tokenizer could be loaded for 'owner/nothing'"),
    ],
)
def test_what_cannot_be_reached_is_reported_before_slow_imports(flags, message):
    result = subprocess.run([sys.executable, "-c", UNREACHABLE, *flags], capture_output=True, text=True, check=False)
    assert message in result.stderr
    assert result.stdout.strip() == "1 []"


def test_too_few_positives_of_every_feature(make, tmp_path):
    source = languages_table(tmp_path / "texts.jsonl", {"": 1})
    status, _, err = make("text_features", "--source", source, "--label_column", "")
    assert status == 1
    assert "No feature is left. contains_digit was dropped: 0 positives" in err
    assert "Use more text." in err


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("owner/nothing", "No file, folder or hub data set 'owner/nothing' could be read"),
        ("nowhere.parquet", "There is no file nowhere.parquet. Check --source."),
    ],
)
def test_unknown_source(make, source, message):
    status, _, err = make("natural_lang_id", "--source", source)
    assert status == 1
    assert message in err


def test_unknown_tokenizer(capsys):
    assert main(["make", "natural_lang_id", "--tokenizer", "owner/no-such-model"]) == 1
    err = capsys.readouterr().err
    assert "error: No tokenizer could be loaded for 'owner/no-such-model'" in err
    assert "Pass `demo`, a local model folder, a TransformerLens alias or a hub id" in err


def test_unknown_data_set(make, capsys):
    make("natural_lang_id")
    assert main(["describe", "natural_lang_id.other.64.-1"]) == 1
    assert "it holds: natural_lang_id.tiny.64.-1." in capsys.readouterr().err


def test_an_output_folder_that_is_a_file(make, tmp_path):
    (tmp_path / "feature_datasets").write_text("a file")
    status, _, err = make("natural_lang_id", "--n_sequences", "90", "--min_positives", "5")
    assert status == 1
    assert err.startswith("error: ")
    assert "Finished work is kept" in err


def test_unknown_collection(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["make", "no_such_collection"])
    assert stop.value.code == 2
    assert "natural_lang_id" in capsys.readouterr().err


@pytest.mark.slow
def test_exit_status_of_the_process(tmp_path):
    command = [sys.executable, "-m", "probing_datasets", "make", "natural_lang_id", "--tokenizer", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 1
    assert f"error: No tokenizer could be loaded for '{tmp_path}'" in done.stderr
    assert "Traceback" not in done.stderr
