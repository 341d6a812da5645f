"""The data of a trained linear probe of one hook point: what is needed to trust it, and to apply it elsewhere.

The annotations of `ProbeMetadata` decide what a file may say: a probe can come from another person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from probing_datasets.collections.emotional_state.chat_prompts import PLACEHOLDER, ProbedTokens
from probing_datasets.feature_dataset import FeatureKind
from probing_datasets.foundation.errors import ProbeError
from sparse_probing.config import ModelDtype

Link = Literal["sigmoid", "softmax", "none"]
TrainedPoolingKind = Literal["attention", "multimax"]
ProbePooling = Literal["none", "mean", "max", "last", "attention", "multimax"]
TextPart = Literal["beginning", "end"]

MAX_NEURON = 2**31
MODEL_NAME = r"^[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?\Z"
"""A hub id, an alias or demo: no path of this machine."""

Text = Annotated[str, Meta(max_length=100_000)]
Name = Annotated[str, Meta(min_length=1, max_length=1_000)]
Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{0,128}\Z")]
Count = Annotated[int, Meta(ge=0, lt=2**53)]
TokenId = Annotated[int, Meta(ge=0, lt=MAX_NEURON)]
Frame = Annotated[tuple[TokenId, ...], Meta(max_length=1_000)]


def is_text(text: str) -> bool:
    """Whether a string can be written as UTF-8; a half of a surrogate pair, which JSON can spell, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
    """Which tokens of the prompt are probed; those of one side are also the ones that are aggregated."""

    def __post_init__(self) -> None:
        """Raise ProbeError for a template without a place for the message: all messages would be one prompt."""
        if self.template and PLACEHOLDER not in self.template:
            raise ProbeError(f"The template of a chat must contain {PLACEHOLDER}, and {self.template[:50]!r} does not.")


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
    test_fold: Count | None = None
    """Number of the test fold that measured the probe; None where the run had one test set."""
    n_test_folds: Count = 0
    """Test folds of the run; 0 where it had one test set."""
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
    aggregation: ProbePooling
    """How the activations of the tokens of a text become one vector; none: the probe was trained on tokens; attention
    and multimax: the pooling was trained with the probe (`ProbeData`)."""
    prefix: Frame
    """Ids of the special tokens before every text."""
    suffix: Frame
    """Ids of the special tokens behind every text."""
    context_length: Annotated[int, Meta(ge=1, lt=2**31)]
    """Longest sequence of the training data, in tokens, special ones counted; longer texts are cut."""
    link: Link
    """From scores to probabilities: sigmoid of each, softmax of all, or none where a score is not log odds."""
    threshold: float
    """A binary probe predicts the feature where the score is above it."""
    threshold_origin: Text
    """How the threshold was set, in words."""
    provenance: ProbeOrigin
    kept: TextPart = "beginning"
    """Which part of a text that is longer than the context is scored, as in the training data."""
    chat: ChatPrompt | None = None
    """How messages become prompts, where the probe was trained on chats."""
    model_is_folder: bool = False
    """Whether ``model`` is only the last part of the name of a local folder: no file chooses a path on this machine,
    so the model must be passed."""
