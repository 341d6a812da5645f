"""The page of coloured tokens: nothing in it runs or loads, it says what the scores are, and a browser shows it."""

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from sparse_probing.reporting.pages.html import N_STEPS, safe, step_colours
from sparse_probing.reporting.pages.token_page import ScoredTexts, ShownText, write_token_page

HOSTILE = (
    '<script>document.title="run"</script>',
    "<img src=x onerror=\"document.title='run'\">",
    '" onmouseover="document.title=1',
    "</style><style>body{display:none}</style>",
    "\u202ereversed\x1b[31m",
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def shown(tokens: list[str], token_scores: list[list[float]], heading: str = "text 0", **further) -> ShownText:
    fields = {"rest": "", "scores": np.array(token_scores).mean(0)} | further
    return ShownText(heading, tokens, [""] + [" "] * (len(tokens) - 1), token_scores=np.array(token_scores), **fields)


@pytest.fixture
def page(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    texts = [
        shown(["Guten", "Morgen", "Welt"], [[2.0, -1.0], [0.5, 0.0], [-2.0, 1.0]], "text 0, label German"),
        shown([*HOSTILE], rng.normal(size=(5, 2)).tolist(), HOSTILE[0], rest=HOSTILE[1]),
        shown(
            ["a", "", "line\n"], [[np.nan, 1.0], [0.1, 1.0], [0.2, 1.0]], scores=np.array([np.nan, 0.3]), first_new=2
        ),
    ]
    labels = ["German", HOSTILE[0], "French"] * 20
    scores = rng.normal(size=(60, 2)) + np.array([[3.0, 0], [0, 0], [-3, 0]] * 20)
    write_token_page(
        tmp_path / "page.html",
        f"Scores of {HOSTILE[0]}",
        ["German", HOSTILE[2]],
        [0.25, None],
        texts,
        ScoredTexts(scores, labels),
        ["2 of 60 texts were cut.", HOSTILE[1]],
    )
    return tmp_path / "page.html"


class Elements(HTMLParser):
    """Tags with their attributes, and the text of the page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_no_text_becomes_markup_and_nothing_is_loaded(page):
    elements = Elements(page)
    tags = {tag for tag, _ in elements.tags}
    assert not tags & {"script", "img", "link", "iframe", "object", "a", "form"}
    assert [tag for tag, _ in elements.tags].count("style") == 1
    attributes = {name for _, attrs in elements.tags for name in attrs}
    assert not [name for name in attributes if name.startswith("on") or name in ("src", "href", "style")]
    policy = next(a["content"] for t, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe-inline" not in policy
    assert HOSTILE[0] in elements.text  # shown as it is written
    assert "\u202e" not in elements.text
    assert "\\u202ereversed\\x1b[31m" in elements.text


def test_every_token_has_its_score_and_colour(page):
    elements = Elements(page)
    spans = [a for t, a in elements.tags if t == "span" and "title" in a]
    assert len(spans) == 3 + 5 + 3
    assert spans[0]["title"].startswith("token 0: German 2; ")
    first, last = spans[0]["class"].split(), spans[2]["class"].split()
    assert "u0" in first
    assert "u0" not in last
    assert any(re.fullmatch(r"k0p\d+", name) for name in first)
    assert any(re.fullmatch(r"k0n\d+", name) for name in last)
    assert not any(name.startswith("k0") for name in spans[8]["class"].split())  # NaN has no colour
    assert "new" in spans[10]["class"].split()


def test_distribution_shows_every_label_and_the_threshold(page):
    text = Elements(page).text
    assert text.count("n = 20") == 2 * 3  # three labels, for each of two columns
    assert "threshold 0.25" in text
    counts = [int(n) for n in re.findall(r"German: (\d+) texts from", text)]
    assert sum(counts) == 2 * 20


def test_text_is_readable_on_every_colour():
    def luminance(colour: str) -> float:
        values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    for step in range(-N_STEPS, N_STEPS + 1):
        background, text = step_colours(step)
        light = sorted([luminance(background), luminance("#" + "".join(2 * c for c in text[1:]))])
        assert (light[1] + 0.05) / (light[0] + 0.05) >= 4.5, step


def test_safe_keeps_line_ends():
    assert safe("a\n\tb & <c>") == "a\n\tb &amp; &lt;c&gt;"


def in_chromium(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("REQUIRE_CHROMIUM") != "1", reason="no Chromium here; apt-get install chromium"
)
def test_chromium_shows_it_without_running_anything(page, tmp_path):
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = in_chromium(profile, "--enable-logging=stderr", "--dump-dom", page.as_uri())
    assert "<main>" in done.stdout
    assert "<title>Scores of &lt;script&gt;" in done.stdout  # no script has changed it
    assert "Content Security Policy" not in done.stderr  # and nothing tried to
    picture = tmp_path / "page.png"
    in_chromium(profile, f"--screenshot={picture}", "--window-size=1000,1400", page.as_uri())
    from matplotlib.image import imread

    pixels = imread(picture)[..., :3]
    blue = (pixels[..., 2] > pixels[..., 0] + 0.3).mean()
    orange = (pixels[..., 0] > pixels[..., 2] + 0.3).mean()
    assert blue > 0.0005  # the style sheet has the digest that the policy allows: tokens have colours
    assert orange > 0.0005
