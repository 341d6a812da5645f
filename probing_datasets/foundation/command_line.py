"""What every command does around its work: prepare the process, show errors as one sentence, return an exit status."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from probing_datasets.foundation.environment import fill_environment
from probing_datasets.foundation.errors import SparseProbingError

INTERRUPTED = 130


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


def run_command(command: Callable[[], object]) -> int:
    """Run a command; print an error that the user can fix without its traceback.

    Returns
    -------
    int
        Exit status: 0, 1 after a `SparseProbingError` or an error of the file system, 130 after Ctrl-C.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.captureWarnings(True)
    prepare_process()
    try:
        command()
    except SparseProbingError as error:
        message, status = f"error: {error}", 1
    except OSError as error:
        message, status = f"error: {error}. Finished work is kept; fix this and run the same command again.", 1
    except KeyboardInterrupt:
        message, status = "interrupted: finished work is kept; run the same command again to resume.", INTERRUPTED
    else:
        return 0
    sys.stderr.write(message + "\n")
    return status
