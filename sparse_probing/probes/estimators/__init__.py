"""Sparse probes as scikit-learn estimators: the fits of :mod:`sparse_probing.probes`, for use alone.

Labels of classifiers may be of any two classes; :class:`sklearn.multiclass.OneVsRestClassifier`
makes of each a classifier of many.
"""

from sparse_probing.probes.estimators.classifiers import DenseProbe, L1Probe, SingleNeuronProbe, TopKProbe
from sparse_probing.probes.estimators.regressor import SparseRegressor

__all__ = ["DenseProbe", "L1Probe", "SingleNeuronProbe", "SparseRegressor", "TopKProbe"]
