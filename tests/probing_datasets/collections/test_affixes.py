"""Prefixes and suffixes of the strings of tokens."""

import pytest

from probing_datasets.collections.affixes import PREFIXES, SUFFIXES, ends_with, starts_with


@pytest.mark.parametrize(
    ("token", "prefixes", "suffixes"),
    [
        (" Rewrite", {"re"}, set()),
        ("under", {"un", "under"}, {"er"}),
        (" in", {"in", "il_ir_im_in"}, set()),
        ("realise", {"re"}, {"ise_ize"}),
        ("  re", set(), set()),  # one of the two spaces remains
        ("ness", set(), {"ness"}),
        (" NATION", set(), {"tion_sion"}),
        ("ent", set(), {"ent", "ant_ent"}),
        ("", set(), set()),
        ("\ufffd", set(), set()),
    ],
)
def test_affixes_of_a_token(token, prefixes, suffixes):
    assert {"_".join(p) for p in PREFIXES if starts_with(p)(token)} == prefixes
    assert {"_".join(s) for s in SUFFIXES if ends_with(s)(token)} == suffixes


def test_no_affix_is_listed_twice():
    assert len(set(PREFIXES)) == len(PREFIXES) == 38
    assert len(set(SUFFIXES)) == len(SUFFIXES) == 23
