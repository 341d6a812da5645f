"""Settings of a fit: what scaling and C mean together."""

from __future__ import annotations

import pytest

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config import ProbingConfig


@pytest.mark.parametrize(
    ("flags", "scaling"),
    [
        ({}, "rms"),
        ({"normalize_activations": True}, "paper"),
        ({"scaling": "paper"}, "paper"),
        ({"scaling": "paper", "normalize_activations": True}, "paper"),
        ({"scaling": "none"}, "none"),
    ],
)
def test_the_flag_of_the_paper_is_a_scaling(flags, scaling):
    config = ProbingConfig.from_flags(**flags)
    assert config.fit.scaling_of_neurons == scaling
    assert ProbingConfig.from_record(config.record()).fit.scaling_of_neurons == scaling


@pytest.mark.parametrize("scaling", ["rms", "unit", "none"])
def test_contradictory_scalings_are_refused(scaling):
    with pytest.raises(
        SettingsError, match=f"--normalize_activations means --scaling paper, and --scaling is {scaling}"
    ):
        ProbingConfig.from_flags(scaling=scaling, normalize_activations=True)


def test_c_is_chosen_or_given_and_never_both():
    assert ProbingConfig().fit.regularization is None
    assert ProbingConfig().fit.C == 1
    assert ProbingConfig.from_flags(regularization=0.3).fit.C == 0.3
    with pytest.raises(SettingsError, match="Pass one of them"):
        ProbingConfig.from_flags(regularization=1.0, regularization_grid=(1.0, 2.0))
    with pytest.raises(SettingsError, match="positive and finite"):
        ProbingConfig.from_flags(regularization_grid=(0.0,))
