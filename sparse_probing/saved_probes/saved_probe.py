"""A trained linear probe of one hook point, and the scores that it gives to texts and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.saved_probes.card import probe_card
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_file import write_probe

if TYPE_CHECKING:
    from sparse_probing.models import LanguageModel


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SavedProbe(ProbeData):
    """A probe that scores texts: `ProbeData` with the methods that run the model."""

    def score(
        self,
        texts: Sequence[str],
        per_token: bool = False,
        model: LanguageModel | None = None,
        batch_size: int = 32,
        allow_other_weights: bool = False,
    ) -> NDArray[np.float64] | list[list[tuple[str, Any]]]:
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
        allow_other_weights : bool
            Score with weights that the probe was not trained on, on which scores may mean nothing.

        Returns
        -------
        (n,) float64, or list of lists
            (n, outputs) for a multiclass probe. With ``per_token`` for each text a list of pairs of a token's text
            and its score, or its scores.

        Raises
        ------
        ModelError
            When the model has other weights than the probe was trained on.
        ProbeError
            When a text is empty, or when ``texts`` is a single string; and when the probe was trained on single
            tokens and ``per_token`` is false.
        """
        from sparse_probing.saved_probes.score_texts import score_texts, score_tokens  # here: it imports torch

        if per_token:
            return score_tokens(self, texts, model, batch_size, allow_other_weights)
        return score_texts(self, texts, model, batch_size, allow_other_weights)

    def predict(
        self,
        texts: Sequence[str],
        model: LanguageModel | None = None,
        batch_size: int = 32,
        allow_other_weights: bool = False,
    ) -> NDArray[Any]:
        """Return what the probe says of each text.

        Parameters
        ----------
        texts : sequence of str
        model : LanguageModel, optional
        batch_size : int
        allow_other_weights : bool
            These four as in :meth:`score`.

        Returns
        -------
        (n,) array
            Whether a text has the feature (bool); the name of its class (str); or a number, in regression.
        """
        from sparse_probing.saved_probes.score_texts import score_texts  # here: it imports torch

        scores = score_texts(self, texts, model, batch_size, allow_other_weights)
        if self.kind == "regression":
            return scores
        if self.kind == "multiclass":
            return np.array(self.classes)[scores.argmax(axis=-1)]
        return scores > self.threshold

    def predict_proba(
        self,
        texts: Sequence[str],
        model: LanguageModel | None = None,
        batch_size: int = 32,
        allow_other_weights: bool = False,
    ) -> NDArray[np.float64]:
        """Return the probability of the feature in each text, or of each class.

        Parameters
        ----------
        texts : sequence of str
        model : LanguageModel, optional
        batch_size : int
        allow_other_weights : bool
            These four as in :meth:`score`.

        Returns
        -------
        (n,) or (n, classes) float64
            What :meth:`probabilities` makes of the scores.

        Raises
        ------
        ProbeError
            When scores of this probe are not log odds; otherwise as :meth:`score`.
        """
        from sparse_probing.saved_probes.score_texts import score_texts  # here: it imports torch

        scores = score_texts(self, texts, model, batch_size, allow_other_weights)
        if self.kind == "multiclass":
            return self.probabilities(scores)
        return self.probabilities(scores[:, None])[:, 0]

    def with_threshold(self, threshold: float, origin: str) -> SavedProbe:
        """Return this probe with another threshold, which :meth:`predict` compares scores with; save it to keep it.

        Parameters
        ----------
        threshold : float
            Such as ``value`` of :func:`sparse_probing.threshold_at`.
        origin : str
            How it was set, in words, such as ``origin`` of the same: texts, their number, and how scores were pooled.

        Raises
        ------
        ProbeError
            When the probe is not of two classes, the threshold is not finite, or nothing says how it was set.
        """
        if self.kind != "binary":
            raise ProbeError(
                f"The probe of {self.feature!r} is {self.kind}: only probes of two classes have a threshold."
            )
        if not origin.strip():
            raise ProbeError("Say how the threshold was set, such as 'at most 1 % of 5,000 reviews are above it'.")
        return replace(self, threshold=float(threshold), threshold_origin=origin)

    def save(self, folder: Path | str, overwrite: bool = False) -> Path:
        """Write the probe as a folder, with a card (``README.md``) for people.

        Parameters
        ----------
        folder : path
        overwrite : bool
            Replace a probe that is there.

        Returns
        -------
        pathlib.Path
            The folder, which :func:`sparse_probing.load_probe` reads.

        Raises
        ------
        ProbeError
            When something else than a probe is in the folder, or a probe that is not to be replaced.
        """
        write_probe(self, Path(folder), overwrite, probe_card(self))
        return Path(folder)
