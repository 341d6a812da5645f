"""Text per second and core, and peak memory: of making each collection of running text, of each format (Linux).

Every data set is built, and every table read, in a new process. The time is CPU time of all threads, from reading the
source to the finished data set or the last row; the import of modules is not counted. The peak is the kernel's
high-water mark minus the memory of the modules.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset  # here, so that its memory is not counted
import pyarrow.feather
import pyarrow.parquet as pq
import tyro

from benchmarks._memory import resident_memory
from benchmarks._report import print_table, seconds
from probing_datasets.describe import sharing
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.make import COLLECTIONS
from probing_datasets.make_config import MakeConfig
from probing_datasets.sources.read_source import read_source
from probing_datasets.sources.text_rows import SourceColumns, TextRow

COLLECTIONS_OF_RUNNING_TEXT = (
    "text_features",
    "has_prefix",
    "has_suffix",
    "natural_lang_id",
    "distribution_id",
    "pile_test",
    "position",
    "containment",
    "compound_words",
    "neuron_stimulus",
    "next_token",
)
SHORT_CONTEXTS = ("compound_words", "neuron_stimulus", "next_token")
PARTICULAR: dict[str, dict[str, Any]] = {"neuron_stimulus": {"stimuli": ("of| the", "in| the")}}


@dataclass(frozen=True)
class MakingConfig:
    """Collections to make, and their source."""

    source: str = "demo"
    """A table of running text; `demo`: the bundled texts."""
    group_column: str = "group"
    """Its column of groups; the groups belong to three sub-corpora, which are the labels, one after another."""
    collections: tuple[str, ...] = COLLECTIONS_OF_RUNNING_TEXT
    n_sequences: int = 10_000
    context_length: int = 512
    """Of collections that do not have short contexts."""
    copies: tuple[int, ...] = (1, 4, 16)
    """Sizes of the source whose peak memory is compared."""
    num_proc: int = 1


def compare(config: MakingConfig) -> list[dict[str, object]]:
    """Make every collection; return the rows of the table."""
    unknown = set(config.collections) - set(COLLECTIONS)
    if unknown:
        raise SettingsError(
            f"There is no collection {', '.join(sorted(unknown))}; there are: {', '.join(COLLECTIONS)}."
        )
    with tempfile.TemporaryDirectory() as folder:
        source = write_source(config, Path(folder), copies=1)
        return [measure(config, collection, source, Path(folder)) for collection in config.collections]


def compare_memory(config: MakingConfig) -> list[dict[str, object]]:
    """Make the first collection from growing sources, with equally many texts; return the rows of the table."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for copies in config.copies:
            source = write_source(config, Path(folder), copies)
            row = measure(config, config.collections[0], source, Path(folder), texts_per_label=1000)
            size = f"{sum(_sizes(source)) / 1e6:.1f}"
            rows.append({"collection": row["collection"], "source, MB of text": size, "peak, MB": row["peak, MB"]})
    return rows


def compare_formats(config: MakingConfig) -> list[dict[str, object]]:
    """Read the largest source in each format; return the rows of the table."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        for path in write_formats(write_source(config, Path(folder), config.copies[-1])):
            resident = resident_memory(timed_read, path, report)
            measured = json.loads(report.read_text())
            size = path.stat().st_size / 1e6
            rows.append(
                {
                    "format": path.suffix,
                    "file, MB": f"{size:.1f}",
                    "rows": f"{measured['rows']:,}",
                    "CPU, s": f"{measured['cpu']:.1f}",
                    "MB / CPU s": f"{size / measured['cpu']:.1f}",
                    "peak, MB": f"{resident.increase / 1e6:.1f}",
                }
            )
    return rows


def write_formats(source: Path) -> list[Path]:
    """Write a Parquet table in other formats; return the paths of all."""
    records = pq.read_table(source).to_pylist()
    with source.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    source.with_suffix(".jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    source.with_suffix(".json").write_text(json.dumps(records))
    pyarrow.feather.write_feather(pa.Table.from_pylist(records), source.with_suffix(".feather"))
    return [source.with_suffix(suffix) for suffix in (".csv", ".jsonl", ".json", ".parquet", ".feather")]


def timed_read(source: Path, report: Path) -> None:
    """Read a table and write the time and the number of its rows to a report."""
    counts: list[int] = []
    took = seconds(lambda: counts.append(sum(1 for _ in read_source(str(source), "labelled_text", SourceColumns()))))
    report.write_text(json.dumps({"cpu": took.cpu, "rows": counts[0]}))


def write_source(config: MakingConfig, folder: Path, copies: int) -> Path:
    """Write the texts as a table, several times over, and with three labels."""
    columns = SourceColumns(group=config.group_column, label="")
    rows = list(read_source(config.source, "natural_lang_id", columns))
    path = folder / f"source{copies}.parquet"
    groups = {group: str(number % 3) for number, group in enumerate(dict.fromkeys(row.group for row in rows))}
    table = pa.Table.from_pylist(list(map(partial(_record, groups), rows)))
    with pq.ParquetWriter(path, table.schema) as writer:
        for _ in range(copies):
            writer.write_table(table, row_group_size=500)
    return path


def _record(groups: dict[str, str], row: TextRow) -> dict[str, str]:
    return {"text": row.text, "group": row.group, "label": groups[row.group]}


def measure(
    config: MakingConfig, collection: str, source: Path, folder: Path, texts_per_label: int = 100_000
) -> dict[str, object]:
    """Make one collection in a new process."""
    options = {} if collection in SHORT_CONTEXTS else {"context_length": config.context_length}
    settings = COLLECTIONS[collection].config(
        collection,  # type: ignore[arg-type]
        source=str(source),
        label_column="label",
        n_sequences=config.n_sequences,
        texts_per_label=texts_per_label,
        sequences_per_text=100_000,
        num_proc=config.num_proc,
        **options,
        **PARTICULAR.get(collection, {}),
    )
    report = folder / "report.json"
    resident = resident_memory(timed_build, settings, report)
    measured = json.loads(report.read_text())
    megabytes = sum(_sizes(source)) / 1e6
    return {
        "collection": collection,
        "text, MB": f"{megabytes:.1f}",
        "sequences": f"{measured['sequences']:,}",
        "features": measured["features"],
        "labels": f"{measured['labels']:,}",
        "CPU, s": f"{measured['cpu']:.1f}",
        "MB / CPU s": f"{megabytes / measured['cpu']:.2f}",
        "peak, MB": f"{resident.increase / 1e6:.0f}",
        "saved by sharing": measured["saved"],
    }


def timed_build(config: MakeConfig, report: Path) -> None:
    """Build a data set and write its time and its sizes to a report."""
    built: list[FeatureDataset] = []
    took = seconds(lambda: built.append(COLLECTIONS[config.collection].build(config)))
    (dataset,) = built
    numbers = {
        "cpu": took.cpu,
        "sequences": dataset.description.n_sequences,
        "features": len(dataset.features),
        "labels": len(dataset.probes),
        "saved": sharing(dataset).split(" save ")[1].split(" ")[0],
    }
    report.write_text(json.dumps(numbers))


def _sizes(source: Path) -> Iterator[int]:
    for batch in pq.ParquetFile(source).iter_batches(columns=["text"]):
        yield from (len(text.encode()) for text in batch.column("text").to_pylist())


if __name__ == "__main__":
    settings = tyro.cli(MakingConfig, description=__doc__)
    print_table(compare(settings))
    print_table(compare_memory(settings))
    print_table(compare_formats(settings))
