"""The construct of a LaTeX source that a token is in: a formula, a script, a fraction, a title, a reference."""

from probing_datasets.collections.latex.collection import LatexConfig, build

__all__ = ["LatexConfig", "build"]
