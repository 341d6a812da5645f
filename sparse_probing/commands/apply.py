"""``get_activations.py apply``: saved probes score texts, a store, a prompt, or a text while the model writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from probing_datasets.foundation.console import Column, fit_table, open_console, show
from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config.monitoring import ScorePooling

if TYPE_CHECKING:
    from probing_datasets.sources.table_files import ReadOptions
    from sparse_probing.models import LanguageModel
    from sparse_probing.monitoring.prompts import ScoredTokens
    from sparse_probing.monitoring.score_files import ScoredFile
    from sparse_probing.saved_probes.saved_probe import SavedProbe


def apply_command(
    probes: Positional[tuple[str, ...]],
    texts: Path | None = None,
    store: str | None = None,
    prompt: str | None = None,
    to: Path | None = None,
    text_column: str = "text",
    label_column: str = "",
    per_token: bool = False,
    pooling: tuple[ScorePooling, ...] = (),
    html: Path | None = None,
    html_texts: int = 100,
    generate: int = 0,
    chat: bool = False,
    sample: bool = False,
    seed: int = 0,
    model: str | None = None,
    device: str = "auto",
    batch_size: int = 32,
    separator: str = "",
    encoding: str = "",
    allow_other_weights: bool = False,
    overwrite: bool = False,
) -> None:
    """Apply saved probes to the texts of a file, to a store, or to a prompt; the same command resumes a file.

    Parameters
    ----------
    probes : tuple[str, ...]
        Folders of saved probes of one model, or owner/name on the hub.
    texts : Path, optional
        A table (CSV, TSV, JSON, Parquet, Feather, Arrow) or a .txt file.
    store : str, optional
        Folder or URL of an activation store: no model runs.
    prompt : str, optional
        One text; its tokens are printed with their scores.
    to : Path, optional
        The Parquet table to write, for --texts and --store.
    text_column : str
        Column of the texts.
    label_column : str
        Column of their labels, which is copied; the page shows the scores of each label.
    per_token : bool
        One row for each token.
    pooling : tuple[ScorePooling, ...]
        Further columns: pooled scores of the tokens of a text.
    html : Path, optional
        Page to write, with every token coloured by its score.
    html_texts : int
        Number of texts on the page: the first of the file.
    generate : int
        Let the model continue the prompt by this many tokens, and score each.
    chat : bool
        With --generate: put the prompt into the chat template of the model.
    sample : bool
        With --generate: draw the tokens, with --seed. Otherwise the most likely ones are taken.
    seed : int
        Seed of --sample.
    model : str, optional
        Folder or name of the model. Default: the name in the probes.
    device : str
        auto, cpu, cuda or mps.
    batch_size : int
        Texts of one forward pass.
    separator : str
        What separates the cells of a table of text; empty: a comma, or a tab in a .tsv file.
    encoding : str
        Encoding of text files; empty: UTF-8.
    allow_other_weights : bool
        Apply the probes to other weights than they were trained on, on which scores may mean nothing.
    overwrite : bool
        Replace a table that was made from other inputs.
    """
    if not probes:
        raise SettingsError("Name the folder of at least one saved probe.")
    _check_source({"--texts": texts, "--store": store, "--prompt": prompt}, to)
    _check_flags_of_texts(texts, text_column, label_column, per_token, pooling, separator, encoding)
    _check_flags_of_model(store, model, device, batch_size)
    _check_flags_of_pages(texts, store, html, html_texts, seed, sample)
    _check_flags_of_generations(prompt, generate, chat, sample, html_texts, batch_size)
    _check_files(probes, texts, to, html, overwrite)

    from sparse_probing.saved_probes.load_probe import load_probe  # from here on imports are slow

    loaded = [load_probe(source) for source in probes]
    if store is not None and to is not None:
        from sparse_probing.activations.stores import open_store
        from sparse_probing.activations.stores.storage.locations import parse_place
        from sparse_probing.monitoring.apply_to_store import apply_to_store

        _report(apply_to_store(loaded, open_store(parse_place(store)), to, allow_other_weights, overwrite), to)
    elif prompt is not None:
        language_model = _load_model(loaded, model, device)
        _apply_to_prompt(loaded, language_model, prompt, html, generate, chat, sample, seed, allow_other_weights)
    elif texts is not None and to is not None:
        from probing_datasets.sources.table_files import ReadOptions
        from sparse_probing.monitoring.text_source import read_texts

        options = ReadOptions(separator=separator, encoding=encoding)
        read_texts(texts, text_column, label_column, options)  # a wrong name is reported before the model is loaded
        language_model = _load_model(loaded, model, device)
        columns, settings = (text_column, label_column, per_token, pooling), (allow_other_weights, overwrite, options)
        _apply_to_texts(loaded, language_model, texts, to, columns, batch_size, settings, html, html_texts)


def _apply_to_texts(
    probes: Sequence[SavedProbe],
    model: LanguageModel,
    texts: Path,
    to: Path,
    columns: tuple[str, str, bool, tuple[ScorePooling, ...]],
    batch_size: int,
    settings: tuple[bool, bool, ReadOptions],
    html: Path | None,
    html_texts: int,
) -> None:
    """Score the texts of a file, report how many have no score, and write the page."""
    from sparse_probing.monitoring.apply import apply_to_file

    if html is not None:  # tokens are shown, whatever the table holds: refused before texts are scored
        from sparse_probing.saved_probes.text_scorer import TextScorer

        TextScorer(model, probes, batch_size, per_token=True)
    record = apply_to_file(probes, texts, to, *columns, model, batch_size, *settings)
    _report(record, to)
    if html is not None:
        from sparse_probing.reporting.scored_texts import text_page

        text_page(html, probes, model, texts, to, record, html_texts, settings[-1], batch_size)
        show(f"page: {html}")


def _check_source(sources: dict[str, Path | str | None], to: Path | None) -> None:
    """Raise SettingsError unless there is one source, and a table for it."""
    given = [flag for flag, value in sources.items() if value is not None]
    if len(given) != 1:
        raise SettingsError(f"Pass one of {', '.join(sources)} to apply probes to; got {', '.join(given) or 'none'}.")
    if (to is None) != (sources["--prompt"] is not None):
        raise SettingsError("Scores of --texts and --store are written: name the table with --to. A --prompt has none.")


def _check_flags_of_texts(
    texts: Path | None,
    text_column: str,
    label_column: str,
    per_token: bool,
    pooling: tuple[ScorePooling, ...],
    separator: str,
    encoding: str,
) -> None:
    """Raise SettingsError for flags of texts without texts."""
    of_texts = {
        "--text_column": text_column != "text",
        "--label_column": label_column,
        "--per_token": per_token,
        "--pooling": pooling,
        "--separator": separator,
        "--encoding": encoding,
    }
    if texts is None and (unused := [flag for flag, value in of_texts.items() if value]):
        raise SettingsError(f"Only --texts are read with {', '.join(unused)}. Leave out what is not used.")


def _check_flags_of_model(store: str | None, model: str | None, device: str, batch_size: int) -> None:
    """Raise SettingsError for flags of a model with a store, which needs none."""
    of_model = {"--model": model is not None, "--device": device != "auto", "--batch_size": batch_size != 32}
    if store is not None and (unused := [flag for flag, value in of_model.items() if value]):
        raise SettingsError(f"A store is scored without a model. Leave out {', '.join(unused)}.")


def _check_flags_of_pages(
    texts: Path | None, store: str | None, html: Path | None, html_texts: int, seed: int, sample: bool
) -> None:
    """Raise SettingsError for a page of a store, and for flags whose companion is missing."""
    if (seed and not sample) or (html_texts != 100 and (html is None or texts is None)):
        raise SettingsError(
            "--seed goes with --sample, and --html_texts with --texts and --html. Leave out the others."
        )
    if html is not None and store is not None:
        raise SettingsError("A store holds no texts to show. Leave out --html, or apply the probes to --texts.")


def _check_flags_of_generations(
    prompt: str | None, generate: int, chat: bool, sample: bool, html_texts: int, batch_size: int
) -> None:
    """Raise SettingsError for numbers outside their range, and for flags of a generation without one."""
    if generate < 0 or html_texts < 1 or batch_size < 1:
        raise SettingsError("--generate must be at least 0, --html_texts and --batch_size at least 1.")
    if (generate and prompt is None) or ((chat or sample) and not generate):
        raise SettingsError("--generate continues a --prompt; --chat and --sample go with --generate.")


def _check_files(
    probes: Sequence[str], texts: Path | None, to: Path | None, html: Path | None, overwrite: bool
) -> None:
    """Raise SettingsError unless the files can be written, which replace neither texts nor probes."""
    from sparse_probing.monitoring.score_files import check_table_name
    from sparse_probing.reporting.pages.html import check_page_name

    folders = [Path(probe).expanduser().resolve() for probe in probes]
    if len(set(folders)) < len(folders):
        twice = next(probe for probe, folder in zip(probes, folders, strict=True) if folders.count(folder) > 1)
        raise SettingsError(f"The probe {twice} is named twice. Name each probe once.")
    if texts is not None and not texts.is_file():
        raise SettingsError(f"There is no file {texts}. Check --texts.")
    if to is not None:
        check_table_name(to, texts)
    if html is not None:
        check_page_name(html, overwrite)
        if texts is not None and html.resolve() == texts.resolve():
            raise SettingsError(f"{html} holds the texts, and the page would replace it. Name another --html.")
    for path in filter(None, (to, html)):
        if path.resolve().parent in folders:
            raise SettingsError(f"{path.parent} is the folder of a probe. Write {path.name} into another folder.")


def _load_model(probes: Sequence[SavedProbe], name: str | None, device: str) -> LanguageModel:
    """Load the model of the first probe, or one by its name."""
    from sparse_probing.saved_probes.right_model import load_model_of

    return load_model_of(probes[0], name, device)


def _apply_to_prompt(
    probes: Sequence[SavedProbe],
    model: LanguageModel,
    prompt: str,
    html: Path | None,
    n_new: int,
    chat: bool,
    sample: bool,
    seed: int,
    allow_other_weights: bool,
) -> None:
    """Score a prompt, or what the model makes of it; print its tokens, and write the page."""
    from sparse_probing.monitoring.prompts import score_generation, score_prompt

    if n_new:
        scored = score_generation(probes, model, prompt, n_new, chat, sample, seed, allow_other_weights)
    else:
        scored = score_prompt(probes, model, prompt, allow_other_weights)
    _print_tokens(probes, scored)
    if html is not None:
        from sparse_probing.reporting.scored_texts import generation_page

        generation_page(html, probes, scored)
        show(f"page: {html}")


def _report(record: ScoredFile, to: Path) -> None:
    from sparse_probing.monitoring.score_files import note_in_words

    show(f"{to}: {record.n_rows:,} rows; scores: {', '.join(record.columns)}")
    for note, (n_texts, first) in record.notes.items():
        show(note_in_words(note, n_texts, first))


def _print_tokens(probes: Sequence[SavedProbe], scored: ScoredTokens) -> None:
    """Print a table of tokens with their scores, and what the probes say of the whole text.

    A line divides new tokens from the prompt.
    """
    from sparse_probing.saved_probes.predictions import predictions_in_words

    numbers = list(range(len(scored.tokens)))
    columns = [Column("token", numbers), Column("text", [repr(token) for token in scored.tokens], is_text=True)]
    for i, name in enumerate(scored.names):
        columns.append(Column(name, [f"{score:.3f}" for score in scored.scores[:, i]], drop_order=-i))
    console = open_console()
    table, omitted = fit_table(columns, console.width, n_summary_rows=len(scored.tokens) - scored.n_prompt)
    console.print(table)
    if omitted:
        show(f"not shown, because the terminal is too narrow: {', '.join(omitted)}")
    if len(scored.text_scores):
        for line in predictions_in_words(probes, scored.text_scores):
            show(line)
