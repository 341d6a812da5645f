"""Sparse probes as scikit-learn estimators, for use on your own arrays and in scikit-learn's pipelines.

Labels of classifiers may be any two values. :class:`sklearn.multiclass.OneVsRestClassifier` makes
a classifier of several classes from any of them.
"""

from sparse_probing.probes.estimators.classifiers import DenseProbe, L1Probe, SingleNeuronProbe, TopKProbe
from sparse_probing.probes.estimators.regressor import SparseRegressor

__all__ = ["DenseProbe", "L1Probe", "SingleNeuronProbe", "SparseRegressor", "TopKProbe"]
