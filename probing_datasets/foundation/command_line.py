"""How every command ends: errors as one sentence, Ctrl-C as a note, an exit status."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from probing_datasets.foundation.errors import SparseProbingError

INTERRUPTED = 130


def run_command(command: Callable[[], object]) -> int:
    """Run a command; print an error that the user can mend without its traceback.

    Returns
    -------
    int
        Exit status: 0, 1 after a `SparseProbingError` or an error of the file system, 130 after Ctrl-C.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.captureWarnings(True)
    try:
        command()
    except SparseProbingError as error:
        return _fail(f"error: {error}", 1)
    except OSError as error:
        return _fail(f"error: {error}. Finished work is kept; mend this and run the same command again.", 1)
    except KeyboardInterrupt:
        return _fail("interrupted: finished work is kept; the same command goes on from there.", INTERRUPTED)
    return 0


def _fail(message: str, status: int) -> int:
    sys.stderr.write(message + "\n")
    return status
