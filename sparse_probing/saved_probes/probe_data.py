"""The data of a trained linear probe of one hook point: what is needed to trust it, and to apply it elsewhere.

The annotations of `ProbeMetadata` decide what a file may say: a probe can come from another person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax

from probing_datasets.feature_dataset import Aggregation, FeatureKind
from probing_datasets.foundation.errors import ProbeError
from sparse_probing.config import ModelDtype

Link = Literal["sigmoid", "softmax", "none"]
ProbedTokens = Literal["all", "user", "assistant", "last"]

MAX_NEURON = 2**31
MODEL_NAME = r"^[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?\Z"
"""A hub id, an alias or demo: no path of this machine."""

Text = Annotated[str, Meta(max_length=100_000)]
Name = Annotated[str, Meta(min_length=1, max_length=1_000)]
Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{0,128}\Z")]
Count = Annotated[int, Meta(ge=0, lt=2**53)]
TokenId = Annotated[int, Meta(ge=0, lt=MAX_NEURON)]
Frame = Annotated[tuple[TokenId, ...], Meta(max_length=1_000)]


@dataclass(frozen=True)
class ChatPrompt:
    """How a data set of chats puts a message into a prompt; new messages are put into the same one."""

    template: Text
    """Text around ``{message}``; empty: the chat template of the tokenizer."""
    completion: Text
    """Beginning of the answer, after the message."""
    template_hash: Hash
    """SHA-256 of the chat template of the tokenizer, empty where ``template`` replaces it or there is none."""
    probed_tokens: ProbedTokens = "last"
    """Which tokens of the prompt are probed."""


@dataclass(frozen=True)
class ProbeOrigin:
    """Where a probe is from, how it was fitted, and how good it was on rows that had no part in it."""

    dataset: Name
    """Name of the feature data set."""
    dataset_hash: Hash
    """Checksum of its tokens, groups, positions and labels."""
    study: Name
    """Experiment type that fitted the probe."""
    probe: Name
    """Kind of probe, such as logistic, optimal_hinge or multinomial."""
    status: Text
    """How the fit ended, in a sentence."""
    seed: int
    """Seed of the split and of random choices."""
    n_train: Count
    n_test: Count
    n_validation: Count = 0
    """Rows that chose C, an epoch or a layer, and the temperature; 0 where validation rows are folds of the training
    rows, or there are none."""
    converged: bool | None = None
    """Whether the relative distance from the optimum is below the tolerance; None where it is not known."""
    gap: float | None = None
    """Relative distance of the objective from its optimum, as the fit reports it: a bound, or an estimate."""
    regularization: float | None = None
    """C of the objective."""
    ranking: Text = ""
    """How neurons were ranked, empty when they were not."""
    class_counts: Mapping[str, Count] = field(default_factory=dict)
    """Rows of each class, where they are known."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """``train_`` and ``test_`` metrics, the ends of their intervals, and the same metrics of controls, whose names
    begin with that of the control (``shuffled_labels/test_f1_score``)."""
    source: Text = ""
    """Texts of the data set."""
    licence: Text = ""
    """Licence of these texts."""
    versions: Mapping[str, str | None] = field(default_factory=dict)
    """Packages that decide the numbers, and the git commit of this code."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ProbeMetadata:
    """Everything about a probe except its arrays: what ``probe.json`` holds."""

    feature: Name
    """Name of the feature."""
    kind: FeatureKind
    classes: Annotated[tuple[Name, ...], Meta(max_length=100_000)]
    """Name of the class of every output; empty for binary and regression, which have one output."""
    model: Annotated[str, Meta(pattern=MODEL_NAME, max_length=255)]
    """Name or folder of the model whose activations the probe reads; a file names no folder."""
    revision: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_](?!.*\.\.)[\w./-]*\Z", max_length=255)] | None
    """Revision of a model on the hub."""
    random_init: Annotated[int, Meta(ge=0, lt=2**62)] | None
    """Seed of the random weights of the model; None for trained weights."""
    weight_hash: Hash
    """Hash of the weights of the model; another model is refused."""
    tokenizer_hash: Hash
    """Hash of everything that maps a text to token ids."""
    dtype: ModelDtype
    """Precision in which the model ran, such as float32."""
    layer: Annotated[int, Meta(ge=0, lt=4096)]
    hook_point: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.]{1,255}\Z")]
    """Hook point inside the layer, such as ``mlp.hook_post``."""
    aggregation: Aggregation
    """How the activations of the tokens of a text become one vector; none: the probe was trained on tokens."""
    prefix: Frame
    """Ids of the special tokens before every text."""
    suffix: Frame
    """Ids of the special tokens behind every text."""
    context_length: Annotated[int, Meta(ge=1, lt=2**31)]
    """Longest sequence of the training data, in tokens; longer texts are cut."""
    link: Link
    """From scores to probabilities: sigmoid of each, softmax of all, or none where a score is not log odds."""
    threshold: float
    """A binary probe predicts the feature where the score is above it."""
    threshold_origin: Text
    """How the threshold was set, in words."""
    provenance: ProbeOrigin
    chat: ChatPrompt | None = None
    """How messages become prompts, where the probe was trained on chats."""
    model_is_folder: bool = False
    """Whether ``model`` is only the last part of the name of a local folder: no file chooses a path on this machine,
    so the model must be passed."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ProbeData(ProbeMetadata):
    """A linear function of some neurons for each output, and how to get these neurons from a text.

    The scores of activations x are ``((x[support] - mean) / scale) @ coef.T + intercept``. A positive score of a
    binary probe means that the feature is present; the largest score of a multiclass probe is that of the class; the
    score of a regression probe is the predicted number.
    """

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
    prior: NDArray[np.float64]
    """(outputs,) added to the scores of a probability: log odds (sigmoid) or logarithms (softmax) of the frequencies
    of the training rows, where the fit weighted classes equally; zeros elsewhere."""
    temperature: float
    """By which scores are divided before they become probabilities; 1 where none was fitted."""

    def __post_init__(self) -> None:
        """Refuse arrays whose shapes do not fit, and numbers that no probe has.

        Raises
        ------
        ProbeError
            Which says what does not fit.
        """
        k, outputs = len(self.support), len(self.classes) or 1
        shapes = {"support": (k,), "coef": (outputs, k), "mean": (k,), "scale": (k,)}
        shapes |= {"intercept": (outputs,), "prior": (outputs,)}
        for name, shape in shapes.items():
            array, dtype = getattr(self, name), np.int64 if name == "support" else np.float64
            if array.shape != shape or array.dtype != dtype:
                raise ProbeError(
                    f"{name} of a probe of {k} neurons and {outputs} outputs must be {np.dtype(dtype)} of shape "
                    f"{shape}, not {array.dtype} of shape {array.shape}."
                )
            if not np.isfinite(array).all():
                raise ProbeError(f"{name} of the probe has values that are not finite.")
        if (self.kind == "multiclass") != (len(self.classes) > 1) or len(set(self.classes)) != len(self.classes):
            raise ProbeError(f"A {self.kind} probe cannot have the classes {self.classes[:10]}.")
        if not k or self.support.min() < 0 or self.support.max() >= MAX_NEURON or len(np.unique(self.support)) != k:
            raise ProbeError(f"The support of a probe must be distinct neurons from 0 to {MAX_NEURON - 1:,}.")
        if self.scale.min() <= 0 or not 0 < self.temperature < np.inf or not isfinite(self.threshold):
            raise ProbeError("scale and temperature of a probe must be positive, and its threshold finite.")

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

        Raises
        ------
        ProbeError
            When there are fewer columns than the probe needs.
        """
        x = np.asarray(activations)
        if x.shape[-1] <= self.support.max():
            raise ProbeError(
                f"The probe reads neuron {self.support.max()}, and the activations have {x.shape[-1]} columns. Pass "
                f"those of the whole {self.hook_point} of {self.model!r}."
            )
        x = x[..., self.support].astype(np.float64)
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

        With ``link`` sigmoid each output has the probability of one class against all others, and the
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
