"""A study: a named composition of basis, ranking, probe and sparsity levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from probing_datasets.feature_dataset import FeatureKind
from sparse_probing.config import ChosenRanking, ControlName, ProbingConfig, RankingName, ScalingName
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.base.variants import Variant, control_in_basis, the_chosen_basis

Fit = Callable[[ProbingConfig, FeatureData], list[FittedProbe]]
Rankings = tuple[ChosenRanking, ...]


def the_chosen_ranking(config: ProbingConfig) -> Rankings:
    """Return the ranking of ``--heuristic_feature_selection_method``, which :meth:`Study.resolved` has resolved."""
    return (config.search.heuristic_feature_selection_method,)


NO_RANKING: Rankings = ()
"""Rankings of a study that takes all neurons."""

WITHOUT_RANDOM_NEURONS: tuple[ControlName, ...] = ("shuffled_labels", "rotation", "random_init")
"""Controls of a study that takes all neurons, or chooses among them again: random ones would change nothing."""


@dataclass(frozen=True)
class Study:
    """What the tasks of an experiment type do with every feature."""

    fit: Fit
    """Fits the probes of one feature at one layer."""
    rankings: Rankings | Callable[[ProbingConfig], Rankings] = the_chosen_ranking
    """Rankings that it needs, or a function that reads them from the settings. They are computed for all features
    of a layer at once."""
    kind: FeatureKind = "binary"
    """Features that it takes; a multiclass feature becomes one binary feature per class where it takes binary ones."""
    bases: Callable[[ProbingConfig], tuple[Variant, ...]] = the_chosen_basis
    """Bases in which it fits."""
    controls: tuple[ControlName, ...] = get_args(ControlName)
    """Controls that mean something for it; none where it is a baseline itself."""
    tunes: bool = False
    """Whether it chooses C, where ``--regularization`` does not give it."""
    default_ranking: RankingName = "auc"
    """Ranking that ``--heuristic_feature_selection_method auto`` means: the best for few neurons, and that of the
    paper's code in a study with the name of one of its experiment types."""
    default_scaling: Callable[[ProbingConfig], ScalingName] | None = None
    """Scaling of neurons where the settings name none; None: that of all other studies."""
    takes_classes: bool = False
    """Whether a multiclass feature is one problem of a study of binary features, instead of one for each class."""
    n_searches: Callable[[ProbingConfig], int] | None = None
    """Largest number of searches, each limited by ``--osp_timeout``, for one feature in one variant; None: a study
    without searches."""

    @property
    def slow(self) -> bool:
        """Whether one feature can take minutes: a task then keeps its finished rows feature by feature."""
        return self.n_searches is not None

    def rankings_of(self, config: ProbingConfig) -> Rankings:
        """Return the rankings that the study needs with these settings."""
        return self.rankings(self.resolved(config)) if callable(self.rankings) else self.rankings

    def resolved(self, config: ProbingConfig) -> ProbingConfig:
        """Return the settings with the ranking that ``auto`` means for this study, and its default scaling."""
        if self.default_scaling is not None and config.fit.scaling is None and not config.fit.normalize_activations:
            config = config.with_flags(scaling=self.default_scaling(config))
        if config.search.heuristic_feature_selection_method != "auto":
            return config
        return config.with_flags(heuristic_feature_selection_method=self.default_ranking)

    def variants(self, config: ProbingConfig, with_random_init: bool) -> list[Variant]:
        """Return the bases of the study, and then the controls of ``--controls`` that mean something for it.

        Parameters
        ----------
        config : ProbingConfig
        with_random_init : bool
            Whether there are activations of the model with random weights; otherwise that control is omitted.
        """
        controls = [
            control_in_basis(name, config.search.basis)
            for name in config.statistics.controls
            if name in self.controls and (with_random_init or name != "random_init")
        ]
        return [*self.bases(config), *controls]
