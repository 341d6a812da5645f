"""Part of speech, dependency relation and morphology of words, from any treebank of Universal Dependencies."""

from probing_datasets.ewt.collection import EwtConfig, build

__all__ = ["EwtConfig", "build"]
