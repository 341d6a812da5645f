"""``probing_experiment.py save``: one probe of a run becomes a folder that can be applied, sent and published."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from probing_datasets.foundation.console import show
from probing_datasets.foundation.errors import TaskError


def save_command(
    run: Positional[Path],
    feature: str,
    layer: int,
    to: Path,
    k: int | None = None,
    study: str | None = None,
    probe: str | None = None,
    neuron: int | None = None,
    fold: int | None = None,
    overwrite: bool = False,
) -> None:
    """Save one probe of a run as a folder, with a card that says how it was fitted and how good it is.

    Parameters
    ----------
    run : Path
        Folder of the run, or its CSV, as `runs` prints it.
    feature : str
        Feature of the probe; `feature=class` where the study fitted one binary probe for each class.
    layer : int
        Layer of the probe.
    to : Path
        Folder to write.
    k : int, optional
        Number of neurons. Default: the probe that validation chose, or the best one on training rows.
    study : str, optional
        Experiment type, where the run has several.
    probe : str, optional
        Kind of probe, where a study fits several: optimal_hinge, logistic, multinomial, one_vs_rest.
    neuron : int, optional
        The probe of this single neuron.
    fold : int, optional
        Number of the test fold, from 0, in a run with --test_folds: the probe was fitted to the rows outside it.
        Default: the first.
    overwrite : bool
        Replace a saved probe.
    """
    from sparse_probing.runs.load_results import load_results  # here, so that --help is fast
    from sparse_probing.runs.planning.run_record import find_run
    from sparse_probing.runs.probe_of_run import probe_of_run

    launched = find_run(run.parent if run.is_file() else run)
    if launched is None:
        raise TaskError(f"There is no run in {run}. `probing_experiment.py runs` lists the folders of all runs.")
    rows = load_results(launched, finished_only=True)
    chosen = probe_of_run(launched, rows, feature, layer, k, study, probe, neuron, fold)
    chosen.save(to, overwrite)
    origin = chosen.provenance
    of_fold = "" if origin.test_fold is None else f", test fold {origin.test_fold} of {origin.n_test_folds} (from 0)"
    show(f"{origin.probe} of {len(chosen.support):,} neurons, layer {chosen.layer}{of_fold}, is saved in {to}")
