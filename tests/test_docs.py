"""The pages: links and paths exist, modules that are named can be imported, and the page of result rows is current."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    p
    for p in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")]
    if p.name != "CHANGELOG.md"
)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


@every_page
def test_links_exist(page):
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


@every_page
def test_paths_in_the_text_exist(page):
    named = re.findall(
        r"`((?:sparse_probing|probing_datasets|experiments|analysis|benchmarks|tests|docs)/[\w./-]*)`", page.read_text()
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


@every_page
def test_modules_in_the_text_exist(page):
    missing = []
    for dotted in set(re.findall(r"\b((?:sparse_probing|probing_datasets)(?:\.[a-z_0-9]+)+)", page.read_text())):
        parts = dotted.split(".")
        # The last names may be attributes of the module before them.
        for n in range(len(parts), 0, -1):
            name = ".".join(parts[:n])
            try:
                found = importlib.util.find_spec(name)
            except ModuleNotFoundError:
                continue
            if found is not None:
                value = importlib.import_module(name)
                if not all(hasattr(value, attribute) for attribute in parts[n : n + 1]):
                    missing.append(dotted)
                break
    assert missing == []


def test_the_page_of_result_rows_is_what_its_script_writes(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "analysis"))
    module = importlib.import_module("write_result_rows_page")
    sys.modules.pop("write_result_rows_page")
    assert module.PAGE.read_text() == module.page()
