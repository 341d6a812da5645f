"""A trained linear probe of one hook point, with what is needed to apply it to new texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from probing_datasets.feature_dataset import Aggregation

if TYPE_CHECKING:
    from sparse_probing.models import LanguageModel


@dataclass(frozen=True)
class SavedProbe:
    """A linear function of some neurons that says whether a text has a feature.

    The score of activations x is ``intercept + sum_j coef_j x[support_j]``; a positive score means that the
    feature is present.
    """

    feature: str
    """Name of the feature."""
    model: str
    """Name or folder of the model whose activations the probe reads."""
    revision: str | None
    """Revision of a model on the hub."""
    random_init: int | None
    """Seed of the random weights of the model; None for trained weights."""
    weight_hash: str
    """Hash of the weights of the model; another model is refused."""
    dtype: str
    """Precision in which the model ran, such as float32."""
    layer: int
    hook_point: str
    """Hook point inside the layer, such as ``mlp.hook_post``."""
    aggregation: Aggregation
    """How the activations of the tokens of a text become one vector; none: the probe was trained on tokens."""
    prefix: tuple[int, ...]
    """Ids of the special tokens before every text."""
    suffix: tuple[int, ...]
    """Ids of the special tokens behind every text."""
    context_length: int
    """Longest sequence of the training data, in tokens; longer texts are cut."""
    support: NDArray[np.int64]
    """(k,) neurons."""
    coef: NDArray[np.float64]
    """(k,) coefficients, for activations as the model computes them."""
    intercept: float

    def __repr__(self) -> str:
        """Return the feature, the place and the number of neurons."""
        place = f"{self.hook_point} of layer {self.layer}"
        return f"SavedProbe({self.feature!r}, {len(self.support)} neurons at {place} of {self.model!r})"

    def score(
        self, texts: Sequence[str], per_token: bool = False, model: LanguageModel | None = None, batch_size: int = 32
    ) -> NDArray[np.float64] | list[list[tuple[str, float]]]:
        """Return the score of each text, or of each token of each text.

        The model runs up to the layer of the probe.

        Parameters
        ----------
        texts : sequence of str
        per_token : bool
            Score every token by its own activation, whatever the aggregation of the probe.
        model : LanguageModel, optional
            A model that is loaded already (``sparse_probing.models.load_model``); by default it is loaded by name.
        batch_size : int
            Texts of one forward pass.

        Returns
        -------
        (n,) float64, or list of lists
            With ``per_token`` for each text a list of pairs of a token's text and its score.

        Raises
        ------
        ModelError
            When the model has other weights than the probe was trained on.
        ProbeError
            When a text is empty, or when ``texts`` is a single string; and when the probe was trained on single
            tokens and ``per_token`` is false.
        """
        from sparse_probing.saved_probes.score_texts import score_texts, score_tokens  # here: they import torch

        if per_token:
            return score_tokens(self, texts, model, batch_size)
        return score_texts(self, texts, model, batch_size)

    def predict(
        self, texts: Sequence[str], model: LanguageModel | None = None, batch_size: int = 32
    ) -> NDArray[np.bool_]:
        """Return (n,) whether each text has the feature: whether its score is positive."""
        from sparse_probing.saved_probes.score_texts import score_texts  # here: it imports torch

        return score_texts(self, texts, model, batch_size) > 0
