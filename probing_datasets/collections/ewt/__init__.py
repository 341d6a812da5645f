"""Part of speech, dependency relation and morphology of words, from any treebank of Universal Dependencies."""

from probing_datasets.collections.ewt.collection import EwtConfig, build

__all__ = ["EwtConfig", "build"]
