"""A page that colours every token by its score, with the distribution of the scores of texts by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparse_probing.reporting.pages.html import N_STEPS, safe, scale_step, step_colours, step_name, write_page

MANY_LABELS = 12
N_BINS = 40
COVERED = 0.98
"""Share of the tokens whose colour is not at an end of the scale."""

STYLE = """
body{font:15px/1.55 system-ui,sans-serif;color:#111;background:#fff;margin:0 auto;max-width:60rem;padding:1.5rem}
h1{font-size:1.35rem;margin:0 0 .4rem}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}
p{margin:.3rem 0}
.choice{display:inline-block;border:1px solid #999;border-radius:.3rem;padding:.1rem .6rem;margin:.15rem .2rem .15rem 0}
input[name=column]{position:absolute;opacity:0}
.only{display:none}
.text{border-top:1px solid #ccc;padding:.5rem 0}
.head{font-size:.85rem;color:#444}
.tokens{white-space:pre-wrap;overflow-wrap:anywhere;font-size:1rem;line-height:1.75}
.tokens span{border-radius:.15rem}
.rest{color:#777;font-style:italic}
.new{border-left:3px solid #111;padding-left:.15rem}
.scale{display:flex;align-items:center;gap:.5rem;margin:.4rem 0}
.scale span{display:inline-block;width:1.1rem;height:1.1rem}
svg text{font:12px system-ui,sans-serif;fill:#111}svg{max-width:100%;height:auto}
"""


@dataclass(frozen=True)
class ShownText:
    """A text as a page shows it."""

    heading: str
    tokens: Sequence[str]
    """What each token adds to the text; empty where it adds nothing, such as the second half of a character."""
    between: Sequence[str]
    """The text before each token that belongs to none."""
    rest: str
    """The text behind the last scored token."""
    token_scores: NDArray[np.float64]
    """(tokens, columns); NaN where a token has no score."""
    scores: NDArray[np.float64]
    """(columns,) scores of the text; NaN where it has none."""
    first_new: int | None = None
    """Number of the first token that a model generated."""


@dataclass(frozen=True)
class ScoredTexts:
    """The scores of all texts, of which a page shows some."""

    scores: NDArray[np.float64]
    """(n, columns); NaN for texts without one."""
    labels: Sequence[str]
    """Label of each text; all empty where there are none."""


def write_token_page(
    path: Path,
    title: str,
    columns: Sequence[str],
    thresholds: Sequence[float | None],
    texts: Sequence[ShownText],
    all_texts: ScoredTexts | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
    title : str
    columns : sequence of str
        Names of the scores; the reader chooses which colours the tokens.
    thresholds : sequence of float or None
        Of each score: the middle of its scale, and tokens above it are underlined; None: the middle is 0, and nothing
        is underlined.
    texts : sequence of ShownText
    all_texts : ScoredTexts, optional
        For the distribution of the scores of texts.
    notes : sequence of str
        Sentences for the top of the page.
    """
    middles = [0.0 if threshold is None else threshold for threshold in thresholds]
    together = np.concatenate([np.empty((0, len(columns))), *(text.token_scores for text in texts)])
    widths = [_half_width(together[:, i], middle) for i, middle in enumerate(middles)]
    body = [f"<h1>{safe(title)}</h1>", *(f"<p>{safe(note)}</p>" for note in notes)]
    for i, column in enumerate(columns):
        checked = " checked" if i == 0 else ""
        body.append(f'<input type="radio" name="column" id="c{i}"{checked}>')
        body.append(f'<label class="choice l{i}" for="c{i}">{safe(column)}</label>')
    body.append("<main>")
    for i, column in enumerate(columns):
        body.append(
            f'<section class="only o{i}"><h2>{safe(column)}</h2>{_legend(middles[i], widths[i], thresholds[i])}'
        )
        if all_texts is not None:
            body.append(_distribution(all_texts.scores[:, i], all_texts.labels, thresholds[i]))
        body.append("</section>")
    body.append(f"<h2>{len(texts):,} {'text' if len(texts) == 1 else 'texts'}</h2>")
    body += [_text(text, columns, middles, widths, thresholds) for text in texts]
    body.append("</main>")
    write_page(path, title, STYLE + _column_styles(len(columns)), "\n".join(body))


def _column_styles(n_columns: int) -> str:
    """Return the rules by which the chosen column colours the tokens: no script is needed."""
    rules = []
    for i in range(n_columns):
        chosen = f"#c{i}:checked~"
        rules.append(f"{chosen}.l{i}{{background:#111;color:#fff}}{chosen}main .o{i}{{display:block}}")
        rules.append(f"{chosen}main span.o{i}{{display:inline}}#c{i}:focus-visible~.l{i}{{outline:3px solid #c25408}}")
        rules.append(f"{chosen}main .u{i}{{text-decoration:underline 2px;text-underline-offset:.2em}}")
        for step in range(-N_STEPS, N_STEPS + 1):
            background, text = step_colours(step)
            rules.append(f"{chosen}main .k{i}{step_name(step)}{{background:{background};color:{text}}}")
    for step in range(-N_STEPS, N_STEPS + 1):
        rules.append(f".scale .s{step_name(step)}{{background:{step_colours(step)[0]}}}")
    return "\n".join(rules)


def _half_width(scores: NDArray[np.float64], middle: float) -> float:
    """Return the distance from the middle at which the scale ends."""
    finite = scores[np.isfinite(scores)]
    width = float(np.quantile(np.abs(finite - middle), COVERED)) if len(finite) else 0.0
    return width if width > 0 else 1.0


def _legend(middle: float, width: float, threshold: float | None) -> str:
    steps = "".join(f'<span class="s{step_name(step)}"></span>' for step in range(-N_STEPS, N_STEPS + 1))
    ends = f"{middle - width:.3g} and below", f"{middle + width:.3g} and above"
    what = (
        "the middle is 0" if threshold is None else f"the middle is the threshold, {middle:.3g}; above it: underlined"
    )
    return (
        f'<div class="scale">{safe(ends[0])} {steps} {safe(ends[1])}</div>'
        f'<p class="head">Colour: the score of a token; {safe(what)}. Point at a token for the numbers.</p>'
    )


def _text(
    text: ShownText,
    columns: Sequence[str],
    middles: Sequence[float],
    widths: Sequence[float],
    thresholds: Sequence[float | None],
) -> str:
    spans = []
    for position, (between, token) in enumerate(zip(text.between, text.tokens, strict=True)):
        spans.append(safe(between))
        scores = text.token_scores[position]
        classes = [
            f"k{i}{step_name(scale_step((score - middles[i]) / widths[i]))}"
            for i, score in enumerate(scores)
            if np.isfinite(score)
        ]
        classes += [f"u{i}" for i, t in enumerate(thresholds) if t is not None and scores[i] > t]
        if position == text.first_new:
            classes.append("new")
        numbers = "; ".join(f"{name} {score:.4g}" for name, score in zip(columns, scores, strict=True))
        shown = safe(token).replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}\n") or "\N{WHITE SMALL SQUARE}"
        spans.append(f'<span class="{" ".join(classes)}" title="token {position}: {safe(numbers)}">{shown}</span>')
    rest = f'<span class="rest">{safe(text.rest)}</span>' if text.rest else ""
    scores_of_text = "".join(
        f'<span class="only o{i}">; score {score:.4g}</span>'
        for i, score in enumerate(text.scores)
        if np.isfinite(score)
    )
    return (
        f'<div class="text"><div class="head">{safe(text.heading)}{scores_of_text}</div>'
        f'<div class="tokens">{"".join(spans)}{rest}</div></div>'
    )


def _distribution(scores: NDArray[np.float64], labels: Sequence[str], threshold: float | None) -> str:
    """Return a histogram for each label on one axis, as SVG; nothing where no text has a score."""
    is_finite = np.isfinite(scores)
    if not is_finite.any():
        return "<p>No text has a score.</p>"
    names = np.array([str(label) for label in labels])
    common, counts = np.unique(names[is_finite], return_counts=True)
    kept = common[np.argsort(-counts, kind="stable")][:MANY_LABELS]
    rows = [(name or "all texts", scores[is_finite & (names == name)]) for name in sorted(kept)]
    if len(common) > len(kept):
        others = is_finite & ~np.isin(names, kept)
        rows.append((f"{len(common) - len(kept)} other labels", scores[others]))
    low, high = float(scores[is_finite].min()), float(scores[is_finite].max())
    edges = np.linspace(low, high if high > low else low + 1, N_BINS + 1)
    left, width, height, gap = 170, 600, 46, 8

    def place(score: float) -> float:
        return left + (score - edges[0]) / (edges[-1] - edges[0]) * width

    parts = []
    for row, (name, values) in enumerate(rows):
        counted, base = np.histogram(values, edges)[0], (row + 1) * (height + gap)
        parts.append(f'<text x="{left - 8}" y="{base - 16}" text-anchor="end">{safe(name[:24])}</text>')
        parts.append(f'<text x="{left - 8}" y="{base - 2}" text-anchor="end">n = {len(values):,}</text>')
        parts.append(f'<line x1="{left}" y1="{base}" x2="{left + width}" y2="{base}" stroke="#999"/>')
        for count, start, stop in zip(counted.tolist(), edges[:-1], edges[1:], strict=True):
            if count:
                tall = count / counted.max() * height
                x, w = place(start), place(stop) - place(start)
                what = f"{count:,} texts from {start:.3g} to {stop:.3g}"
                parts.append(
                    f'<rect x="{x:.1f}" y="{base - tall:.1f}" width="{max(w - 1, 1):.1f}" height="{tall:.1f}" '
                    f'fill="#5a6b7b"><title>{safe(f"{name}: {what}")}</title></rect>'
                )
    bottom = len(rows) * (height + gap)
    if threshold is not None and edges[0] <= threshold <= edges[-1]:
        x = place(threshold)
        parts.append(f'<line x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{bottom}" stroke="#c25408" stroke-width="2"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 32}" text-anchor="middle">threshold {threshold:.3g}</text>')
    for score in (edges[0], (edges[0] + edges[-1]) / 2, edges[-1]):
        parts.append(f'<text x="{place(score):.1f}" y="{bottom + 16}" text-anchor="middle">{score:.3g}</text>')
    return (
        f"<p>Scores of {int(is_finite.sum()):,} texts, by label; every row is scaled to its own largest bin.</p>"
        f'<svg viewBox="0 0 {left + width + 30} {bottom + 38}" width="{left + width + 30}" role="img" '
        f'aria-label="histogram of scores by label">{"".join(parts)}</svg>'
    )
