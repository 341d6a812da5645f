"""``probing_experiment.py save``: one probe of a run becomes a folder that can be applied, sent and published."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from probing_datasets.foundation.console import show
from probing_datasets.foundation.errors import SettingsError, TaskError
from sparse_probing.config.monitoring import ScorePooling


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
    benign_texts: Path | None = None,
    text_column: str = "text",
    false_positive_rate: float = 0.01,
    pooling: ScorePooling | None = None,
    model: str | None = None,
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
    benign_texts : Path, optional
        A table or .txt file of texts that must not raise an alarm: sets the threshold of a probe of two classes. Texts
        of the data set of the run are left out. Default: the threshold is 0.
    text_column : str
        Column of --benign_texts.
    false_positive_rate : float
        Share of --benign_texts that may be above the threshold.
    pooling : ScorePooling, optional
        How the scores of the tokens of --benign_texts are pooled, where the probe was trained on tokens.
    model : str, optional
        Folder or name of the model that scores --benign_texts. Default: the name in the run.
    overwrite : bool
        Replace a saved probe.
    """
    of_benign = {
        "--text_column": text_column != "text",
        "--false_positive_rate": false_positive_rate != 0.01,
        "--pooling": pooling,
        "--model": model,
    }
    if benign_texts is None and (unused := [flag for flag, value in of_benign.items() if value]):
        raise SettingsError(f"{', '.join(unused)} without --benign_texts set no threshold. Name a file of texts.")
    if benign_texts is not None and not benign_texts.is_file():
        raise SettingsError(f"There is no file {benign_texts}. Check --benign_texts.")

    from sparse_probing.runs.load_results import load_results  # here, so that --help is fast
    from sparse_probing.runs.planning.run_record import find_run
    from sparse_probing.runs.probe_of_run import probe_of_run

    launched = find_run(run.parent if run.is_file() else run)
    if launched is None:
        raise TaskError(f"There is no run in {run}. `probing_experiment.py runs` lists the folders of all runs.")
    rows = load_results(launched, finished_only=True)
    chosen = probe_of_run(launched, rows, feature, layer, k, study, probe, neuron, fold)
    if benign_texts is not None:
        from probing_datasets.feature_dataset import load_feature_dataset
        from probing_datasets.feature_dataset.text_hashes import text_hashes
        from sparse_probing.monitoring.benign_threshold import (
            BenignTexts,
            check_benign_texts,
            probe_with_benign_threshold,
        )
        from sparse_probing.saved_probes.probe_file import check_probe_folder
        from sparse_probing.saved_probes.right_model import load_model_of

        benign = BenignTexts(benign_texts, text_column, false_positive_rate, pooling)
        check_benign_texts(chosen, benign)  # before the model is loaded
        check_probe_folder(to, overwrite)
        activations = launched.config.activations
        known = set(text_hashes(load_feature_dataset(activations.feature_dataset, activations.feature_dataset_dir)))
        chosen = probe_with_benign_threshold(chosen, benign, known, load_model_of(chosen, model))
    chosen.save(to, overwrite)
    origin = chosen.provenance
    of_fold = "" if origin.test_fold is None else f", test fold {origin.test_fold} of {origin.n_test_folds} (from 0)"
    show(f"{origin.probe} of {len(chosen.support):,} neurons, layer {chosen.layer}{of_fold}, is saved in {to}")
    if benign_texts is not None:
        show(f"threshold {chosen.threshold:.6g}: {chosen.threshold_origin}")
