"""What probes predict from the scores of a text: the class, and where the scores are log odds its probability."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_matrices import score_names


def probe_names(probes: Sequence[ProbeData]) -> list[str]:
    """Return the name of each probe: that of its score, without the class."""
    names = iter(score_names(probes))
    of_probes = [[next(names) for _ in probe.intercept] for probe in probes]
    return [
        of[0].replace(f"={probe.classes[0]}", "", 1) if probe.classes else of[0]
        for probe, of in zip(probes, of_probes, strict=True)
    ]


def predicted_classes(probes: Sequence[ProbeData], scores: NDArray[np.float64]) -> dict[str, list[str | None]]:
    """Return the class with the largest score of each text, for every probe of several classes, by its name.

    Parameters
    ----------
    probes : sequence of ProbeData
    scores : (n, outputs) float64
        Scores of texts by all probes, in their order; the class is None where they are NaN.
    """
    classes: dict[str, list[str | None]] = {}
    for probe, name, of_probe in _each(probes, scores):
        if probe.kind == "multiclass":
            classes[name] = [None if np.isnan(of).any() else probe.classes[int(of.argmax())] for of in of_probe]
    return classes


def predictions_in_words(probes: Sequence[ProbeData], scores: NDArray[np.float64]) -> list[str]:
    """Return a line about each probe that scored a text; ``scores`` is (outputs,)."""
    lines = []
    for probe, name, (of_probe,) in _each(probes, scores[None]):
        if np.isnan(of_probe).any():
            continue
        if probe.kind == "multiclass":
            best = int(of_probe.argmax())
            prediction = probe.classes[best]
        else:
            best = 0
            prediction = f"{of_probe[0]:.4g}"
        if probe.kind == "binary":
            side = "above" if of_probe[0] > probe.threshold else "not above"
            prediction += f", {side} its threshold {probe.threshold:.4g}"
        if probe.link != "none":
            prediction += f" (probability {probe.probabilities(of_probe)[best]:.3f})"
        lines.append(f"{name}: {prediction}")
    return lines


def _each(
    probes: Sequence[ProbeData], scores: NDArray[np.float64]
) -> Iterator[tuple[ProbeData, str, NDArray[np.float64]]]:
    ends = np.cumsum([len(probe.intercept) for probe in probes])[:-1]
    return zip(probes, probe_names(probes), np.split(scores, ends, axis=1), strict=True)
