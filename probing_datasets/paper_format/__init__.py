"""Data sets that the paper's authors published, in the format of their code."""

from probing_datasets.paper_format.importing import ImportConfig, import_dataset

__all__ = ["ImportConfig", "import_dataset"]
