"""Train probes while a model runs, at any number of places, for any number of label sets: nothing is stored."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SettingsError, TaskError
from probing_datasets.foundation.spreadsheet_cells import csv_bytes
from sparse_probing.activations.harvest import evaluation_mode, settings_of_call
from sparse_probing.activations.model_pass.forward_pass import torch_threads
from sparse_probing.activations.tables.result_folder import (
    claim_folder,
    complete_folder,
    create_or_resume_folder,
    is_complete,
    recorded_files,
)
from sparse_probing.config import OnlineConfig
from sparse_probing.models import LoadedModel, wrap_model
from sparse_probing.online.checkpoints import FOLDER, FitCheckpoints, RowCheckpoints, one_process
from sparse_probing.online.fit_rows import RowFits
from sparse_probing.online.learners.rows import KeptRows
from sparse_probing.online.metrics import metrics_frame, with_places
from sparse_probing.online.online_run import METRICS, ROWS, OnlineRun
from sparse_probing.online.pass_over_texts import blocks_of, rows_of_batches, text_batches
from sparse_probing.online.prepare import PreparedOnline, prepare_online
from sparse_probing.online.streaming.train_stream import score_stream, train_stream
from sparse_probing.probes.inputs.one_thread import one_thread
from sparse_probing.studies.base.result_rows import read_rows, write_rows

logger = logging.getLogger(__name__)


def train_online(
    dataset: OnlineConfig | FeatureDataset | str | Path,
    model: str | LoadedModel | None = None,
    *,
    tokenizer: PreTrainedTokenizerFast | None = None,
    name: str | None = None,
    **settings: Any,
) -> OnlineRun:
    """Train probes while a model runs over a feature data set; no activations are stored.

    Parameters
    ----------
    dataset : FeatureDataset or str or Path or OnlineConfig
        A feature data set, its name below FEATURE_DATASET_DIR, or its folder. An OnlineConfig holds all settings; it
        takes no further arguments.
    model : str or LanguageModel or transformers.PreTrainedModel or TransformerBridge, optional
        Name of a model (``demo`` by default), or a loaded model, whose device and precision are kept.
    tokenizer : transformers.PreTrainedTokenizerFast, optional
        Tokenizer of a loaded model. Default: the one beside its ``name_or_path``.
    name : str, optional
        Name of a loaded model in the path of the results. Default: its ``name_or_path``.
    **settings
        Flags of ``get_activations.py --experiment_type online_probes`` by name: ``probe_location``, ``layers``,
        ``pooling=("mean", "last")``, ``regularization=1``, ``controls=()``, ...

    Returns
    -------
    OnlineRun
        ``run.metrics`` has a row for every probe, and ``run["blocks.2.mlp.hook_post", "mean", "German"]`` is one of
        them. A run that exists is read, not trained again.

    Raises
    ------
    SettingsError
        When a setting does not exist, contradicts another one, or the rows do not fit into ``memory``.
    DatasetError, ModelError
        When the data set, the model or a place does not exist, or they do not fit.
    ActivationError
        When an activation is NaN or infinite; the message says at which place, and of which text.
    TaskError
        When no label set could be probed, or other processes of ``world_size`` have not finished their texts.

    Examples
    --------
    ::

        run = sp.train_online("natural_lang_id.demo.256.-1", "demo", pooling=("mean", "last"), controls=())
        run.metrics.sort_values("accuracy")
        run["blocks.2.mlp.hook_post", "mean", "German"].predict(["Guten Tag"])
    """
    if isinstance(dataset, OnlineConfig):
        if settings or (model, tokenizer, name) != (None, None, None):
            raise SettingsError("An OnlineConfig holds all settings. Change them with .with_flags(...).")
        prepared = prepare_online(dataset)
        return _finished(prepared)
    loaded = None if model is None or isinstance(model, str) else wrap_model(model, tokenizer, name)
    if loaded is None and (tokenizer, name) != (None, None):
        raise SettingsError("tokenizer and name are for a loaded model; a model by name has its own.")
    named = model if isinstance(model, str) else loaded
    config = OnlineConfig.from_flags(**settings_of_call(dataset, named, settings))
    in_memory = dataset if isinstance(dataset, FeatureDataset) else None
    with evaluation_mode(loaded):
        return _finished(prepare_online(config, model=loaded, dataset=in_memory))


def run_online(prepared: PreparedOnline) -> bool:
    """Train the probes of a run, or what is missing of them; return whether all are trained.

    The numbers do not depend on interruptions; nor, with the learner ``rows``, on the number of processes.
    """
    config, folder, plan = prepared.config, prepared.folder, prepared.plan
    with torch_threads(config.forward_pass.n_threads), claim_folder(folder, plan, config.share):
        # 1. The folder of the run: one of the same settings is resumed, and a finished one is checked.
        create_or_resume_folder(folder, plan, overwrite=False, resume=False)
        if is_complete(folder):
            shutil.rmtree(folder / FOLDER, ignore_errors=True)  # an interruption may have left it
            return True
        if config.learner != "rows":
            trained = train_stream(prepared)
            with one_process(folder):
                # The last of several processes has the sums of all others in their saved states.
                results = None if is_complete(folder) else score_stream(trained)
                if results is not None:
                    _publish(prepared, *results)
                return is_complete(folder)
        fitted = FitCheckpoints(prepared)
        missing = prepared.places[fitted.n_places :]

        # 2. One pass over the texts that no process has read yet. The rows of every place stay in memory.
        kept = KeptRows(missing, prepared.n_rows)
        blocks = blocks_of(prepared.sequences)
        checkpoints = RowCheckpoints(prepared, blocks)
        own = set(config.share.of(range(len(blocks)))) if missing else set()
        alone = config.share.world_size == 1
        done = (checkpoints.restore(kept) if alone else checkpoints.saved_blocks(missing)) if own else set()
        _read_texts(prepared, kept, sorted(own - done), blocks, checkpoints)

        with one_thread(), one_process(folder):
            # 3. The last of several processes has the rows of all others in their saved parts.
            if is_complete(folder):
                return True
            if not alone and missing:
                checkpoints.save(kept)
                if checkpoints.restore(kept) < set(range(len(blocks))):
                    return False

            # 4. The studies of stage 2, place by place. Its rows are not needed after that.
            fits = RowFits(prepared)
            for place in tqdm(missing, unit=" places", desc="fit", disable=None):
                rows, failures = fits.fit(place, kept.release(place))
                fitted.add(rows, {f"{place}, {name}": why for name, why in failures.items()})

            # 5. The result rows and measures; then the description, which marks the run as finished.
            _publish(prepared, fitted.rows, fits.failures | fitted.failures)
    return True


def _publish(prepared: PreparedOnline, rows: list[dict[str, Any]], failures: dict[str, str]) -> None:
    """Write the result rows, the measures and the description; remove what was saved on the way."""
    folder, plan = prepared.folder, prepared.plan
    if not rows:
        raise TaskError("; ".join(f"{name}: {reason}" for name, reason in failures.items()))
    files = recorded_files(folder, plan)
    with files.write(ROWS) as path:
        write_rows(rows, path)
        metrics = metrics_frame(with_places(read_rows([path]), prepared.places))
    with files.write(METRICS) as path:
        path.write_bytes(csv_bytes(metrics))
    complete_folder(folder, prepared.config.record(), [ROWS, METRICS], {"failures": failures})
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _read_texts(
    prepared: PreparedOnline,
    kept: KeptRows,
    numbers: Sequence[int],
    blocks: list[Any],
    checkpoints: RowCheckpoints,
) -> None:
    """Keep the rows of some blocks of texts."""
    places = kept.places
    batches = chain.from_iterable(text_batches(prepared, blocks[i]) for i in numbers)
    stream = rows_of_batches(prepared, batches, lambda: places, torch.float16)
    with tqdm(total=sum(len(blocks[i]) for i in numbers), unit=" texts", desc="read", disable=None) as bar:
        for number in numbers:
            n_missing = len(blocks[number])
            while n_missing:
                batch, rows = next(stream)
                kept.put(rows)
                n_missing -= len(batch.members)
                bar.update(len(batch.members))
            checkpoints.finished(number, kept)


def _finished(prepared: PreparedOnline) -> OnlineRun:
    logger.info(prepared.summary())
    if not run_online(prepared):
        share = prepared.config.share
        raise TaskError(
            f"Process {share.rank} of {share.world_size} has read its texts. The last one trains the probes: start the "
            "others, and run the same call again."
        )
    return OnlineRun.open(prepared.folder, prepared.parts, prepared.model)
