"""Properties of people, probed on the tokens of their names."""

from probing_datasets.collections.wikidata.collection import WikidataConfig, build

__all__ = ["WikidataConfig", "build"]
