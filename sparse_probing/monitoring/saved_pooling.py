"""Keep a trained pooling in the format of a probe, and score new texts with it.

Queries and values are linear functions of the activation of a token, so they are the outputs of a probe of tokens:
``query 1``, ``query 2``, ..., ``value 1``, ... A loaded pooling runs the model, and pools these outputs over the tokens
of a text. The intercept of the pooling is that of ``value 1``: the weights of a head sum to 1, and a maximum moves with
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.models import LanguageModel
from sparse_probing.monitoring.trained_pooling import TrainedPooling, TrainedPoolingKind
from sparse_probing.saved_probes.load_probe import load_probe
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_metadata import ProbeMetadata
from sparse_probing.saved_probes.right_model import model_of
from sparse_probing.saved_probes.saved_probe import SavedProbe
from sparse_probing.saved_probes.text_scorer import TextScorer

STUDY = "fit_pooling"


@dataclass(frozen=True, eq=False)
class SavedPooling:
    """A trained pooling that scores texts."""

    probe: SavedProbe
    """Its queries and values, as a probe of tokens with an output for each."""

    @property
    def kind(self) -> TrainedPoolingKind:
        """How the outputs are pooled."""
        return cast(TrainedPoolingKind, self.probe.provenance.probe)

    def score(
        self,
        texts: Sequence[str],
        model: LanguageModel | None = None,
        batch_size: int = 32,
        allow_other_weights: bool = False,
    ) -> NDArray[np.float64]:
        """Return the score of each text; a positive score means the positive class.

        Parameters
        ----------
        texts : sequence of str
        model : LanguageModel, optional
            A loaded model; by default it is loaded by name.
        batch_size : int
            Texts of one forward pass.
        allow_other_weights : bool
            Score with weights that the pooling was not trained on.

        Returns
        -------
        (n,) float64

        Raises
        ------
        ModelError
            When the model has other weights than the pooling was trained on.
        ProbeError
            When a text has no tokens, or ``texts`` is a single string.
        """
        if isinstance(texts, str):
            raise ProbeError("Pass a list of texts, not a single string.")
        loaded = model_of([self.probe], model, allow_other_weights)
        scores = np.empty(len(texts))
        for number, each in enumerate(TextScorer(loaded, [self.probe], batch_size, per_token=True).score(texts)):
            if not len(each.token_scores):
                raise ProbeError(f"Text {number} has no score: {each.prompt.note}. Remove it, or shorten it.")
            of_tokens = each.token_scores if each.prompt.is_pooled is None else each.token_scores[each.prompt.is_pooled]
            queries, values = np.split(of_tokens, 2, axis=1)
            if self.kind == "multimax":
                scores[number] = values.max(axis=0).sum()
            else:
                scores[number] = (softmax(queries, axis=0) * values).sum()
        return scores


def save_pooling(pooling: TrainedPooling, like: ProbeData, folder: Path | str, overwrite: bool = False) -> Path:
    """Write a trained pooling as a folder in the format of a probe, with a card.

    Parameters
    ----------
    pooling : TrainedPooling
    like : ProbeData
        A probe of the same feature, model, hook point and data set, such as ``result.saved_probe(...)`` of a run on the
        store that the pooling was trained on: it says how texts become activations.
    folder : path
    overwrite : bool
        Replace a probe that is there.

    Raises
    ------
    ProbeError
        When the probe reads neurons that the pooling does not have, or the folder cannot be written.
    """
    n_heads, width = pooling.values.shape
    if like.support.max() >= width:
        raise ProbeError(
            f"The pooling was trained on {width} neurons, and the probe of {like.feature!r} reads neuron "
            f"{like.support.max()}. Pass a probe of the hook point that the pooling was trained on."
        )
    intercept = np.zeros(2 * n_heads)
    intercept[n_heads] = pooling.intercept
    origin = replace(
        like.provenance,
        study=STUDY,
        probe=pooling.kind,
        status=f"Epoch {pooling.best_epoch} of {pooling.n_epochs}, chosen on validation groups, without a bound.",
        n_train=pooling.n_train,
        n_test=0,
        test_fold=None,
        n_test_folds=0,
        converged=None,
        gap=None,
        regularization=None,
        ranking="",
        class_counts={},
        metrics={"validation_log_loss": pooling.validation_loss},
    )
    metadata = {field.name: getattr(like, field.name) for field in fields(ProbeMetadata)}
    changed = {
        "kind": "multiclass",
        "classes": _outputs(n_heads),
        "aggregation": "none",
        "link": "none",
        "threshold": 0.0,
        "threshold_origin": "",
        "provenance": origin,
    }
    probe = SavedProbe(
        **metadata | changed,
        support=np.arange(width),
        coef=np.concatenate([pooling.queries, pooling.values]).astype(np.float64),
        intercept=intercept,
        mean=np.asarray(pooling.mean, np.float64),
        scale=np.asarray(pooling.scale, np.float64),
        prior=np.zeros(2 * n_heads),
        temperature=1.0,
    )
    return probe.save(folder, overwrite)


def load_pooling(source: Path | str, revision: str | None = None) -> SavedPooling:
    """Load a trained pooling from a folder or from the hub; arguments and errors as those of `load_probe`.

    Raises
    ------
    ProbeError
        When there is no probe, or it is not a trained pooling.
    ProbeFormatError
        When another version of this code wrote it.
    DamagedFileError
        When a file is not what was written.
    """
    probe = load_probe(source, revision)
    is_pooling = probe.provenance.study == STUDY and probe.provenance.probe in get_args(TrainedPoolingKind)
    if not is_pooling or probe.classes != _outputs(len(probe.intercept) // 2):
        raise ProbeError(f"{source} is a probe of {probe.feature!r}, not a trained pooling. Load it with load_probe.")
    return SavedPooling(probe)


def _outputs(n_heads: int) -> tuple[str, ...]:
    return tuple(f"{what} {head + 1}" for what in ("query", "value") for head in range(n_heads))
