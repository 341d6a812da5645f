"""What produced a result: package versions and the commit of this code."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGES = ("sparse-probing", "torch", "transformer-lens", "transformers", "numpy", "scikit-learn", "zarr")


@cache
def provenance() -> dict[str, str | None]:
    """Return the versions of Python and the packages that decide the numbers, and the git commit."""
    versions: dict[str, str | None] = {"python": platform.python_version(), "git_commit": git_commit()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return versions


def git_commit() -> str | None:
    """Return the commit this code runs from (``+`` appended when files differ), or None outside git."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
