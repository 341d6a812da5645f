"""Sentences of a treebank: CoNLL-U files, folders, tables, and files that cannot be read."""

from pathlib import Path

import pandas as pd
import pytest
import zstandard

from probing_datasets.collections.ewt.treebank import SurfaceToken, Word, read_sentences
from probing_datasets.foundation.errors import SourceError
from tests.builders.sources import compress

# Columns: ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC
TREEBANK = """\
# newdoc id = letter
# newpar
# sent_id = letter-0001
# text = I can't.
1	I	I	PRON	PRP	Number=Sing|Person=1	0	root	0:root	_
2-3	can't	_	_	_	_	_	_	_	SpaceAfter=No
2	ca	can	AUX	MD	VerbForm=Fin	1	aux	1:aux	_
3	n't	not	PART	RB	_	1	advmod	1:advmod	_
3.1	go	go	VERB	VB	VerbForm=Inf	_	_	1:dep	_
4	.	.	PUNCT	.	_	1	punct	1:punct	_

# sent_id = letter-0002
1	Bye	bye	INTJ	UH	_	0	root	0:root	_
"""

ME = Word("I", "PRON", "root", {"Number": "Sing", "Person": "1"})
CA = Word("ca", "AUX", "aux", {"VerbForm": "Fin"})
NT = Word("n't", "PART", "advmod", {})
STOP = Word(".", "PUNCT", "punct", {})


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    path = tmp_path / "letters.conllu"
    path.write_text(TREEBANK)
    return path


def test_words_multi_word_tokens_and_empty_nodes(treebank):
    first, second = read_sentences(str(treebank))
    assert first.name == first.new_document + "-0001" == "letter-0001"
    assert first.new_paragraph
    assert first.text == "I can't."
    assert first.tokens == (
        SurfaceToken("I", (ME,)),
        SurfaceToken("can't", (CA, NT), space_after=False),
        SurfaceToken(".", (STOP,)),
    )
    assert (second.name, second.text, second.new_document, second.new_paragraph) == ("letter-0002", "", None, False)


def test_compressed_files_and_folders(treebank, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "b.conllu").write_text(TREEBANK.replace("letter", "later"))
    (folder / "a.conllu.zst").write_bytes(zstandard.compress(TREEBANK.encode()))
    (folder / "README.txt").write_text("not a treebank")
    plain, both = list(read_sentences(str(treebank))), list(read_sentences(str(folder)))
    assert both[:2] == plain
    assert [sentence.name for sentence in both[2:]] == ["later-0001", "later-0002"]


HUB_ROW = {
    "idx": "letter-0001",
    "text": "I can't.",
    "tokens": ["I", "can't", "ca", "n't", "."],
    "lemmas": ["I", "_", "can", "not", "."],
    "upos": [11, 13, 17, 7, 1],
    "feats": ["{'Number': 'Sing', 'Person': '1'}", "None", "{'VerbForm': 'Fin'}", "None", "None"],
    "deprel": ["root", "_", "aux", "advmod", "punct"],
}


@pytest.mark.parametrize("feats", [HUB_ROW["feats"], ["Number=Sing|Person=1", "_", "VerbForm=Fin", None, "_"]])
@pytest.mark.parametrize("upos", [HUB_ROW["upos"], ["PRON", "_", "AUX", "PART", "PUNCT"]])
def test_a_table_in_the_layout_of_the_hub(tmp_path, upos, feats):
    path = tmp_path / "train.parquet"
    pd.DataFrame([HUB_ROW | {"upos": upos, "feats": feats}]).to_parquet(path)
    (sentence,) = read_sentences(str(path))
    assert (sentence.name, sentence.text, sentence.new_document) == ("letter-0001", "I can't.", None)
    assert [token.form for token in sentence.tokens] == ["I", "ca", "n't", "."]
    assert [token.words for token in sentence.tokens] == [(ME,), (CA,), (NT,), (STOP,)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.conllu", b"1\tonly two\n", "a.conllu cannot be read as CoNLL-U"),
        ("a.conllu", b"# \xc4pfel\n", "a.conllu is not UTF-8: it holds the byte 0xC4"),
        ("a.conllu.zst", b"not compressed", "a.conllu.zst cannot be read as CoNLL-U"),
        ("a.conllu.gz", b"\x1f\x8bnot compressed", "a.conllu.gz cannot be read: .* damaged or cut off"),
        ("a.conllu", b"1\t\0\n", "a.conllu holds zero bytes, so it is not text in UTF-8"),
        ("a.txt", b"text", "a.txt holds texts without a column .idx."),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        list(read_sentences(str(tmp_path / name)))


def test_sources_that_do_not_exist(tmp_path):
    with pytest.raises(SourceError, match=r"There is no file .*a\.conllu\. Check --source"):
        list(read_sentences(str(tmp_path / "a.conllu")))
    with pytest.raises(SourceError, match=r"holds no \.conllu file"):
        list(read_sentences(str(tmp_path)))
    with pytest.raises(SourceError, match="No texts are bundled for ewt"):
        list(read_sentences("demo"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst", ".xz"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_encoding_and_compression_gives_the_same_sentences(tmp_path, encoding, suffix, line_end):
    row = "1\tDéjà\tdéjà\tADV\t_\t_\t0\troot\t_\t_"
    lines = ["# newdoc id = a", "# sent_id = a-1", "# text = Déjà", row, "", ""]
    path = tmp_path / f"a.conllu{suffix}"
    path.write_bytes(compress(line_end.join(lines).encode(encoding), suffix))
    (sentence,) = read_sentences(str(path))
    assert (sentence.name, sentence.text, sentence.new_document) == ("a-1", "Déjà", "a")
    assert sentence.tokens[0].words[0][:3] == ("Déjà", "ADV", "root")


def test_a_file_of_several_zstandard_frames_is_read_to_its_end(tmp_path):
    row = "# sent_id = {}\n1\ta\ta\tDET\t_\t_\t0\troot\t_\t_\n\n"
    path = tmp_path / "a.conllu.zst"
    path.write_bytes(b"".join(compress(row.format(i).encode(), ".zst") for i in range(3)))
    assert [sentence.name for sentence in read_sentences(str(path))] == ["0", "1", "2"]
