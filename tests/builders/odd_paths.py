"""Things in the place of a file or folder that a program did not put there."""

import os
import shutil
import socket
from pathlib import Path

ODD = ("pipe", "folder", "link to itself", "file", "socket")


def put_odd(kind: str, path: Path) -> None:
    """Put something else in the place of a file or folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link to itself":
        path.symlink_to(path.name)
    elif kind == "file":
        path.write_text("not what was expected")
    else:
        here = Path.cwd()
        os.chdir(path.parent)  # the path of a socket may have only about 100 characters
        try:
            socket.socket(socket.AF_UNIX).bind(path.name)
        finally:
            os.chdir(here)
