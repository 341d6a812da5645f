"""Apply saved probes to texts: a few in memory, or a file of any size, in parts that a kill does not lose."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from probing_datasets.foundation.errors import ProbeError, SettingsError, SourceError
from probing_datasets.sources.table_files import PLAIN, ReadOptions
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.stores.storage.writers import WRITERS
from sparse_probing.activations.tables.result_folder import (
    PLAN,
    claim_folder,
    create_or_resume_folder,
    recorded_files,
)
from sparse_probing.config.monitoring import ScorePooling
from sparse_probing.config.share import ShareConfig
from sparse_probing.models import LanguageModel
from sparse_probing.monitoring.score_files import (
    ScoredFile,
    check_table_name,
    finished_table,
    parts_folder,
    probe_digest,
    with_notes,
    write_table,
)
from sparse_probing.monitoring.score_tables import score_columns, text_table, token_table
from sparse_probing.monitoring.text_source import NumberedText, read_texts
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.right_model import model_of
from sparse_probing.saved_probes.text_scorer import ScoredText, TextScorer, aggregation_of

if TYPE_CHECKING:
    import pandas as pd

PART_TEXTS = 1024
"""Texts of one part at most: what a kill can lose, and what is in memory at once."""
PART_SCORES = 2**22
"""Scores of tokens in one part at most (32 MiB), except for the last of its texts."""

CHAT_TOKENS = 256
"""Tokens that a chat template may put around a message."""

TABLE_VERSION = 2
"""Raised when the columns or their meaning change, so that parts of two versions are never mixed."""


def apply_probes(
    probes: Sequence[ProbeData],
    texts: Sequence[str],
    per_token: bool = False,
    poolings: Sequence[ScorePooling] = (),
    model: LanguageModel | None = None,
    batch_size: int = 32,
    allow_other_weights: bool = False,
) -> pd.DataFrame:
    """Return the scores that some probes of one model give to texts, in one pass up to the last layer they need.

    Parameters
    ----------
    probes : sequence of ProbeData
        `SavedProbe`, of any layers and hook points of the model.
    texts : sequence of str
    per_token : bool
        One row for each token, in place of one for each text.
    poolings : sequence of {'mean', 'max', 'last', 'exponential', 'rolling', 'softmax'}
        Further columns: the scores of the tokens of a text, pooled
        (`sparse_probing.monitoring.score_pooling`). Probes that were trained on tokens have no other score of a text.
    model : LanguageModel, optional
        The loaded model; by default it is loaded by its name.
    batch_size : int
        Texts of one forward pass.
    allow_other_weights : bool
        Score with weights that the probes were not trained on.

    Returns
    -------
    pandas.DataFrame
        ``text`` (its number), then ``n_tokens`` and ``note`` (why it has no score, or where it was cut), or with
        ``per_token`` ``position``, ``token``, ``start`` and ``stop``; then a column for every score, and of texts one
        for the class (``FEATURE_class``) that a probe of several classes predicts.

    Raises
    ------
    ModelError
        When a probe was trained on another model.
    ProbeError
        When there is no probe, or nothing to score texts with.
    """
    if isinstance(texts, str):
        raise ProbeError("Pass a list of texts, not a single string.")
    _check_request(probes, per_token, poolings)
    loaded = model_of(probes, model, allow_other_weights)
    scorer = TextScorer(loaded, probes, batch_size, per_token=per_token or bool(poolings))
    numbered = [NumberedText(number, text) for number, text in enumerate(texts)]
    table = _table(numbered, scorer.score(texts), probes, per_token, poolings)
    return (table if per_token else table.drop_columns(["label"])).to_pandas()


def apply_to_file(
    probes: Sequence[ProbeData],
    source: Path | str,
    to: Path | str,
    text_column: str = "text",
    label_column: str = "",
    per_token: bool = False,
    poolings: Sequence[ScorePooling] = (),
    model: LanguageModel | None = None,
    batch_size: int = 32,
    allow_other_weights: bool = False,
    overwrite: bool = False,
    options: ReadOptions = PLAIN,
) -> ScoredFile:
    """Score the texts of a file, and write a Parquet table; the same call resumes it after an interruption.

    The file is streamed. Every 1,024 texts, or fewer where their tokens have many scores, become a part, which is
    written durably with its checksum in a folder beside the table; at the end the parts become the table, and a sealed
    file beside it holds its checksum, the fingerprint of everything that decided its numbers, and how many texts could
    not be scored, and why.

    Parameters
    ----------
    probes : sequence of ProbeData
    source : path
        A table or a ``.txt`` file; see `sparse_probing.monitoring.text_source.read_texts`.
    to : path
        The table to write; must end in ``.parquet``.
    text_column, label_column : str
        Columns of the source; labels are copied into the table of texts.
    per_token, poolings, model, batch_size, allow_other_weights
        As in `apply_probes`.
    overwrite : bool
        Replace a table that was made from other inputs.
    options : ReadOptions
        Separator and encoding of the source.

    Raises
    ------
    SourceError
        When the texts cannot be read.
    SettingsError
        When ``to`` is not the name of a table, or is the file of the texts.
    StoreError
        When there is another table at ``to``, another process writes it, or it cannot be written.
    ModelError, ProbeError
        As `apply_probes`.
    """
    source, to = Path(source), Path(to)
    _check_request(probes, per_token, poolings)
    check_table_name(to, source)
    texts = read_texts(source, text_column, label_column, options)  # a wrong name is reported before the model loads
    # With other weights than the probes', the numbers depend on which: the model is loaded to know.
    loaded = model_of(probes, model, allow_other_weights) if allow_other_weights or model is not None else None
    plan = {
        "table_version": TABLE_VERSION,
        "source": source.name,
        "source_file": FileRecord.of_file(source).to_json(),
        "text_column": text_column,
        "label_column": label_column,
        "separator": options.separator,
        "encoding": options.encoding,
        "per_token": per_token,
        "poolings": list(poolings),
        "probes": [probe_digest(probe) for probe in probes],
        "weights": probes[0].weight_hash if loaded is None else loaded.weight_hash,
        "tokenizer": probes[0].tokenizer_hash if loaded is None else loaded.tokenizer_hash,
    }
    if finished := finished_table(to, plan, overwrite):
        return finished
    scorer = TextScorer(loaded or model_of(probes), probes, batch_size, per_token=per_token or bool(poolings))
    columns = score_columns(scorer.names, () if per_token else poolings)
    folder = parts_folder(to)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with claim_folder(folder, plan, ShareConfig(0, 1)):  # one process writes a table, also in an array of Slurm
        _check_parts_folder(folder)
        create_or_resume_folder(folder, plan, overwrite=overwrite, resume=False)
        files, names = recorded_files(folder, plan), []
        with tqdm(unit=" texts", desc="apply", disable=None) as bar:
            n_outputs = len(scorer.names) if per_token or poolings else 0
            for number, part in enumerate(_parts(texts, scorer.longest, n_outputs)):
                names.append(f"{number:06d}.parquet")
                if files.is_finished(names[-1]):
                    files.remove_damaged(names[-1:])
                if not files.is_finished(names[-1]):
                    table = _table_of_part(scorer, part, probes, per_token, poolings)
                    with files.write(names[-1]) as temporary:
                        pq.write_table(table, temporary)
                bar.update(len(part))
        if not names:
            raise SourceError(f"{source} holds no texts. Check --texts and --text_column.")
        record = write_table(to, (pq.read_table(folder / name) for name in names), plan, columns)
    shutil.rmtree(folder, ignore_errors=True)
    return record


def _check_parts_folder(folder: Path) -> None:
    """Raise SettingsError when a folder for parts holds what this command did not write: it would be emptied."""
    if not (folder / PLAN).exists() and any(path.name != WRITERS for path in folder.iterdir()):
        raise SettingsError(f"{folder} holds files that no call of apply wrote. Move them, or change --to.")


def _check_request(probes: Sequence[ProbeData], per_token: bool, poolings: Sequence[ScorePooling]) -> None:
    if not probes:
        raise ProbeError("There are no probes to apply.")
    if per_token and poolings:
        raise ProbeError("A table of tokens has no pooled scores. Choose --per_token or --pooling, or run both.")
    of_tokens = [probe.feature for probe in probes if aggregation_of(probe) == "none"]
    if of_tokens and not per_token and not poolings:
        raise ProbeError(
            f"The probe of {of_tokens[0]!r} was trained on tokens. Score them with per_token=True (--per_token), or "
            "pool their scores (--pooling mean)."
        )


def _parts(texts: Iterator[NumberedText], longest: int, n_outputs: int) -> Iterator[list[NumberedText]]:
    """Yield texts that are scored together: as many as allowed, or until their tokens may have too many scores."""
    part: list[NumberedText] = []
    n_scores = 0
    for text in texts:
        part.append(text)
        # A token has a byte at least; a chat has further tokens.
        n_scores += min(len(text.text.encode()) + CHAT_TOKENS, longest) * n_outputs
        if len(part) == PART_TEXTS or n_scores >= PART_SCORES:
            yield part
            part, n_scores = [], 0
    if part:
        yield part


def _table_of_part(
    scorer: TextScorer,
    part: Sequence[NumberedText],
    probes: Sequence[ProbeData],
    per_token: bool,
    poolings: Sequence[ScorePooling],
) -> pa.Table:
    """Score a part of the texts; the table counts which of them have no score, or a score of a part only."""
    scored = scorer.score([text.text for text in part])
    notes = ((text.number, text.problem or s.prompt.note) for text, s in zip(part, scored, strict=True))
    return with_notes(_table(part, scored, probes, per_token, poolings), notes)


def _table(
    texts: Sequence[NumberedText],
    scored: Sequence[ScoredText],
    probes: Sequence[ProbeData],
    per_token: bool,
    poolings: Sequence[ScorePooling],
) -> pa.Table:
    return token_table(texts, scored, probes) if per_token else text_table(texts, scored, probes, poolings)
