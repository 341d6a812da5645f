"""What every command does around its work: prepare the process, show errors as one sentence, return an exit status."""

from __future__ import annotations

import io
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from probing_datasets.foundation.environment import fill_environment
from probing_datasets.foundation.errors import SparseProbingError
from probing_datasets.foundation.printable import printable_lines

INTERRUPTED, BROKEN_PIPE = 130, 141

SOURCES = Path(__file__).parents[2]
"""Folder of the packages of this project."""


def prepare_process() -> None:
    """Set the environment of a command and of the processes that it starts, and hide progress bars of libraries.

    This changes the process, so importing a module or constructing settings never does it.
    """
    fill_environment()
    # A library that is already imported no longer reads the environment.
    modules: dict[str, Any] = dict(sys.modules)
    if "datasets" in modules:
        modules["datasets"].disable_progress_bars()
    if "transformers" in modules:
        modules["transformers"].utils.logging.disable_progress_bar()


class PrintableFormatter(logging.Formatter):
    """Format log records without codes that a terminal obeys: messages name files, labels and tokens."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        return printable_lines(super().format(record))


def escape_what_streams_cannot_encode() -> None:
    """Let output and errors print a character that is not in their encoding as an escape sequence of Python.

    Otherwise a token that is not ASCII ends a command whose output goes to an ASCII or Latin-1 stream.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def prepare_output() -> None:
    """Let this process print and log what any terminal and any stream can show; for commands, workers and jobs."""
    escape_what_streams_cannot_encode()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.captureWarnings(True)


def run_command(command: Callable[[], object]) -> int:
    """Run a command; whatever it raises ends in one line.

    An error that the user can fix is printed without its traceback. That of any other error is written to a file,
    which the line names.

    Returns
    -------
    int
        Exit status: 0; 1 after an error; 130 after Ctrl-C; 141, without a line, when nobody reads the output any more.
    """
    prepare_output()
    try:
        prepare_process()
        command()
        sys.stdout.flush()
    except SparseProbingError as error:
        message, status = f"error: {error}", 1
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (Python flushes it at its exit)
        return BROKEN_PIPE
    except KeyboardInterrupt:
        message, status = "interrupted: finished work is kept; run the same command again to resume.", INTERRUPTED
    except Exception as error:
        message, status = f"error: {unexpected(error)}", 1
    else:
        return 0
    sys.stderr.write(printable_lines(message) + "\n")
    return status


def parse(
    form: Any, arguments: list[str] | None = None, prog: str | None = None, description: str | None = None
) -> Any:
    """Return the settings of a command line, or call the function that it names; see `tyro.cli`.

    Flags may have underscores or hyphens; the help shows underscores, as the documentation does.
    """
    import tyro  # here: workers import this module, and parse nothing

    return tyro.cli(form, args=arguments, prog=prog, description=description, use_underscores=True)


def with_commands(description: str | None, about: str, summaries: Mapping[str, str]) -> str:
    """Return the description of a script for ``--help`` with a line for each of its sub-commands."""
    width = max(map(len, summaries))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in summaries.items()]
    return "\n".join([(description or "").strip(), "", about, *lines])


def unexpected(error: Exception) -> str:
    """Return one line about an error that is not a `SparseProbingError`, and keep its traceback in a file.

    Errors of the file system say what is wrong; of others, the line says which function failed.
    """
    first_line = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, OSError) and error.errno is not None:
        return f"{first_line}. Finished work is kept; fix this and run the same command again."
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(SOURCES)] or frames
    place = f" in {own[-1].name} ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    line = f"{type(error).__name__}{place}: {first_line or 'no message'}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="sparse-probing-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return f"{line}. Finished work is kept."
    return f"{line}. Finished work is kept. The traceback is in {file.name}; send it with a report of this error."
