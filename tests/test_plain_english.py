"""Plain English: words and phrases that a reader stumbles over do not occur in code, messages and pages."""

import io
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

INSTEAD = {
    r"\b(stands?|standing|stood)\b": "exists, existing, is",
    r"\b(go|goes|going|gone|went) on\b": "resume, continue",
    r"\btak(e|es|en) up again\b": "resume",
    r"\b(nobody is|is|are|was|being) at it\b": "is running, is not running",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\blook(s|ed|ing)? after\b": "manage, monitor",
    r"(?<!there )\b(is|are|was|were) no (?!longer|more|less|larger|smaller|worse|better|two\b)": "is not a",
    r"\ball but\b": "all except",
    r"\black(s|ed|ing)?\b": "miss, missing, because of too little",
    r"\b(for want of|wanting)\b": "because of too little",
    r"\bbegun\b": "started",
    r"\bleft alone\b": "skipped, unchanged",
    r"\bof (its|their|your|our|his) own\b": "its own",
    r"\bthat which\b": "what",
    r"\bwhoever\b": "everybody who",
    r"\b(is|are|was|were) (told|asked|said)\b": "gets, is requested, is reported",
    r"\bfor lack of\b": "because of too little",
    r"\bgive(s|n)? away\b": "reveal",
}
"""What to write instead."""

HAS_THE_WORD_FOR_A_REASON = {
    "tests/test_plain_english.py",
    "probing_datasets/collections/wikidata/contexts.py",  # sentences that the model reads
}


def pages() -> list[str]:
    """Return the tracked text files that people read."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    names = [name for name in listed if re.search(r"\.(py|md|sh|toml|cff)$|^Makefile$|^\.ci/run$", name)]
    in_corpus = ("probing_datasets/demo/texts/",)
    return [
        n for n in names if not n.startswith(in_corpus) and n not in HAS_THE_WORD_FOR_A_REASON and (ROOT / n).exists()
    ]


def prose(name: str) -> list[tuple[int, str]]:
    """Return the lines of a page, or the comments and strings of a module, with their numbers."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if not name.endswith(".py"):
        return list(enumerate(text.split("\n"), start=1))
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    found = [(t.start[0], t.string) for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type in kinds]
    found += [(text.count(chr(10), 0, m.start()) + 1, m[1].replace("_", " ")) for m in re.finditer(r"def (\w+)", text)]
    return found


@pytest.mark.parametrize("pattern", INSTEAD)
def test_no_page_uses(pattern):
    offenders = []
    for name in pages():
        for line, text in prose(name):
            for match in re.finditer(pattern, text, re.IGNORECASE):
                offenders.append(f"{name}:{line + text.count(chr(10), 0, match.start())}: {match[0]!r}")
    assert offenders == [], f"Write instead: {INSTEAD[pattern]}"


@pytest.mark.parametrize("pattern", INSTEAD)
def test_the_check_can_fail(pattern):
    bad = {"stands": "what stands there", "go on": "it goes on", "at it": "nobody is at it", "no": "is no vector"}
    sentences = [
        *bad.values(),
        "take up again",
        "mend it",
        "look after it",
        "all but one",
        "it lacks",
        "for want of",
        "begun",
        "left alone",
        "of its own",
        "that which",
        "not begun",
        "is it that",
        "whoever",
        "gives away",
        "do with what",
        "it is told",
        "for lack of time",
    ]
    assert any(re.search(pattern, sentence, re.IGNORECASE) for sentence in sentences)
