"""The variants in which a study is fitted: the plain one, other bases of the layer, and controls."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sparse_probing.config import BasisName, ControlName, ProbingConfig, RankingName


@dataclass(frozen=True)
class Variant:
    """One way to fit a study to a feature; the default is the plain one."""

    control: ControlName | None = None
    basis: BasisName = "neurons"
    trial: int = 0
    """Number of the random basis."""
    shuffle_labels: bool = False
    ranking: RankingName | None = None
    """Replaces every ranking."""
    random_init: bool = False
    """Use the activations of the same model with random weights."""


NEURONS = Variant()

CONTROLS: dict[ControlName, Variant] = {
    "shuffled_labels": Variant("shuffled_labels", shuffle_labels=True),
    "random_neurons": Variant("random_neurons", ranking="random"),
    "rotation": Variant("rotation", basis="rotation"),
    "random_init": Variant("random_init", random_init=True),
}
"""Controls by the value of ``--controls``."""


def control_in_basis(name: ControlName, basis: BasisName) -> Variant:
    """Return a control for probes in a basis: it changes one thing, and keeps the basis unless it changes that."""
    control = CONTROLS[name]
    return control if control.basis != "neurons" else replace(control, basis=basis)


def the_chosen_basis(config: ProbingConfig) -> tuple[Variant, ...]:
    """Return the basis of ``--basis``."""
    return (Variant(basis=config.search.basis),)


def projections(config: ProbingConfig) -> tuple[Variant, ...]:
    """Return the layer in ``n_trials`` sets of random Gaussian directions, as many as it has neurons."""
    return tuple(Variant(basis="projection", trial=trial) for trial in range(config.statistics.n_trials))


def only_neurons(config: ProbingConfig) -> tuple[Variant, ...]:  # noqa: ARG001
    """Return the neurons themselves, for a study that draws its own random directions."""
    return (NEURONS,)
