"""What `probe` returns: the rows of all probes, the best neurons, figures, and probes to apply."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.neurons import ranked_neurons
from sparse_probing.studies.base.result_rows import filled_columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sparse_probing.runs.planning.run_record import Run
    from sparse_probing.saved_probes.saved_probe import SavedProbe


class Result:
    """The probes of a study.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row per probe, with the columns that at least one probe fills;
        `sparse_probing.studies.base.result_rows.COLUMNS` says what each column means.
    run : Run or None
        The run that the rows are from; None for probes of arrays.
    failures : dict
        Features that could not be probed, each with the reason.
    """

    def __init__(self, rows: pd.DataFrame, run: Run | None = None, failures: Mapping[str, str] | None = None) -> None:
        self.rows = filled_columns(rows)
        # Figures and tables of any study may read columns that this one does not fill.
        self._rows = rows
        self.run = run
        self.failures = dict(failures or {})

    @classmethod
    def of_run(cls, run: Run | Path | str, finished_only: bool = False) -> Result:
        """Load the results of a run, or of the folder of one; ``finished_only`` as in `load_results`.

        Raises
        ------
        TaskError
            When the folder holds no run, or a task of it has no intact result.
        """
        from sparse_probing.runs.load_results import load_results
        from sparse_probing.runs.planning.run_record import load_run

        rows = load_results(run, finished_only)
        return cls(rows, load_run(Path(run)) if isinstance(run, str | Path) else run)

    @property
    def path(self) -> Path | None:
        """Folder of the run; None for probes of arrays."""
        return None if self.run is None else self.run.path

    @cached_property
    def studies(self) -> list[str]:
        """Names of the studies."""
        return list(self._rows["study"].unique())

    def ranked_neurons(self) -> pd.DataFrame:
        """Return the probes of single neurons, ranked within each feature by their scores on training rows.

        The columns are those of the CSVs in ``interpretable_neurons/``; ``found`` says whether the test rows are
        evidence for the neuron. A study that fits no probe of a single neuron gives an empty table.
        """
        return ranked_neurons.ranked_neurons(self._rows)

    def best_neurons(self, by: tuple[str, ...] = ("feature",)) -> pd.DataFrame:
        """Return the first-ranked neuron of every feature, or of every feature and layer.

        Parameters
        ----------
        by : tuple of str
            ``("feature",)`` or ``("feature", "layer")``.
        """
        return ranked_neurons.best_neurons(self._rows, by)

    def selectivity(self, score: str = "test_f1_score") -> pd.DataFrame:
        """Return how much better each probe is than the same probe on a control.

        Parameters
        ----------
        score : str
            The column that is compared.
        """
        from sparse_probing.reporting.selectivity import selectivity

        return selectivity(self._rows, score)

    def plot_f1_over_k(self) -> Figure:
        """Draw the F1 on held-out groups over the number of neurons, a panel per feature and a line per layer."""
        from sparse_probing.reporting.figures.f1_over_k import f1_over_k  # here: it imports matplotlib

        return f1_over_k(self._rows[self._rows["control"] == ""] if self._n_controls() > 1 else self._rows)

    def saved_probe(
        self,
        feature: str,
        layer: int,
        k: int | None = None,
        study: str | None = None,
        probe: str | None = None,
        neuron: int | None = None,
        fold: int | None = None,
    ) -> SavedProbe:
        """Return a probe of one feature and layer, to save and to apply to new texts.

        Parameters
        ----------
        feature : str
            Of a multiclass feature, ``feature=class`` where the study fits binary probes.
        layer : int
        k : int, optional
            Number of neurons. Default: the probe that validation chose, where the study chooses one; otherwise
            the one with the best F1, macro F1 or R2 on training rows.
        study : str, optional
            Experiment type, where the run has several.
        probe : str, optional
            Kind of probe, where a study fits several, such as ``multinomial`` and ``one_vs_rest``.
        neuron : int, optional
            The probe of this single neuron.
        fold : int, optional
            Number of the test fold, from 0, where there are several: the probe was fitted to the rows outside it.
            Default: the first.

        Raises
        ------
        ProbeError
            When the rows are of arrays, or there is no such probe; the message lists those that exist.
        """
        from sparse_probing.runs.probe_of_run import probe_of_run  # here: it opens data set and tokenizer

        if self.run is None:
            raise ProbeError("Probes of arrays belong to no model. Probe a store to apply its probes to texts.")
        return probe_of_run(self.run, self._rows, feature, layer, k, study, probe, neuron, fold)

    def _n_controls(self) -> int:
        return self._rows.loc[self._rows["control"] != "", "control"].nunique()

    def __len__(self) -> int:
        """Return the number of probes."""
        return len(self._rows)

    def __repr__(self) -> str:
        """Return studies, features, layers and the folder."""
        features = self._rows["feature"].unique()
        names = ", ".join(map(str, features[:5])) + (", ..." if len(features) > 5 else "")
        layers = ", ".join(map(str, sorted(self._rows["layer"].unique())))
        where = f", in {self.path}" if self.path is not None else ""
        return (
            f"Result({len(self._rows):,} probes of {', '.join(self.studies)}; {len(features)} features ({names}); "
            f"layers {layers}{where})"
        )

    def _repr_html_(self) -> str:
        """Return the best neurons, or the best probe of every feature, as an HTML table."""
        best = self.best_neurons()
        if best.empty:
            score = next(s for s in ("test_f1_score", "test_macro_f1_score", "test_r2") if self._rows[s].notna().any())
            plain = self._rows[(self._rows["control"] == "") & ~self._rows["chosen"].isin([False])]
            order = plain.sort_values(score.replace("test_", "train_"), ascending=False, kind="stable")
            best = order.groupby("feature", sort=True).head(1).sort_values("feature")
            shown = best[["feature", "layer", "probe", "k", score, "n_test"]]
        else:
            names = ["feature", "layer", "neuron", "found", "test_roc_auc", "test_f1_score"]
            shown = best[[*names, "always_yes_f1_score", "control_f1_score", "n_as_good", "n_test", "n_positive_test"]]
        return shown.replace({np.nan: None}).to_html(index=False, escape=True, float_format="{:.3f}".format)


def load_result(run: Path | str, finished_only: bool = False) -> Result:
    """Load the results of a run from its folder; ``finished_only`` as in `load_results`."""
    return Result.of_run(run, finished_only)
