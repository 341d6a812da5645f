"""What pages share: text that cannot become markup, the frame of a page, and a scale of colours."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from pathlib import Path

from probing_datasets.foundation.errors import SettingsError
from probing_datasets.foundation.files.atomic_files import write_bytes
from probing_datasets.foundation.files.regular_files import open_regular_file
from probing_datasets.foundation.printable import printable

MARK = '<meta name="generator" content="sparse-probing">'
"""By which a page of this project is known."""
MARK_WITHIN = 2_000
"""Bytes at the beginning of a page that hold the mark."""

N_STEPS = 10
"""Colours on each side of the middle."""
LOW, MIDDLE, HIGH = (33, 84, 156), (250, 250, 248), (194, 84, 8)
"""Blue and orange differ for every kind of colour blindness, and in grey from the light middle."""


def safe(text: object) -> str:
    """Return a text as HTML: no character of it is markup, or changes the order of what is shown.

    Line ends and tabs stay; other characters that do not print become escape sequences of Python.

    Examples
    --------
    >>> safe("<script>")
    '&lt;script&gt;'
    """
    shown = (c if c in "\n\t" else printable(c) for c in str(text))
    return escape("".join(shown))


def scale_step(share: float) -> int:
    """Return the colour of a number from -1 to 1: a step from -`N_STEPS` to `N_STEPS`, those outside at the ends."""
    return round(min(1.0, max(-1.0, share)) * N_STEPS)


def step_name(step: int) -> str:
    """Return the name of a step in a style sheet: n10 to n1, z, p1 to p10."""
    return f"n{-step}" if step < 0 else f"p{step}" if step else "z"


def step_colours(step: int) -> tuple[str, str]:
    """Return the colour of a background, and that of text on it which has the larger contrast."""
    share, end = abs(step) / N_STEPS, HIGH if step > 0 else LOW
    background = tuple(round(m + share * (e - m)) for m, e in zip(MIDDLE, end, strict=True))
    light = _luminance(background)
    # Contrast as WCAG 2 defines it.
    is_dark = 1.05 / (light + 0.05) > (light + 0.05) / 0.05
    return "#{:02x}{:02x}{:02x}".format(*background), "#fff" if is_dark else "#111"


def _luminance(colour: tuple[int, ...]) -> float:
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def check_page_name(path: Path, overwrite: bool = False) -> None:
    """Raise SettingsError unless a page can be written at a path: a new file, or a page that this project wrote.

    Parameters
    ----------
    path : Path
    overwrite : bool
        Replace another file too.
    """
    if path.suffix != ".html":
        raise SettingsError(f"A page is a file that ends in .html, not {path}. Name another file with --html.")
    if path.is_dir():
        raise SettingsError(f"{path} is a folder. Name a file that ends in .html.")
    if overwrite or not path.exists():
        return
    try:
        with open_regular_file(path) as file:
            is_ours = MARK.encode() in file.read(MARK_WITHIN)
    except (OSError, ValueError):
        is_ours = False
    if not is_ours:
        raise SettingsError(
            f"{path} exists, and is not a page that this command wrote. Choose another name, or replace it with "
            "--overwrite."
        )


def write_page(path: Path, title: str, style: str, body: str) -> None:
    """Write a page that works without a network: its policy forbids everything except its own style sheet.

    Parameters
    ----------
    path : Path
    title : str
        Text, which is escaped.
    style : str
        Style sheet, which only this project writes.
    body : str
        HTML, in which every text from elsewhere has passed `safe`.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'{MARK}\n<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
    write_bytes(path, page.encode())
