"""Language models, by name or in memory, and their activations at the hook points of TransformerLens."""

from sparse_probing.models.find_activation import Activation, find_activation
from sparse_probing.models.hooks import Hook
from sparse_probing.models.hugging_face import Quantization
from sparse_probing.models.language_model import LanguageModel
from sparse_probing.models.load_model import LoadedModel, load_model, resolved_device, wrap_model

__all__ = [
    "Hook",
    "LanguageModel",
    "LoadedModel",
    "Activation",
    "Quantization",
    "find_activation",
    "load_model",
    "resolved_device",
    "wrap_model",
]
