"""Compressed text files: complete ones of every form are read, and those that are cut off are refused."""

import struct
import tracemalloc

import pytest
import zstandard

from probing_datasets.foundation.errors import SourceError
from probing_datasets.foundation.files.text_files import open_text, read_text
from tests.builders.sources import compress

TEXT = "".join(f"line {number} of many\n" for number in range(500))
HALVES = TEXT[:3000].encode(), TEXT[3000:].encode()
SKIPPED_FRAME = struct.pack("<II", 0x184D2A53, 3) + b"abc"


@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".gz", ".zst", ".xz", ".bz2"])
def test_a_compressed_file_that_is_cut_off_is_refused(tmp_path, suffix, part):
    data = compress(TEXT.encode(), suffix)
    path = tmp_path / f"t.txt{suffix}"
    path.write_bytes(data[: int(part * len(data))])
    with pytest.raises(SourceError, match="It may be damaged or cut off"):
        read_text(path)


def test_a_zstandard_file_may_have_several_frames(tmp_path):
    path, frames = tmp_path / "t.txt.zst", [zstandard.compress(half) for half in HALVES]
    path.write_bytes(SKIPPED_FRAME + frames[0] + SKIPPED_FRAME + zstandard.compress(b"") + frames[1] + SKIPPED_FRAME)
    assert read_text(path) == TEXT
    for n_missing in (1, 10, len(SKIPPED_FRAME) + 1):
        path.write_bytes((frames[0] + frames[1] + SKIPPED_FRAME)[:-n_missing])
        with pytest.raises(SourceError, match="ended before the end of a frame"):
            read_text(path)
    path.write_bytes(frames[0] + b"something else")
    with pytest.raises(SourceError, match="It may be damaged"):
        read_text(path)


def test_a_zstandard_file_is_decompressed_in_little_memory(tmp_path):
    path = tmp_path / "t.txt.zst"
    path.write_bytes(zstandard.compress(b"words " * 10_000_000, 1))
    tracemalloc.start()
    try:
        with open_text(path) as file:
            assert sum(len(chunk) for chunk in iter(lambda: file.read(2**16), "")) == 60_000_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30e6
