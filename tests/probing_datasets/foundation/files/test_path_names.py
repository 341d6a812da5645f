"""No name from a file leads out of its folder."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing_datasets.foundation.errors import DamagedFileError
from probing_datasets.foundation.files.path_names import path_name


@pytest.mark.parametrize("name", ["mlp.hook_post", "ln1.hook_normalized", "demo@main+random0", "naïve 数", "..a", "-x"])
def test_a_name_is_kept(name):
    assert path_name(name, "a plan") == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/etc", "a\\b", "C:x", "a\x00", "a\nb", "\x1b[2J", "a\u202eb", "x" * 256, "é" * 128],
)
def test_a_name_that_is_not_a_file(name):
    with pytest.raises(DamagedFileError, match="a plan contains the name .*cannot be the name of a file"):
        path_name(name, "a plan")


@given(name=st.text(max_size=20))
def test_an_accepted_name_is_one_component(name):
    try:
        accepted = path_name(name, "a plan")
    except DamagedFileError:
        return
    assert Path("folder", accepted).parent == Path("folder")
    assert Path("folder", accepted).name == name
