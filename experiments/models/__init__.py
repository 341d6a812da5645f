"""Language models by name, and their activations at the hook points of TransformerLens."""

from experiments.models.hooks import Hook
from experiments.models.hugging_face import Quantization
from experiments.models.language_model import LanguageModel
from experiments.models.loading import load_model

__all__ = ["Hook", "LanguageModel", "Quantization", "load_model"]
