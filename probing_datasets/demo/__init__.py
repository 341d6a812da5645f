"""The bundled demo: a small trained language model and texts, with which everything runs offline."""

from pathlib import Path

DEMO_MODEL_PATH = Path(__file__).parent / "model"
"""Folder of the demo language model and its tokenizer."""

DEMO_TEXTS = {
    "natural_lang_id": Path(__file__).parent / "natural_lang.jsonl",
    "programming_lang_id": Path(__file__).parent / "programming_lang.jsonl",
    "text_features": Path(__file__).parent / "natural_lang.jsonl",
}
"""The bundled texts of each collection (columns text, label, group)."""
