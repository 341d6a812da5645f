"""Choices of the commands that apply probes."""

from typing import Literal

ScorePooling = Literal["mean", "max", "last", "exponential", "rolling", "softmax"]
"""How the scores of the tokens of a text become one; `sparse_probing.monitoring.score_pooling` defines them."""
