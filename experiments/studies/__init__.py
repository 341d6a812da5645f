"""Experiment types: each is one file that composes a ranking, probes and sparsity levels."""

from collections.abc import Callable

import numpy as np

from experiments.config import ProbingConfig
from experiments.results import FittedProbe
from experiments.studies import dense_probe, enumerate_monosemantic, heuristic_sparsity_sweep
from experiments.studies.data import SplitData

Study = Callable[[ProbingConfig, SplitData, np.random.Generator], list[FittedProbe]]

STUDIES: dict[str, Study] = {
    "enumerate_monosemantic": enumerate_monosemantic.fit,
    "heuristic_sparsity_sweep": heuristic_sparsity_sweep.fit,
    "dense_probe": dense_probe.fit,
}
"""Studies by the value of ``--experiment_type``."""
