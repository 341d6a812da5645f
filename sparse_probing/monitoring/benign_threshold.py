"""Set the threshold of a probe on a file of benign texts, at a rate of false alarms."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Set
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from probing_datasets.feature_dataset.text_hashes import token_hash
from probing_datasets.foundation.errors import ProbeError
from sparse_probing.config.monitoring import ScorePooling
from sparse_probing.models import LanguageModel
from sparse_probing.monitoring.score_pooling import pool_texts
from sparse_probing.monitoring.text_source import read_texts
from sparse_probing.probes.metrics.monitor_metrics import resolution_note, threshold_at
from sparse_probing.saved_probes.right_model import model_of
from sparse_probing.saved_probes.saved_probe import SavedProbe
from sparse_probing.saved_probes.text_scorer import TextScorer, aggregation_of

logger = logging.getLogger(__name__)

TEXTS_AT_ONCE = 1024


@dataclass(frozen=True)
class BenignTexts:
    """Texts that must not raise an alarm, and the rate at which they may."""

    path: Path
    """A table, or a ``.txt`` file."""
    text_column: str = "text"
    false_positive_rate: float = 0.01
    pooling: ScorePooling | None = None
    """How the scores of tokens become that of a text; only of a probe that was trained on tokens."""


def probe_with_benign_threshold(
    probe: SavedProbe, benign: BenignTexts, known: Set[bytes] = frozenset(), model: LanguageModel | None = None
) -> SavedProbe:
    """Return a probe with the lowest threshold that at most a share of benign texts is above.

    Parameters
    ----------
    probe : SavedProbe
        Of two classes.
    benign : BenignTexts
    known : set of bytes
        Hashes of the texts of the probe's data set (`probing_datasets.feature_dataset.text_hashes`). They are left out:
        the probe was trained on a part of them, and its metrics are of another part.
    model : LanguageModel, optional
        A loaded model; by default it is loaded by its name.

    Returns
    -------
    SavedProbe
        Its ``threshold_origin`` names the file and the rate, and how many texts were left out.

    Raises
    ------
    ProbeError
        When the probe has no threshold, the pooling does not fit it, the rate is not between 0 and 1, or no text is
        left.
    SourceError
        When the texts cannot be read.
    ModelError
        When the model is not that of the probe.
    """
    check_benign_texts(probe, benign)
    texts = (text.text for text in read_texts(benign.path, benign.text_column))
    scorer = TextScorer(model_of([probe], model), [probe], per_token=benign.pooling is not None)
    scores: list[float] = []
    n_known = n_without = 0
    for part in _parts(texts):
        for each in scorer.score(part):
            if not len(each.prompt.ids):
                n_without += 1
            elif token_hash([*probe.prefix, *each.prompt.ids, *probe.suffix]) in known:
                n_known += 1
            elif benign.pooling is None:
                scores.append(float(each.scores[0]))
            else:
                kept = slice(None) if each.prompt.is_pooled is None else each.prompt.is_pooled
                scores.append(float(pool_texts([each.token_scores[kept, 0]], benign.pooling)[0]))
    left_out = ((n_known, "in the data set of the probe"), (n_without, "without a score"))
    notes = [f"left out: {n:,} {'text' if n == 1 else 'texts'} {why}" for n, why in left_out if n]
    if not scores:
        raise ProbeError(f"{benign.path} has no benign text to set a threshold on ({', '.join(notes) or 'no texts'}).")
    pooling = benign.pooling or ""
    threshold = threshold_at(np.array(scores), benign.false_positive_rate, benign.path.name, pooling)
    for note in notes:
        logger.warning("%s: %s.", benign.path.name, note)
    if not threshold.is_resolved:
        n, rate = threshold.n_benign, benign.false_positive_rate
        logger.warning("%s: %s.", benign.path.name, resolution_note(n, rate) or "a rate of 0 lets none raise an alarm")
    return probe.with_threshold(threshold.value, "; ".join([threshold.origin, *notes]))


def check_benign_texts(probe: SavedProbe, benign: BenignTexts) -> None:
    """Raise ProbeError where a probe has no threshold, or its texts are not scored by this pooling.

    ``predict`` compares a threshold with the score of a text; it must be one of the same kind.

    Raises
    ------
    ProbeError
        Also when the rate is not between 0 and 1.
    SourceError
        When the file does not exist, or has no such column.
    """
    if probe.kind != "binary":
        raise ProbeError(
            f"The probe of {probe.feature!r} is {probe.kind}: only probes of two classes have a threshold."
        )
    if not 0 <= benign.false_positive_rate < 1:
        raise ProbeError(
            f"A false positive rate is at least 0 and below 1, not {benign.false_positive_rate}. One percent is 0.01."
        )
    read_texts(benign.path, benign.text_column)
    of_tokens = aggregation_of(probe) == "none"
    if of_tokens and benign.pooling is None:
        raise ProbeError(
            f"The probe of {probe.feature!r} was trained on tokens. Say how their scores are pooled, such as "
            "--pooling max; the threshold belongs to that pooling."
        )
    if not of_tokens and benign.pooling is not None:
        raise ProbeError(
            f"The probe of {probe.feature!r} scores a text by the {aggregation_of(probe)} of its activations, and its "
            "threshold is one of that score. Leave out --pooling, or save a probe that was trained on tokens."
        )


def _parts(texts: Iterator[str]) -> Iterator[list[str]]:
    while part := list(islice(texts, TEXTS_AT_ONCE)):
        yield part
