"""Language models, by name or in memory, and their activations at the hook points of TransformerLens."""

from sparse_probing.models.hooks import Hook
from sparse_probing.models.hugging_face import Quantization
from sparse_probing.models.language_model import LanguageModel
from sparse_probing.models.load_model import LoadedModel, load_model, resolved_device, wrap_model
from sparse_probing.models.places import Place, find_place

__all__ = [
    "Hook",
    "LanguageModel",
    "LoadedModel",
    "Place",
    "Quantization",
    "find_place",
    "load_model",
    "resolved_device",
    "wrap_model",
]
