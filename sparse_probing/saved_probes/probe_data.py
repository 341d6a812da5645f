"""The data of a trained linear probe of one hook point: what is needed to trust it, and to apply it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax

from probing_datasets.feature_dataset import Aggregation, FeatureKind
from probing_datasets.foundation.errors import ProbeError

Link = Literal["sigmoid", "softmax", "none"]
ProbedTokens = Literal["all", "user", "assistant", "last"]


@dataclass(frozen=True)
class ChatPrompt:
    """How a data set of chats puts a message into a prompt; new messages are put into the same one."""

    template: str
    """Text around ``{message}``; empty: the chat template of the tokenizer."""
    completion: str
    """Beginning of the answer, after the message."""
    template_hash: str
    """SHA-256 of the chat template of the tokenizer, empty where ``template`` replaces it or there is none."""
    probed_tokens: ProbedTokens = "last"
    """Which tokens of the prompt are probed."""


@dataclass(frozen=True)
class ProbeOrigin:
    """Where a probe is from, how it was fitted, and how good it was on rows that had no part in it."""

    dataset: str
    """Name of the feature data set."""
    dataset_hash: str
    """Checksum of its tokens, groups, positions and labels."""
    study: str
    """Experiment type that fitted the probe."""
    probe: str
    """Kind of probe, such as logistic, optimal_hinge or multinomial."""
    status: str
    """How the fit ended, in a sentence."""
    seed: int
    """Seed of the split and of random choices."""
    n_train: int
    n_test: int
    converged: bool | None = None
    """Whether the relative distance from the optimum is below the tolerance; None where it is not known."""
    gap: float | None = None
    """Relative distance of the objective from its optimum, as the fit reports it: a bound, or an estimate."""
    regularization: float | None = None
    """C of the objective."""
    ranking: str = ""
    """How neurons were ranked, empty when they were not."""
    class_counts: Mapping[str, int] | None = None
    """Rows of each class, where they are known."""
    metrics: Mapping[str, float] | None = None
    """``train_`` and ``test_`` metrics, the ends of their intervals, and the same metrics of controls, whose names
    begin with that of the control (``shuffled_labels/test_f1_score``)."""
    source: str = ""
    """Texts of the data set."""
    licence: str = ""
    """Licence of these texts."""
    versions: Mapping[str, str | None] | None = None
    """Packages that decide the numbers, and the git commit of this code."""


@dataclass(frozen=True, eq=False)
class ProbeData:
    """A linear function of some neurons for each output, and how to get these neurons from a text.

    The scores of activations x are ``((x[support] - mean) / scale) @ coef.T + intercept``. A positive score of a
    binary probe means that the feature is present; the largest score of a multiclass probe is that of the class; the
    score of a regression probe is the predicted number.
    """

    feature: str
    """Name of the feature."""
    kind: FeatureKind
    classes: tuple[str, ...]
    """Name of the class of every output; empty for binary and regression, which have one output."""
    model: str
    """Name or folder of the model whose activations the probe reads."""
    revision: str | None
    """Revision of a model on the hub."""
    random_init: int | None
    """Seed of the random weights of the model; None for trained weights."""
    weight_hash: str
    """Hash of the weights of the model; another model is refused."""
    tokenizer_hash: str
    """Hash of everything that maps a text to token ids."""
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
    """(k,) neurons; all of the layer for a dense probe."""
    coef: NDArray[np.float64]
    """(outputs, k) coefficients."""
    intercept: NDArray[np.float64]
    """(outputs,)"""
    mean: NDArray[np.float64]
    """(k,) subtracted from the activations; zeros where the coefficients are for activations as the model computes
    them."""
    scale: NDArray[np.float64]
    """(k,) by which activations are then divided; ones where the coefficients are for activations as they are."""
    link: Link
    """From scores to probabilities: sigmoid of each, softmax of all, or none where a score is not log odds."""
    prior: NDArray[np.float64]
    """(outputs,) added to the scores of a probability: log odds (sigmoid) or logarithms (softmax) of the frequencies
    of the training rows, where the fit weighted classes equally; zeros elsewhere."""
    temperature: float
    """By which scores are divided before they become probabilities; 1 where none was fitted."""
    threshold: float
    """A binary probe predicts the feature where the score is above it."""
    threshold_origin: str
    """How the threshold was set, in words."""
    provenance: ProbeOrigin
    chat: ChatPrompt | None = None
    """How messages become prompts, where the probe was trained on chats."""
    model_is_folder: bool = False
    """Whether ``model`` is only the last part of the name of a local folder: no file chooses a path on this machine,
    so the model must be passed."""

    def __repr__(self) -> str:
        """Return the feature, the place and the number of neurons."""
        place = f"{self.hook_point} of layer {self.layer}"
        return f"{type(self).__name__}({self.feature!r}, {len(self.support)} neurons at {place} of {self.model!r})"

    def scores_of(self, activations: ArrayLike) -> NDArray[np.float64]:
        """Return the scores of activations.

        Parameters
        ----------
        activations : (..., width) array
            Activations of the whole hook point.

        Returns
        -------
        (..., outputs) float64
            One score for a binary or regression probe, one for each of ``classes`` otherwise.
        """
        x = np.asarray(activations)[..., self.support].astype(np.float64)
        return ((x - self.mean) / self.scale) @ self.coef.T + self.intercept

    def probabilities_of(self, activations: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities of activations: those of :meth:`scores_of`, by :meth:`probabilities`.

        Parameters
        ----------
        activations : (..., width) array
            Activations of the whole hook point.

        Returns
        -------
        (..., outputs) float64

        Raises
        ------
        ProbeError
            When scores of this probe are not log odds.
        """
        return self.probabilities(self.scores_of(activations))

    def probabilities(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities that belong to scores: the sigmoid or softmax of ``scores / temperature + prior``.

        With ``link`` sigmoid each output has the probability of its own class against all others, and the
        probabilities of several outputs need not sum to 1; with softmax they do.

        Parameters
        ----------
        scores : (..., outputs) array
            What :meth:`scores_of` returns.

        Returns
        -------
        (..., outputs) float64

        Raises
        ------
        ProbeError
            When scores of this probe are not log odds: regression, hinge and squared losses.
        """
        if self.link == "none":
            what = "numbers, not classes" if self.kind == "regression" else f"{self.provenance.probe}: not log odds"
            raise ProbeError(f"The scores of the probe of {self.feature!r} are {what}, and have no probabilities.")
        logits = np.asarray(scores, np.float64) / self.temperature + self.prior
        return expit(logits) if self.link == "sigmoid" else softmax(logits, axis=-1)
