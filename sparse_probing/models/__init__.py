"""Language models by name, and their activations at the hook points of TransformerLens."""

from sparse_probing.models.hooks import Hook
from sparse_probing.models.hugging_face import Quantization
from sparse_probing.models.language_model import LanguageModel
from sparse_probing.models.loading import load_model

__all__ = ["Hook", "LanguageModel", "Quantization", "load_model"]
