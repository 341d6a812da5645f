"""The bundled demo: a small trained language model and texts, so that everything runs offline."""

from pathlib import Path

DEMO_MODEL_PATH = Path(__file__).parent / "model"
"""Folder of the demo language model and its tokenizer."""

_NATURAL, _PROGRAMMING = Path(__file__).parent / "natural_lang.jsonl", Path(__file__).parent / "programming_lang.jsonl"

DEMO_TEXTS = {
    "containment": _PROGRAMMING,
    "distribution_id": _PROGRAMMING,
    "has_prefix": _NATURAL,
    "has_suffix": _NATURAL,
    "natural_lang_id": _NATURAL,
    "pile_test": _PROGRAMMING,
    "position": _NATURAL,
    "programming_lang_id": _PROGRAMMING,
    "text_features": _NATURAL,
}
"""Bundled texts by collection (columns text, label, group)."""
